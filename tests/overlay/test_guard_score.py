"""Limits by address block, rates, and scores."""

from hypothesis import given
from hypothesis import strategies as st

from servent.overlay.guard import Entry, Guard, place_of
from servent.overlay.score import BANNED, DROP, FIRST_MOST, FORGED, REFUSED, Scores
from tests.overlay.throng import context_of, key_of, record_of


def entries(*addresses: str, mine: bool = False):
    """Neighbours at these addresses."""
    found = {}
    for number, address in enumerate(addresses, 100):
        record = record_of(number, address)
        found[key_of(number)] = Entry(record, place_of(record), b"", float(number), mine)
    return found


def place(address: str):
    return place_of(record_of(1, address))


def test_one_neighbour_of_a_block_and_two_of_a_wide_one() -> None:
    guard = Guard(context_of(0, address="50.0.0.1:1"))
    some = entries("51.1.1.1:1", "51.1.2.1:1", "52.1.1.1:1")
    assert guard.crowding(some.items(), place("51.1.1.9:1"), False) == [key_of(100)]
    assert guard.crowding(some.items(), place("51.1.3.9:1"), False) == [key_of(100), key_of(101)]
    assert guard.crowding(some.items(), place("52.1.3.9:1"), False) == []
    assert guard.crowding(some.items(), place("52.1.3.9:1"), True) == [key_of(102)]
    assert guard.crowding(some.items(), place("53.1.3.9:1"), True) == []


def test_our_own_block_has_no_limit() -> None:
    guard = Guard(context_of(0, address="51.1.1.200:1"))
    office = entries("51.1.1.1:1", "51.1.1.2:1", "51.1.1.3:1")
    assert guard.crowding(office.items(), place("51.1.1.4:1"), True) == []
    assert not guard.counts(place("51.1.1.4:1"))


def test_relayed_peers_share_a_bucket_unless_we_are_relayed_too() -> None:
    hidden = entries("", "192.168.0.7:1")
    public = Guard(context_of(0, address="50.0.0.1:1"))
    assert set(public.crowding(hidden.items(), place(""), False)) == set(hidden)
    for own in ("", "10.0.0.1:1"):
        assert Guard(context_of(0, address=own)).crowding(hidden.items(), place(""), False) == []


def test_what_we_chose_ourselves_stays_while_there_are_others() -> None:
    guard = Guard(context_of(0, address="50.0.0.1:1"))
    chosen = entries("51.1.1.1:1", "52.1.1.1:1", "53.1.1.1:1", "54.1.1.1:1", mine=True)
    other = {key_of(7): Entry(record_of(7), place_of(record_of(7)), b"", 0.0)}
    assert guard.in_the_way({**chosen, **other}, place("60.1.1.1:1"), False, 5, False, 500.0) == [key_of(7)]
    strangers = entries("51.1.1.1:1", "52.1.1.1:1", "53.1.1.1:1")
    left = [guard.in_the_way(strangers, place("60.1.1.1:1"), False, 5, False, 500.0) for _ in range(50)]
    assert {one[0] for one in left} == {key_of(101), key_of(102)}, "never the one that is there for longest"
    assert guard.in_the_way(strangers, place("60.1.1.1:1"), True, 5, False, 500.0) == []


@given(st.floats(1.0, 600.0), st.lists(st.floats(0.0, 30.0), max_size=200))
def test_a_rate_is_never_exceeded_by_more_than_its_burst(per_minute: float, pauses: list[float]) -> None:
    guard = Guard(context_of(0))
    now = taken = 0.0
    for pause in pauses:
        now += pause
        taken += guard.may("told", b"peer", per_minute, now, 5.0)
        assert taken <= 5.0 + now * per_minute / 60.0 + 0.01


def test_rates_are_bounded_and_forgotten() -> None:
    guard = Guard(context_of(0))
    for number in range(5000):
        assert guard.may("told", key_of(number), 60.0, 1.0)
    assert len(guard._rates) <= 1024
    guard.expire(1e6)
    assert not guard._rates


def test_good_deeds_are_capped_and_fade() -> None:
    scores = Scores()
    for _ in range(100):
        scores.add(b"a", 1.0, 0.0)
    assert scores.of(b"a", 0.0) == FIRST_MOST
    assert abs(scores.of(b"a", 10.0) - 0.99 * FIRST_MOST) < 1e-6
    assert scores.of(b"b", 3600.0, since=0.0) == 10.0


def test_one_forgery_costs_ten_minutes_and_two_a_day_for_the_block_as_well() -> None:
    scores = Scores()
    assert scores.add(b"a", FORGED, 0.0, "4:010101")
    assert scores.refuses(b"a", REFUSED - 1) and not scores.refuses(b"a", REFUSED + 1)
    assert not scores.refuses(b"b", 1.0, "4:010101")
    scores.add(b"a", FORGED, 1.0, "4:010101")
    assert scores.refuses(b"a", BANNED - 1)
    assert scores.refuses(b"b", 2.0, "4:010101") and not scores.refuses(b"b", 2.0, "4:020202")
    scores.expire(BANNED + 2.0)
    assert not scores.refuses(b"a", BANNED + 2.0)


def test_small_faults_add_up() -> None:
    scores = Scores()
    refused = [scores.add(b"a", -5.0, float(second)) for second in range(12)]
    assert refused[-1] and not any(refused[:10])
    assert scores.of(b"a", 12.0) < DROP


def test_scores_are_bounded() -> None:
    scores = Scores()
    for number in range(10_000):
        scores.add(key_of(number), FORGED, 0.0)
    assert len(scores._kept) <= 2048 and len(scores._refused) <= 2048
