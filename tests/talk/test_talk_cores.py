"""The cores of talk between persons: texts, names, bonds, presence, the outbox, the history."""

from __future__ import annotations

import random
import sqlite3
import unicodedata
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servent.errors import UsageError
from servent.identity import PeerId
from servent.talk import bonds, history, history_words, outbox, texts, wire
from servent.talk.bonds import Bonds
from servent.talk.history import Row
from servent.talk.names import Known, Names
from servent.talk.notices import Notices
from servent.talk.presence import LINGER, Mine, Others
from servent.trust.contacts import Contacts
from tests.net.party import identity

ME, ANN, BOB, EVE = (identity(number).peer for number in range(1, 5))


# -- texts


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("hello\nworld", "hello\nworld"),
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("\x00bell\x07 esc\x1b[31m \x85c1\x9b", "bell esc[31m c1"),
        ("<b onclick='x'>&amp;</b>", "<b onclick='x'>&amp;</b>"),  # whoever draws it escapes it
        ("\u202egpj.exe", "\u202egpj.exe\u202c"),  # closed on its own line
        ("\u2066one\ntwo", "\u2066one\u2069\ntwo"),
        ("stray \u202c end \u2069", "stray  end"),
        ("z" + "\u0301" * 50, unicodedata.normalize("NFC", "z" + "\u0301" * 5)),
        ("zero\u200bwidth", "zerowidth"),
        ("👩\u200d👩\u200d👧", "👩\u200d👩\u200d👧"),
    ],
)
def test_a_text_controls_nothing(sent: str, shown: str) -> None:
    assert texts.cleaned(sent) == shown


@given(st.text(max_size=500))
def test_what_is_cleaned_stays_as_it_is_and_opens_nothing(text: str) -> None:
    clean = texts.cleaned(text)
    assert texts.cleaned(clean) == clean
    for line in clean.split("\n"):
        opened = sum(letter in "\u202a\u202b\u202d\u202e\u2066\u2067\u2068" for letter in line)
        assert opened == sum(letter in "\u202c\u2069" for letter in line)
    assert not any(unicodedata.category(letter) in ("Cc", "Cs") and letter not in "\n\t" for letter in clean)


@given(st.text(max_size=200), st.lists(st.text(max_size=60), max_size=12))
def test_what_a_peer_sends_is_never_an_error(text: str, links: list[str]) -> None:
    clean, kept = texts.received(text, links)
    assert len(clean) <= wire.TEXT_CHARACTERS and len(kept) <= wire.ATTACHMENTS and set(kept) <= set(links)
    for link in kept:
        assert texts.attachment(link).link == link


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)", "http://example.org/", "file:///etc/passwd", "magnet:?dn=x", "servent:\nx",
        "magnet:?xt=urn:btmh:1220 a", "magnet:?xt=urn:btih:" + "a" * 3000, "", "data:text/html,x",
    ],
)  # fmt: skip
def test_only_links_that_get_takes_are_links(link: str) -> None:
    assert not texts.is_link(link)


def test_a_link_says_what_it_claims() -> None:
    claimed = texts.attachment(
        "magnet:?xt=urn:btih:" + "a" * 40 + "&dn=%E2%80%AEcod.exe&xl=99999999999999999999"
    )
    assert claimed.name == "cod.exe" and claimed.size_bytes is None


@pytest.mark.parametrize(
    ("text", "named"),
    [("@ann hi", True), ("hi Ann!", True), ("anna", False), ("(ann)", True), ("", False), ("joann", False)],
)
def test_a_text_names_me_as_a_whole_word(text: str, named: bool) -> None:
    assert texts.names(text, "Ann") is named


# -- names


class Town:
    """Names by what is known of people."""

    def __init__(self) -> None:
        self.known: dict[PeerId, Known] = {}
        self.contacts = Contacts()
        self.names = Names(ME, lambda: "me myself", self.look, self.contacts.looks_like, self.friends)

    def look(self, peer: PeerId) -> Known:
        contact = self.contacts.get(peer)
        known = self.known.get(peer) or Known(peer)
        return replace(known, petname=contact.petname if contact else None)

    def friends(self) -> list[Known]:
        return [self.look(peer) for peer in self.known if self.known[peer].friend]


@pytest.mark.parametrize(
    "forged",
    ["Ann Lee", "Аnn Lee", "ann1ee", "Ａｎｎ Ｌｅｅ", "𝐀𝐧𝐧 𝐋𝐞𝐞", "Ann\u200b Lee", "ANN LEE", "ann-lee"],
)
def test_nobody_can_look_like_a_friend(forged: str) -> None:
    town = Town()
    town.known = {ANN: Known(ANN, "Ann Lee", friend=True), EVE: Known(EVE, forged)}
    assert town.names.person(ANN).warning == ""
    eve = town.names.person(EVE)
    assert "your friend Ann Lee" in eve.warning and not eve.chosen
    assert eve.mark == str(EVE)[:4] != town.names.person(ANN).mark


def test_nobody_can_look_like_a_petname_or_like_me() -> None:
    town = Town()
    town.contacts.set_petname(ANN, "Bill", 0.0)
    town.known = {ANN: Known(ANN, "whatever"), EVE: Known(EVE, "BiII"), BOB: Known(BOB, "Me Мyself")}
    ann = town.names.person(ANN)
    assert (ann.shown, ann.chosen, ann.name, ann.warning) == ("Bill", True, "whatever", "")
    assert "looks like Bill" in town.names.person(EVE).warning
    assert "your own" in town.names.person(BOB).warning
    assert town.names.person(ME).me and town.names.person(ME).warning == ""


def test_a_mixture_of_scripts_and_a_hidden_name_are_told() -> None:
    town = Town()
    town.known = {EVE: Known(EVE, "pаypal"), BOB: Known(BOB, "\u200b\u202e"), ANN: Known(ANN, "Ольга")}
    assert "mixes letters" in town.names.person(EVE).warning
    assert town.names.person(BOB).shown == BOB.short
    assert town.names.person(ANN).warning == ""


def test_a_warning_comes_and_goes_with_the_friend() -> None:
    town = Town()
    town.known = {ANN: Known(ANN, "ann"), EVE: Known(EVE, "аnn")}
    assert "mixes" in town.names.person(EVE).warning
    town.known[ANN] = Known(ANN, "ann", friend=True)
    town.names.changed()
    assert "your friend ann" in town.names.person(EVE).warning


# -- bonds


class Two:
    """Two people and all that can be under way between them: words may be late, doubled and lost, order is kept."""

    def __init__(self) -> None:
        self.bonds = {ANN: Bonds(), BOB: Bonds()}
        self.mine = {ANN: False, BOB: False}
        self.now = 1000.0

    def other(self, who: PeerId) -> PeerId:
        return BOB if who == ANN else ANN

    def name(self, who: PeerId) -> str:
        return self.bonds[who][self.other(who)].name(self.mine[who])

    def ask(self, who: PeerId) -> None:
        self.bonds[who].ask(self.other(who), "", self.now)
        self.mine[who] = True

    def end(self, who: PeerId) -> None:
        if self.mine[who]:
            self.mine[who] = False
            self.bonds[who].end(self.other(who), self.now)

    def refuse(self, who: PeerId) -> None:
        if self.name(who) == "asking":
            self.bonds[who].refuse(self.other(who), self.now)

    def word(self, who: PeerId) -> wire.Stand:
        return self.bonds[who].stand(self.other(who), self.mine[who])

    def hear(self, who: PeerId, stand: wire.Stand) -> None:
        _, came = self.bonds[who].heard(self.other(who), stand, self.mine[who], self.now)
        if came == "ended":
            self.end(who)

    def settle(self) -> None:
        """Both are there and hear each other out."""
        for _ in range(8):
            for who in (ANN, BOB):
                self.now += 30.0
                self.hear(self.other(who), self.word(who))


steps = st.lists(
    st.tuples(st.sampled_from(["ask", "end", "refuse", "say", "late"]), st.sampled_from([ANN, BOB])),
    max_size=30,
)


@given(steps)
@settings(max_examples=300)
def test_whatever_both_do_in_whatever_order_they_agree_in_the_end(deeds: list[tuple[str, PeerId]]) -> None:
    two = Two()
    under_way: dict[PeerId, wire.Stand] = {}
    for deed, who in deeds:
        two.now += 100.0
        match deed:
            case "ask":
                two.ask(who)
            case "end":
                two.end(who)
            case "refuse":
                two.refuse(who)
            case "say":  # now, or kept on the way until "late"
                under_way[who] = two.word(who)
            case "late":
                if who in under_way:
                    two.hear(two.other(who), under_way.pop(who))
    for who in (ANN, BOB):  # a stream ends before the next one begins
        if who in under_way:
            two.hear(two.other(who), under_way.pop(who))
    two.settle()
    names = {two.name(ANN), two.name(BOB)}
    assert names in ({"friend"}, {"none"}, {"asked", "asking"}, {"asked", "none"}), names
    for who in (ANN, BOB):
        if two.name(who) == "friend":
            assert two.mine[ANN] and two.mine[BOB], "only where both said yes"


@given(steps)
def test_bonds_come_back_from_the_disk_as_they_were(deeds: list[tuple[str, PeerId]]) -> None:
    two = Two()
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript("".join(bonds.STEPS))
        for deed, who in deeds:
            two.now += 100.0
            if deed in ("ask", "end", "refuse"):
                getattr(two, deed)(who)
            two.hear(two.other(who), two.word(who))
            bonds.save(db, two.bonds[ANN][BOB])
        found = bonds.load(db)
    assert found == [bond for bond in two.bonds[ANN].all() if not bond.empty]


# -- presence


def test_idling_makes_away_and_a_touch_makes_available() -> None:
    me = Mine(0.0, idle_away=60.0)
    assert me.shown(59.0) == "available" and me.next_tick(59.0) == 60.0
    assert me.shown(60.0) == "away" and me.next_tick(60.0) is None
    me.touch(100.0)
    assert me.shown(100.0) == "available"
    me.doing = "Pong"
    assert me.shown(1000.0) == "match" and me.here(1000.0).doing == "Pong"
    me.presence = "offline"
    assert me.here(1000.0) == wire.Here("offline")


def test_a_friend_is_gone_only_after_a_while() -> None:
    others = Others()
    assert others.heard(ANN, wire.Here("available"), 0.0) is not None
    others.gone(ANN, 10.0)
    assert others.of(ANN).presence == "available" and others.tick(10.0 + LINGER - 0.1) == []
    assert others.heard(ANN, wire.Here("available"), 12.0) is None, "back, and nothing changed"
    assert others.next_tick() is None
    others.gone(ANN, 20.0)
    assert others.tick(20.0 + LINGER) == [ANN] and others.of(ANN).presence == "offline"


def test_who_changes_all_the_time_is_not_followed_but_may_always_vanish() -> None:
    others = Others()
    taken = sum(others.heard(ANN, wire.Here("away", str(number)), 0.0) is not None for number in range(100))
    assert taken <= 20
    assert others.heard(ANN, wire.Here("offline"), 0.0) is not None and others.of(ANN).presence == "offline"


def test_notices_are_the_last_two_hundred() -> None:
    notices = Notices()
    for number in range(300):
        notices.add("message", 0.0, conversation="peer:x", text=str(number))
    assert [one.text for one in notices.after(0)] == [str(number) for number in range(100, 300)]
    assert [one.seq for one in notices.after(299)] == [300]
    assert notices.read("peer:x") and notices.after(0) == [] and not notices.read("peer:x")
    assert notices.add("message", 0.0).seq == 301


# -- the outbox


@given(st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_bodies_arrive_once_and_in_order_whoever_forgets_what_was_not_written(seed: int) -> None:
    """Both sides may be killed at any moment: what was not committed is gone, what was under way is lost."""
    dice = random.Random(seed)
    me, you = bytes(ANN), bytes(BOB)
    with closing(sqlite3.connect(":memory:")) as mine, closing(sqlite3.connect(":memory:")) as yours:
        for db in (mine, yours):
            db.executescript("".join(outbox.STEPS))
            db.execute("CREATE TABLE got (text TEXT)")
            db.commit()
        written: list[str] = []
        refused: set[str] = set()
        for turn in range(40):
            for _ in range(dice.randrange(3)):
                text = f"{turn}.{len(written)}"
                _, seq = outbox.number(mine, you, dice.randbytes(16))
                outbox.put(mine, you, seq, 0.0, wire.Text(text))
                if dice.random() < 0.8:
                    mine.commit()
                    written.append(text)
                else:
                    mine.rollback()  # killed before it was on the disk: the person was not told it was sent
            for say in outbox.load(mine, you, 0, dice.randrange(1, 5)):
                if dice.random() < 0.2:
                    break  # lost on the way
                known, why = outbox.known(yours, me, say.chain, say.seq)
                assert isinstance(say.body, wire.Text)
                if not known:
                    why = "no" if dice.random() < 0.1 else None
                    assert outbox.came(yours, me, say.chain, say.seq, 0.0, why)
                    if why is None:
                        yours.execute("INSERT INTO got VALUES (?)", (say.body.text,))
                    if dice.random() < 0.2:
                        yours.rollback()
                        break
                    yours.commit()
                if dice.random() < 0.3:
                    break  # the answer is lost
                body = outbox.done(mine, you, say.chain, say.seq)
                if dice.random() < 0.2:
                    mine.rollback()
                    break
                mine.commit()
                if why is not None:
                    assert isinstance(body, wire.Text)
                    refused.add(body.text)
        for say in outbox.load(mine, you, 0, 1000):
            known, why = outbox.known(yours, me, say.chain, say.seq)
            assert isinstance(say.body, wire.Text)
            if not known:
                outbox.came(yours, me, say.chain, say.seq, 0.0)
                yours.execute("INSERT INTO got VALUES (?)", (say.body.text,))
            elif why is not None:
                refused.add(say.body.text)
        got = [text for (text,) in yours.execute("SELECT text FROM got ORDER BY rowid")]
    assert got == [text for text in written if text not in refused]


def test_chains_of_one_peer_are_few() -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript("".join(outbox.STEPS))
        for number in range(20):
            assert outbox.came(db, bytes(ANN), bytes([number]) * 16, 1, float(number))
        assert db.execute("SELECT count(*) FROM inbox").fetchone()[0] == outbox.MOST_CHAINS
        assert not outbox.came(db, bytes(ANN), bytes([19]) * 16, 1, 99.0)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_an_error_of_the_peer(data: bytes) -> None:
    from servent.errors import BadMessage

    for decoder in (wire.read_told, wire.read_answer):
        try:
            decoder.decode(data)
        except BadMessage:
            continue


def test_the_longest_message_fits_into_a_frame() -> None:
    from servent.codec import frame

    links = ["magnet:?" + "x" * (wire.LINK_CHARACTERS - 8)] * wire.ATTACHMENTS
    for body in (
        wire.Text("😀" * wire.TEXT_CHARACTERS, links, b"i" * 16),
        wire.Parcel("k" * 32, b"d" * wire.PARCEL_BYTES),
    ):
        assert len(frame(wire.Say(b"c" * 16, 2**53, 1e11, body))) <= wire.FRAME_BYTES


# -- the history


def said(number: int, text: str, conversation: str = "peer:a", author: PeerId = ANN, **more: object) -> Row:
    row = Row(
        conversation, number.to_bytes(16, "big"), bytes(author), history.place_of(number * 1_000_000), float(number),
        float(number), text=text, unread=True,
    )  # fmt: skip
    return row._replace(**more)


@pytest.fixture
def db():
    with closing(sqlite3.connect(":memory:")) as made:
        made.executescript("".join(history.STEPS))
        yield made


def found(db: sqlite3.Connection, text: str, *args: object) -> list[str]:
    return [row.text for row in history.search(db, history_words.asked(text), *args)]


def test_what_was_said_is_found_by_words_phrases_and_without(db: sqlite3.Connection) -> None:
    for number, text in enumerate(
        [
            "The quick brown fox",
            "brown bread and quick soup",
            "Zoë's café",
            "fox",
            "日本語のテキスト",
            "e-mail me",
        ],
        1,
    ):
        history.add(db, said(number, text))
    history.add(db, said(7, "quick fox of Bob", "peer:b", BOB))
    assert found(db, "quick") == ["quick fox of Bob", "brown bread and quick soup", "The quick brown fox"]
    assert found(db, '"quick brown"') == ["The quick brown fox"]
    assert found(db, "quick -soup -bob") == ["The quick brown fox"]
    assert found(db, "CAFE zoe") == ["Zoë's café"]
    assert found(db, "本語") == ["日本語のテキスト"]
    assert found(db, "quick", "peer:b") == ["quick fox of Bob"]
    assert found(db, "quick", "", bytes(ANN)) == ["brown bread and quick soup", "The quick brown fox"]
    assert found(db, "fox", "", None, 4.0) == ["The quick brown fox"]
    for bad in ("", "-fox", '""', "!!!", " ".join(f"w{number}" for number in range(20))):
        with pytest.raises(UsageError):
            history_words.asked(bad)


def test_ranges_are_where_the_words_stand() -> None:
    text = 'Der "Café-Besuch" war schön: café!'
    asked = history_words.asked('cafe "war schon"')
    assert [text[a:b] for a, b in asked.ranges(text)] == ["Café", "war schön", "café"]


@given(st.text(max_size=80), st.text(max_size=30))
@settings(max_examples=200, deadline=None)
def test_whatever_is_typed_is_a_question_or_said_to_be_none(text: str, query: str) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript("".join(history.STEPS))
        history.add(db, said(1, text))
        try:
            asked = history_words.asked(query)
        except UsageError:
            return
        for row in history.search(db, asked):
            for start, end in asked.ranges(row.text):
                assert 0 <= start < end <= len(row.text)


def test_long_texts_are_found_by_their_last_word(db: sqlite3.Connection) -> None:
    history.add(db, said(1, "word " * 700 + "needle"))
    assert len(found(db, "needle")) == 1


def test_pages_go_both_ways(db: sqlite3.Connection) -> None:
    for number in range(1, 101):
        history.add(db, said(number, str(number)))
    page, more = history.page(db, "peer:a", "", "", 10)
    assert [row.text for row in page] == [str(number) for number in range(91, 101)] and more
    before, more = history.page(db, "peer:a", page[0].place, "", 95)
    assert [row.text for row in before] == [str(number) for number in range(1, 91)] and not more
    after, _ = history.page(db, "peer:a", "", before[-1].place, 5)
    assert [row.text for row in after] == ["91", "92", "93", "94", "95"]


def test_what_is_unread_is_counted_and_what_is_read_is_not(db: sqlite3.Connection) -> None:
    for number in range(1, 6):
        history.add(db, said(number, str(number), mention=number == 5))
    assert history.tally(db, "peer:a")[:2] == (5, 1)
    history.mark_read(db, "peer:a", history.place_of(3_000_000))
    assert history.tally(db, "peer:a").unread == 2
    history.mark_read(db, "peer:a", history.place_of(1))
    tally = history.tally(db, "peer:a")
    assert tally.unread == 2 and tally.read == history.place_of(3_000_000), "a mark does not go back"
    history.take_back(db, "peer:a", [(5).to_bytes(16, "big")])
    assert history.tally(db, "peer:a")[:2] == (1, 0) and found(db, "5") == []
    history.mark_read(db, "peer:a", "")
    history.set_silent(db, "peer:a", True)
    assert history.tally(db, "peer:a")[0] == 0 and history.tallies(db)["peer:a"].silent


def test_the_past_is_forgotten_as_it_is_told_to(db: sqlite3.Connection) -> None:
    for number in range(1, 101):
        history.add(db, said(number, f"common word{number}"))
    assert history.add(db, said(1, "again")) is None, "an id is one message"
    assert history.forget_before(db, 11.0, 5) == 5 and history.forget_before(db, 11.0) == 5
    assert history.keep_newest(db, "peer:a", 50) == 40
    assert len(found(db, "common", "", None, None, 200)) == 50 == history.count(db, "peer:a")
    history.clear(db, "peer:a")
    assert found(db, "common") == [] and history.tallies(db) == {}


def test_places_never_go_back_though_the_clock_does(db: sqlite3.Connection) -> None:
    places = []
    for number, now in enumerate([100.0, 50.0, 50.0, 200.0], 1):
        places.append(history.next_place(db, "peer:a", now))
        history.add(db, said(number, "x", place=places[-1]))
    assert places == sorted(set(places))


def test_a_token_stands_for_one_message_for_a_day(db: sqlite3.Connection) -> None:
    history.add(db, said(1, "x", token="t"))
    found_row = history.by_token(db, "peer:a", "t", 100.0)
    assert found_row is not None and found_row.text == "x"
    assert (
        history.by_token(db, "peer:b", "t", 100.0) is None and history.by_token(db, "peer:a", "", 0.0) is None
    )
    assert history.by_token(db, "peer:a", "t", 1.0 + history.TOKEN_LIFETIME + 1) is None
    assert history.add(db, said(2, "y", token="t")) is not None
