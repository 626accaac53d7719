"""The query language says what it understood, or where and why it did not."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.query.language import MOST_LETTERS, QueryError, Term, parse
from servent.query.words import folded, indexed, parts, shown, words
from servent.share import index, lookup, rows
from servent.share.index import IndexRow


def library() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:")
    for steps in (rows.STEPS, index.STEPS):
        for step in steps:
            db.executescript(step)
    return db


def put(db: sqlite3.Connection, *files: IndexRow) -> None:
    db.executemany(
        "INSERT INTO files (id, folder, dir, name, size, mtime_ns, inode, kind, root, added) VALUES (?,?,1,?,?,0,0,?,?,0)",
        [(f.id, f.folder, f.name, f.size, f.kind, f.id.to_bytes(32, "big")) for f in files],
    )
    index.add(db, files)


def file(
    id: int,
    name: str,
    path: str = "Music",
    *,
    folder: int = 1,
    size: int = 5_000_000,
    kind: int = 1,
    **tags: str,
) -> IndexRow:
    return IndexRow(id, folder, path, name, kind, size, tags)


def names(db: sqlite3.Connection, text: str, folders: set[int] | None = None) -> list[str]:
    return [row.name for row in lookup.search(db, parse(text), folders, 50).rows]


# -- words


def test_names_are_cut_where_people_would_cut_them() -> None:
    assert words("Hey_Jude-(live).MP3") == ["hey", "jude", "live", "mp3"]
    assert words("Café Zoë ΑΒΓ Ёлка straße") == ["cafe", "zoe", "αβγ", "елка", "strasse"]
    assert words("日本語のsong") == ["日", "本", "語", "の", "song"]
    assert parts("PowerPoint track01 S01E02 LeaveMe mp3") == [
        "power",
        "point",
        "track",
        "01",
        "01",
        "02",
        "leave",
        "me",
    ]
    assert folded("\u30ab\u3099") == folded("\u30ac") != folded("\u30ab")  # a kana, composed and not


def test_what_is_shown_cannot_turn_the_text_around() -> None:
    assert shown("annexe\u202efdp.exe") == "annexe\ufffdfdp.exe"
    assert shown("a\x00b\x1b[31m") == "a\ufffdb\ufffd[31m"
    assert shown("Żółć 日本 🎵") == "Żółć 日本 🎵"


@given(st.text(max_size=300))
def test_any_name_can_be_found_by_its_words(name: str) -> None:
    text = indexed(name)
    assert all(f" {word} " in text for word in words(name))
    assert not any("\ue000" <= letter <= "\uf8ff" for letter in text)


# -- parsing


def test_each_part_of_the_language() -> None:
    query = parse(
        'nina "Little Girl" blu* -remix artist:simone -album:"best of" type:music,video -ext:wav ext:.FLAC size:1mb..5,5mb peer:ann'
    )
    assert query.terms == (
        Term(("nina",)),
        Term(("little", "girl")),
        Term(("blu",), True),
        Term(("simone",), False, "artist"),
    )
    assert query.without == (Term(("remix",)), Term(("best", "of"), False, "album"))
    assert query.kinds == {1, 2} and query.exts == {"flac"} and query.not_exts == {"wav"}
    assert (query.least, query.most) == (1_000_000, 5_500_000)
    assert query.peer == "ann" and "peer" not in query.text


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("size:>10mb", 10_000_001, 1 << 60), ("size:>=1kib", 1024, 1 << 60), ("size:<2k", 0, 1999),
        ("size:=7", 7, 7), ("size:..5mb", 0, 5_000_000), ("size:700mb", 630_000_000, 770_000_000),
    ],
)  # fmt: skip
def test_sizes(text: str, least: int, most: int) -> None:
    query = parse(f"x {text}")
    assert (query.least, query.most) == (least, most)


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("", 0, "no word"), ("   ", 0, "no word"), ('abc "de', 4, "quotation mark"), ("ab *ing", 3, "end of a word"),
        ("a*", 0, "too many words"), ("x typ:audio", 2, "there is no typ:"), ("x type:musik", 2, "no type"),
        ("x size:big", 2, "no size"), ("-x", 0, "only what not"), ("peer:ann", 0, "only where"),
        ("x -size:>1mb", 2, "not taken away"), ("x size:>2mb size:<1mb", 12, "no file has"), ("x ext:a.b", 2, "no ending"),
        ("a " * 13, 24, "more than"), ("x peer:a peer:b", 9, "one peer"), ("x artist:", 2, "says nothing"),
        ("y" * (MOST_LETTERS + 1), MOST_LETTERS, "at most"),
    ],
)  # fmt: skip
def test_errors_say_where_and_what_to_write(text: str, position: int, says: str) -> None:
    with pytest.raises(QueryError, match=says) as error:
        parse(text)
    assert error.value.position == position and error.value.advice


def test_titles_with_colons_are_words() -> None:
    assert [term.words for term in parse("Star Trek: Voyager").terms] == [("star",), ("trek",), ("voyager",)]
    assert parse("Re:Zero").terms == (Term(("re", "zero")),)


@given(st.text(alphabet=st.sampled_from("ab \"*:-^(){}+.,;'\\%_\0NEARORNOT日é\u202e><="), max_size=60))
def test_nothing_typed_reaches_the_engine_as_its_own_language(text: str) -> None:
    db = library()
    put(db, file(1, "a b NEAR or not"), file(2, "日é"))
    try:
        query = parse(text)
    except QueryError:
        return
    lookup.search(db, query, {1}, 10)
    for term in (*query.terms, *query.without):
        assert all(word.isalnum() for word in term.words)


# -- the index


def test_every_filter_finds_what_it_should() -> None:
    db = library()
    put(
        db,
        file(
            1,
            "01 Mood Indigo.mp3",
            "Music/Nina Simone/Little Girl Blue",
            artist="Nina Simone",
            title="Mood Indigo",
        ),
        file(2, "mood_indigo.flac", "Music/Duke", artist="Duke Ellington", album="Indigos", size=40_000_000),
        file(3, "MoodBoard.jpg", "Pictures", kind=3, size=80_000, folder=2),
        file(4, "Café Müller 2011.mkv", "Films", kind=2, size=4 << 30, folder=2),
        file(5, "日本の音楽.mp3", "Music"),
    )
    assert names(db, "mood indigo") == ["mood_indigo.flac", "01 Mood Indigo.mp3"]
    assert names(db, '"mood indigo" artist:duke') == ["mood_indigo.flac"]
    assert names(db, "nina") == ["01 Mood Indigo.mp3"]
    assert names(db, "album:indigo*") == ["mood_indigo.flac"]
    assert names(db, "board") == names(db, "moodboard") == ["MoodBoard.jpg"]
    assert names(db, "moo* -type:audio") == ["MoodBoard.jpg"]
    assert names(db, "cafe muller") == ["Café Müller 2011.mkv"]
    assert names(db, "本の") == ["日本の音楽.mp3"] and names(db, "の本") == []
    assert (
        names(db, "size:>1gb") == names(db, "type:video") == names(db, "ext:mkv") == ["Café Müller 2011.mkv"]
    )
    assert names(db, "mood size:10mb..100mb") == ["mood_indigo.flac"]
    assert names(db, "mood -ext:mp3 -ext:jpg") == ["mood_indigo.flac"]
    assert names(db, "mo*", {2}) == ["MoodBoard.jpg"] and names(db, "mo*", set()) == []


def test_what_changed_or_went_is_found_no_more() -> None:
    db = library()
    put(db, file(1, "old name.mp3"), file(2, "old other.mp3"))
    index.add(db, [file(1, "new name.mp3")])
    index.remove(db, [2, 99])
    db.execute("UPDATE files SET name = 'new name.mp3' WHERE id = 1")
    assert names(db, "old") == [] and names(db, "new") == ["new name.mp3"]
    db.execute("INSERT INTO found (found) VALUES ('integrity-check')")


def test_names_come_before_tags_before_paths_and_rows_of_words_before_scattered_ones() -> None:
    db = library()
    put(
        db,
        file(1, "x.mp3", "Blue Train"),
        file(2, "y.mp3", title="Blue Train"),
        file(3, "train to the blue sea.mp3"),
        file(4, "blue train and many other words in a long name.mp3"),
        file(5, "blue train.mp3"),
    )
    order = [row.id for row in lookup.search(db, parse("blue train"), None, 50).rows]
    assert order == [5, 4, 3, 2, 1]


def test_a_common_word_costs_no_more_than_the_cap_and_still_finds_the_best() -> None:
    db = library()
    put(db, file(1, "common word.txt"), *(file(n, f"file {n}.txt", "common/word") for n in range(2, 6000)))
    answer = lookup.search(db, parse("common word"), None, 10)
    assert answer.more and len(answer.rows) == 10
    assert answer.rows[0].name == "common word.txt"  # the oldest of 6,000: far behind the newest 2,000
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    db.set_progress_handler(count, 1000)
    lookup.search(db, parse("common"), None, 10)
    assert (
        steps < 40
    )  # thousands of steps; ranking every match takes 126 thousand here, and more with more files


FILES = st.builds(
    file,
    st.just(1),
    st.text(alphabet="abAB1_-. é日", min_size=1, max_size=14).filter(lambda s: s.strip()),
    st.sampled_from(["Music", "Music/Ab B", "a1"]),
    size=st.integers(1, 1 << 33),
    kind=st.integers(0, 6),
    artist=st.sampled_from(["", "Ab", "b a"]),
    title=st.sampled_from(["", "B1 a"]),
)
QUESTIONS = st.lists(
    st.sampled_from([
        "a", "b", "ab", "AB", "a1", '"a b"', "ab*", "b1*", "-b", "-ab", "artist:ab", "title:a", "-artist:b", "日", "e", "mp3",
        "type:audio", "-type:video", "size:>1mb", "size:<4gb", "size:1k..64mb", "ext:b", "-ext:a", "music",
    ]),
    min_size=1, max_size=4,
)  # fmt: skip


@given(FILES, QUESTIONS)
def test_the_matcher_for_one_file_and_the_index_agree(one: IndexRow, pieces: list[str]) -> None:
    try:
        query = parse(" ".join(pieces))
    except QueryError:
        return
    db = library()
    put(db, one)
    found = lookup.search(db, query, None, 5).rows
    score = query.relevance(one.name, one.kind, one.size, one.path, one.tags)
    assert bool(found) == (score is not None)
    if found:
        assert score == pytest.approx(found[0].score)


def test_words_with_an_apostrophe_are_found_with_and_without_it() -> None:
    for text in ("Don't Smoke in Bed.flac", "Don\u2019t Smoke in Bed.flac"):
        for typed in ("dont smoke", "don't smoke", "don\u2019t", '"smoke in bed"', "smoke dont*"):
            assert parse(typed).relevance(text, 1, 10) is not None, (text, typed)
        assert parse("donts").relevance(text, 1, 10) is None
    assert parse("oconnor").relevance("Sinéad O'Connor.mp3", 1, 10) is not None
