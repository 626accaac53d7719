"""Finds from many peers become one hit for each content, whatever the order they come in."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from servent.identity import PeerId
from servent.share.folding import MOST_SOURCES, Fold, Found, Standing
from servent.share.recommend import CAUTION, WHOLE, Stretch, alike, reach, recommend

ME, ANN, BOB, CAT = (PeerId(bytes([n]) * 32) for n in range(4))


def content(number: int) -> bytes:
    return number.to_bytes(32, "big")


def one(number: int, path: str = "A/x.mp3", size: int = 100, score: float = 5.0, **tags: str) -> Found:
    return Found(content(number), size, path, 1, 0.0, tags, score)


def test_one_content_is_one_hit_with_all_its_places() -> None:
    fold = Fold(10)
    assert fold.add(Standing(ANN), [one(1, "A/x.mp3"), one(1, "A/copy of x.mp3")]) == [content(1)]
    assert fold.add(Standing(BOB), [one(1, "B/x.mp3", title="X")]) == [content(1)]
    assert fold.add(Standing(BOB), [one(1, "B/x.mp3", title="X")]) == []  # nothing new
    hit = fold.hit(content(1))
    assert hit.name == "x.mp3" and hit.tags == {"title": "X"} and not hit.here
    assert {source.path for source in hit.sources} == {"A/x.mp3", "A/copy of x.mp3", "B/x.mp3"}


def test_own_comes_before_friends_before_free_slots_before_the_rest() -> None:
    fold = Fold(10)
    fold.add(Standing(BOB), [one(1), one(2), one(3), one(4), one(5)])
    fold.add(Standing(BOB, free=True), [one(2, "A/free.mp3")])
    fold.add(Standing(ANN, friend=True), [one(3, "A/friend.mp3")])
    fold.add(Standing(ME, mine=True), [one(4, "A/mine.mp3")])
    fold.add(Standing(CAT), [one(5, "A/also.mp3")])
    ranked = [int.from_bytes(hit.content, "big") for hit in fold.ranked()]
    assert ranked[0] == 4 and ranked[1] == 3 and ranked[-1] == 1
    mine = fold.hit(content(4))
    assert mine.here and mine.name == "mine.mp3" and mine.sources[0].at.mine


def test_the_size_is_what_we_know_else_what_most_say() -> None:
    fold = Fold(10)
    fold.add(Standing(BOB), [one(1, size=7)])
    fold.add(Standing(CAT), [one(1, size=7, path="B/y.mp3")])
    fold.add(Standing(ANN, friend=True), [one(1, size=100)])
    assert fold.hit(content(1)).size == 100
    fold.add(Standing(ME, mine=True), [one(1, size=101)])
    hit = fold.hit(content(1))
    assert hit.size == 101 and [source.at.peer for source in hit.sources] == [ME]


def test_no_peer_fills_the_answer_and_no_hit_grows_without_end() -> None:
    fold = Fold(10)
    fold.add(Standing(BOB), [one(n) for n in range(100)])
    assert len(fold) == 6 and fold.more
    fold.add(Standing(ANN), [one(n) for n in range(200, 300)])
    assert len(fold) == 10
    for n in range(200):
        fold.add(Standing(PeerId(n.to_bytes(32, "big"))), [one(1, f"A/{n}.mp3")])
    fold.add(Standing(CAT), [one(1, f"A/{n}.mp3") for n in range(50)])
    fold.add(Standing(ANN, friend=True), [one(1, "A/friend.mp3")])
    hit = fold.hit(content(1))
    assert len(hit.sources) == MOST_SOURCES and hit.sources[0].at.friend


def test_what_is_hidden_never_comes_in() -> None:
    fold = Fold(10, lambda content, name, kind, size: "blocked" if name.endswith(".exe") else "")
    assert fold.add(Standing(BOB), [one(1, "A/x.exe"), one(2)]) == [content(2)]


SAID = st.lists(
    st.tuples(
        st.sampled_from([Standing(ME, mine=True), Standing(ANN, friend=True, free=True), Standing(BOB), Standing(CAT, free=True)]),
        st.builds(one, st.integers(1, 3), st.sampled_from(["A/x.mp3", "B/y.mp3"]), st.sampled_from([5, 6])),
    ),
    min_size=1,
    max_size=20,
)  # fmt: skip


@given(SAID)
def test_every_hit_is_of_one_size_and_its_best_source_is_first(said: list[tuple[Standing, Found]]) -> None:
    fold = Fold(100)
    changed: set[bytes] = set()
    for at, found in said:
        changed.update(fold.add(at, [found]))
    assert changed == {found.content for _, found in said}
    for hit in fold.ranked():
        assert hit.sources and {source.size for source in hit.sources} == {hit.size}
        worth = [(3 * s.at.mine + 2 * s.at.friend + (s.at.free or s.at.mine)) for s in hit.sources]
        assert worth == sorted(worth, reverse=True)
        spoken = {found.size for at, found in said if found.content == hit.content and at.mine}
        assert not spoken or hit.size in spoken


# -- recommendations

START = bytes(32)


def stretch(peer: PeerId, numbers: range | list[int], at: int = WHOLE) -> Stretch:
    return Stretch(Standing(peer, peer.short), {content(n): one(n, f"S/{n}.mp3") for n in numbers}, at)


def test_what_the_most_alike_have_comes_first() -> None:
    mine = {content(n) for n in range(20)}
    samples = [stretch(ANN, range(30)), stretch(BOB, [0, 1, *range(100, 140)]), stretch(CAT, range(200, 220))]
    picks = recommend(START, mine, WHOLE, samples, 100)
    numbers = [int.from_bytes(pick.found[0][1].content, "big") for pick in picks]
    assert set(numbers[:10]) == set(range(20, 30)) and set(numbers[10:]) == set(range(100, 140))
    assert (
        picks[0].because == f"{ANN.short} has this, and about 57% of what you two have is in both libraries"
    )
    assert all(content(n) not in mine for n in numbers)


def test_several_who_are_alike_weigh_more_than_one() -> None:
    mine = {content(n) for n in range(20)}
    samples = [stretch(ANN, [*range(20), 50]), stretch(BOB, [*range(19), 51]), stretch(CAT, [*range(19), 51])]
    first = recommend(START, mine, WHOLE, samples, 10)[0]
    assert first.found[0][1].content == content(51) and "another peer" in first.because


def test_samples_are_compared_only_as_far_as_both_go() -> None:
    mine = [content(n) for n in range(0, 1000, 2)]
    cut = stretch(ANN, range(100))
    cut = replace(cut, reach=reach(START, cut.files, more=True))
    assert cut.reach == 99
    assert alike(START, mine, WHOLE, cut) == 50 / (100 + CAUTION)
    assert reach(START, [], more=True) == 0 and reach(START, mine, more=False) == WHOLE
    assert recommend(START, [], WHOLE, [cut], 5) == []
