"""Those who watch see what was played, as late as the players want it, from wherever in the tree they hang."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servent.codec import canonical
from servent.errors import BadMessage, UsageError
from servent.play import feeds, lab
from servent.play.engine import Engine
from servent.play.feeds import batch
from servent.play.lab import BEGIN, Match, Weather
from servent.play.lab_joins import Stream
from servent.play.model import Confirmed, Settings
from servent.play.recent import Recent
from servent.play.snapshots import Gathering, Offer, Piece, Snapshot
from servent.play.watching import FASTEST, KEYFRAME, Log, Place, Source, Tree, Watcher
from tests.play.counting import Counting

BAD = Weather(rtt=0.1, loss=0.05)
TWO = Settings(players=2)


class Eyes:
    """One who watches: it comes with a snapshot, and hands on what it has."""

    def __init__(self, snapshot: Snapshot, match: Match, dice: Random, now: float) -> None:
        offer, *pieces = snapshot.messages()
        assert isinstance(offer, Offer)
        gathering = Gathering(offer)
        for piece in pieces:
            assert isinstance(piece, Piece)
            gathering.add(piece)
        self.log = Log(match.settings, offer.frame)
        engine = Engine(Counting(), match.settings.players, 0)
        engine.put(gathering.state(), offer.frame)
        self.watcher, self.source = Watcher(engine, self.log), Source(self.log)
        self.stream, self.position = Stream(match.weather, dice), offer.frame
        self.came, self.near = now, 1e9


class Watched(lab.Table):
    """A match that player 0 feeds to those who watch; each tenth of a second the tree passes on what there is."""

    def __init__(self, match: Match, delay: float, comes: list[float]) -> None:
        dice = Random(3)
        super().__init__(match, dice, Counting(), lab.people())
        self.dice, self.comes, self.delay = dice, comes, delay
        self.log = Log(match.settings)
        self.source = Source(self.log, delay)
        self.tree: Tree[int] = Tree(fan=1, roots=1)  # a chain: the worst that can be
        self.eyes: dict[int, Eyes] = {}
        self.held: list[tuple[float, int]] = []
        self._players[0].recent = Recent(match.settings)
        self.begun = self._players[0].engine.state

    def _begin(self) -> None:
        self._at(BEGIN, 0, -2, b"")
        for index, at in enumerate(self.comes):
            self._at(BEGIN + at, index, -3, b"")

    def _other(self, now: float, seat: int, sender: int, data: bytes) -> None:
        if sender == -4:
            self.eyes[seat].log.take(feeds._frames.decode(data))
        elif sender == -3:
            recent = self._players[0].recent
            assert recent is not None
            frame = max(at for at in range(self.source.shown + 1) if at == 0 or recent.state(at) is not None)
            state = recent.state(frame) or self.begun
            self.eyes[seat] = Eyes(Snapshot(state, frame), self._match, self.dice, now)
            self.tree.add(seat)
        else:
            self._feed(now)

    def _feed(self, now: float) -> None:
        for frame in range(self.log.next, len(self._players[0].final)):
            self.log.add(self._players[0].final[frame])
        self.held.append((now, self.log.next))
        self.source.tick(now)
        for who, eyes in self.eyes.items():
            parent = self.tree.add(who).parent
            source = self.source if parent is None else self.eyes[parent].source
            source.tick(now)
            found = source.batch(eyes.position)
            if found is not None:
                data = canonical(found)
                eyes.position += found.count
                self._at(eyes.stream.arrives(len(data), now), who, -4, data)
            for _ in range(6):
                eyes.watcher.turn()
            late = [next for at, next in self.held if at <= now - self.delay + 0.001]
            assert eyes.log.next <= max(late, default=0)  # nobody has frames sooner than the players want
            if self.source.shown - eyes.watcher.frame < 60 and eyes.watcher.frame > eyes.log.first:
                eyes.near = min(eyes.near, now)
        self._at(now + 0.1, 0, -2, b"")


@pytest.mark.parametrize("delay", [0.0, 1.5])
def test_down_a_chain_under_loss_all_see_what_was_played(delay: float) -> None:
    match = Match(settings=TWO, duration=9, weather=BAD)
    table = Watched(match, delay, [3.0, 3.2, 5.0])
    outcome = table.play()
    assert [place.depth for place in map(table.tree.add, range(3))] == [1, 2, 3]
    truth = {0: table.begun}
    for frame, one in table._players[0].final.items():
        truth[frame + 1] = Counting().step(truth[frame], one.inputs)
    for eyes in table.eyes.values():
        assert eyes.near - eyes.came < 3.0
        assert eyes.watcher.frame > 60 * (9 - delay - 2)
        assert eyes.watcher.state == truth[eyes.watcher.frame]
    assert outcome.fps > 59


def played(frames: int) -> list[Confirmed]:
    dice = Random(5)
    return [
        Confirmed(n, (bytes((dice.choice((0, 0, 7)),)), b"\1"), 2 if n > 900 else 0) for n in range(frames)
    ]


def test_who_is_behind_hurries_and_who_went_back_does_not() -> None:
    log = Log(TWO)
    for one in played(2000):
        log.add(one)
    engine = Engine(Counting(), 2, 1)
    straight = {0: engine.state}
    for one in played(2000):
        straight[one.frame + 1] = Counting().step(straight[one.frame], one.inputs)
    watcher = Watcher(engine, log)
    assert watcher.turn() == FASTEST
    turns = 1
    while watcher.behind:
        assert 1 <= watcher.turn() <= FASTEST
        turns += 1
    assert turns < 2000 / FASTEST + 60 and watcher.turn() == 0 and watcher.state == straight[2000]
    for frame in (700, 650, 1999, 0, 1300):
        assert watcher.seek(frame) == frame and watcher.state == straight[frame]
    assert watcher.turn() == 1 and watcher.frame == 1301
    watcher.catch_up()
    assert watcher.turn() == FASTEST
    assert watcher.seek(-5) == 0 and watcher.seek(9999) == 2000
    assert set(watcher._kept) == set(range(0, 2001, KEYFRAME))
    with pytest.raises(UsageError):
        Watcher(Engine(Counting(), 2, 1), Log(TWO, 60))


def test_a_log_takes_what_fits_and_nothing_else() -> None:
    frames = played(100)
    log = Log(TWO, 10)
    assert log.take(batch(frames[10:40], 40, 1)) == 30
    assert log.take(batch(frames[20:60], 60, 1)) == 20
    assert log.take(batch(frames[20:30], 60, 1)) == 0
    assert log.between(10, 99) == frames[10:60]
    other = [*frames[50:59], Confirmed(59, (b"\x55", b"\1"))]
    for wrong in (frames[61:70], frames[5:70], [*other, frames[60]]):
        with pytest.raises(BadMessage):
            log.take(batch(wrong, 100, 1))
    assert log.next == 60
    with pytest.raises(UsageError):
        log.add(frames[70])
    source = Source(log)
    with pytest.raises(UsageError, match="before the beginning"):
        source.batch(9)
    found = source.batch(30)
    assert found is not None and feeds.unfolded(found, TWO) == frames[30:60] and source.batch(60) is None
    with pytest.raises(UsageError):
        Source(log, 31.0)


@settings(max_examples=40, derandomize=True)
@given(
    fan=st.integers(1, 3),
    roots=st.integers(1, 2),
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 20))),
)
def test_the_tree_stays_a_tree(fan: int, roots: int, steps: list[tuple[bool, int]]) -> None:
    tree: Tree[int] = Tree(fan, roots)
    for comes, who in steps:
        if comes:
            tree.add(who)
        else:
            moved = tree.remove(who)
            assert who not in moved
        places: dict[int, Place[int]] = tree._places
        fed = [place.parent for place in places.values()]
        assert fed.count(None) <= roots
        assert all(fed.count(one) <= fan for one in places)
        for place in places.values():  # each way up ends with those who play, one step shorter each time
            assert place.depth == (1 if place.parent is None else places[place.parent].depth + 1)


def test_who_loses_its_feeder_is_fed_by_another_at_once() -> None:
    tree: Tree[str] = Tree(fan=2, roots=1)
    places = [tree.add(who) for who in "abcde"]
    assert places == [Place(None, 1), Place("a", 2), Place("a", 2), Place("b", 3), Place("b", 3)]
    assert tree.add("b") == Place("a", 2)
    moved = tree.remove("b")
    assert set(moved) == {"d", "e"} and all(place.parent in ("a", "c") for place in moved.values())
    assert tree.remove("nobody") == {}
    with pytest.raises(UsageError):
        Tree(0)
