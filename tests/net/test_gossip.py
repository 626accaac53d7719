"""Who is told about whom."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from servent.identity import PeerId
from servent.net.gossip import MOST_MEMBERS, Gossip, Tell

CLUB, TEAM = b"club", b"team"
ANN, BOB, CAT = (PeerId(bytes([n]) * 32) for n in range(3))


def numbered(number: int) -> PeerId:
    return PeerId(number.to_bytes(32, "big"))


def everything(gossip: Gossip, now: float = 0.0) -> list[Tell]:
    told = []
    while (due := gossip.next_tick()) is not None:
        now = max(now, due)
        told += gossip.tick(now)
    return told


def test_members_of_one_network_are_told_of_each_other_once() -> None:
    gossip = Gossip()
    gossip.arrived(ANN, frozenset([CLUB]))
    gossip.arrived(BOB, frozenset([CLUB]))
    assert everything(gossip) == [Tell(ANN, CLUB, (BOB,)), Tell(BOB, CLUB, (ANN,))]
    gossip.arrived(BOB, frozenset([CLUB]))
    assert everything(gossip) == []


def test_who_shares_no_network_is_told_nothing() -> None:
    gossip = Gossip()
    gossip.arrived(ANN, frozenset([CLUB]))
    gossip.arrived(BOB, frozenset([TEAM]))
    gossip.arrived(CAT, frozenset())
    assert everything(gossip) == []


def test_one_who_moved_is_told_to_those_who_share_a_network_with_it() -> None:
    gossip = Gossip()
    gossip.arrived(ANN, frozenset([CLUB]))
    gossip.arrived(BOB, frozenset([CLUB, TEAM]))
    gossip.arrived(CAT, frozenset([TEAM]))
    everything(gossip)
    gossip.moved(ANN)
    assert everything(gossip, 100.0) == [Tell(BOB, CLUB, (ANN,))]


def test_a_peer_hears_at_most_once_a_second_and_of_sixty_four_at_a_time() -> None:
    gossip = Gossip()
    for number in range(200):
        gossip.arrived(numbered(number), frozenset([CLUB]))
    gossip.arrived(ANN, frozenset([CLUB]))
    heard = []
    for now in range(5):
        mine = [tell for tell in gossip.tick(float(now)) if tell.to == ANN]
        assert len(mine) <= 1
        heard += mine
    assert all(len(tell.about) <= MOST_MEMBERS for tell in heard)
    assert len({who for tell in heard for who in tell.about}) >= 199


def test_who_left_is_neither_told_nor_told_of() -> None:
    gossip = Gossip()
    gossip.arrived(ANN, frozenset([CLUB]))
    gossip.arrived(BOB, frozenset([CLUB]))
    gossip.left(BOB)
    assert everything(gossip) == []


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.sampled_from(["join", "leave", "move", "tick"]), st.integers(0, 7)),
        max_size=80,
    )
)
def test_nobody_ever_hears_of_someone_it_shares_no_network_with(
    steps: list[tuple[int, str, int]],
) -> None:
    gossip, now = Gossip(), 0.0
    memberships: dict[PeerId, frozenset[bytes]] = {}
    for who, what, networks in steps:
        peer = numbered(who)
        match what:
            case "join":
                chosen = frozenset(n for bit, n in enumerate((CLUB, TEAM, b"third")) if networks >> bit & 1)
                memberships[peer] = chosen
                gossip.arrived(peer, chosen)
            case "leave":
                memberships.pop(peer, None)
                gossip.left(peer)
            case "move":
                gossip.moved(peer)
            case _:
                now += 1.0
                for tell in gossip.tick(now):
                    assert tell.network in memberships[tell.to]
                    for other in tell.about:
                        assert tell.network in memberships[other] and other != tell.to
