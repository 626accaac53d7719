import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servent.errors import BadMessage
from servent.identity import Identity, PeerId
from servent.net.relay import frames
from servent.net.relay.core import Link, RelayCore, address_block
from servent.net.relay.frames import Kind
from servent.net.relay.settings import RelaySettings

ANN, BOB, CAT = (Identity(bytes(31) + bytes([n])) for n in (1, 2, 3))


def relay(allowed: set[PeerId] | None = None, **limits: object) -> RelayCore:
    settings = RelaySettings(**limits)  # type: ignore[arg-type]
    return RelayCore(settings, lambda peer: allowed is None or peer in allowed, random.Random(1).randbytes)


def enter(core: RelayCore, who: Identity, address: str = "192.0.2.1", now: float = 0.0) -> Link:
    link = core.opened(address, now)
    assert link is not None
    core.greet(link, frames.V2)
    (challenge,) = core.take(link)
    core.received(link, frames.auth(who.peer, who.sign(frames.to_sign(challenge[1:]))), now)
    return link


def datagram(to: Identity, payload: bytes = b"hello") -> bytes:
    return bytes([Kind.DATAGRAM_IN]) + to.peer + b"\x00" + payload


def test_a_datagram_reaches_the_key_it_names() -> None:
    core = relay()
    ann, bob = enter(core, ANN), enter(core, BOB)
    assert core.take(ann) == [bytes([Kind.CONFIRMS])]
    core.take(bob)
    core.awake()
    core.received(ann, datagram(BOB), 1.0)
    assert core.awake() == [bob]
    assert core.take(bob) == [bytes([Kind.DATAGRAM_OUT]) + ANN.peer + b"\x00hello"]
    assert core.view(1.0).datagrams == 1


def test_nobody_sends_before_proving_a_key() -> None:
    core = relay()
    link = core.opened("192.0.2.1", 0.0)
    assert link is not None
    with pytest.raises(BadMessage):
        core.received(link, datagram(BOB), 0.0)


def test_a_borrowed_signature_opens_nothing() -> None:
    core = relay()
    link = core.opened("192.0.2.1", 0.0)
    assert link is not None
    core.greet(link, frames.V2)
    (challenge,) = core.take(link)
    core.received(link, frames.auth(BOB.peer, ANN.sign(frames.to_sign(challenge[1:]))), 0.0)
    assert link.ending == "bad signature" and link.peer is None
    assert core.take(link)[0][0] == Kind.DENIES
    assert core.view(0.0).clients == 0


def test_a_stranger_is_refused_where_only_known_peers_may_enter() -> None:
    core = relay(allowed={ANN.peer})
    assert enter(core, ANN).ending is None
    stranger = enter(core, BOB)
    assert stranger.ending == "not allowed"
    assert core.view(0.0).refused == {"not allowed": 1}


def test_the_newest_connection_of_a_key_receives_and_an_older_one_takes_over_again() -> None:
    core = relay()
    ann, old = enter(core, ANN), enter(core, BOB)
    core.take(old)
    new = enter(core, BOB)
    assert core.take(old) == [b"\x0d\x01"]  # another one has your key
    core.take(new)
    core.received(ann, datagram(BOB), 1.0)
    assert len(core.take(new)) == 1 and not core.take(old)
    core.closed(new)
    assert core.take(old) == [b"\x0d\x00"]  # yours is the one again
    core.received(ann, datagram(BOB), 2.0)
    assert len(core.take(old)) == 1


def test_many_connections_of_one_key_leave_only_the_last_few() -> None:
    core = relay()
    links = [enter(core, BOB) for _ in range(6)]
    assert [link.ending is None for link in links] == [False] * 3 + [True] * 3


def test_a_full_queue_drops_what_comes_on_top_and_harms_nobody_else() -> None:
    core = relay(queue_packets=10)
    ann, bob, cat = enter(core, ANN), enter(core, BOB), enter(core, CAT)
    for link in (ann, bob, cat):
        core.take(link)
    for _ in range(50):
        core.received(ann, datagram(BOB), 1.0)
    core.received(ann, datagram(CAT), 1.0)
    assert len(core.take(bob)) == 10 and len(core.take(cat)) == 1
    assert core.view(1.0).dropped_full == 40


def test_a_queue_is_bounded_in_bytes_too() -> None:
    core = relay(queue_bytes=100_000)
    ann, bob = enter(core, ANN), enter(core, BOB)
    core.take(bob)
    for _ in range(5):
        core.received(ann, datagram(BOB, bytes(40_000)), 1.0)
    assert len(core.take(bob)) == 2


def test_who_sends_faster_than_allowed_is_read_later() -> None:
    core = relay(rate_bytes_per_s=1000, burst_bytes=1000)
    ann = enter(core, ANN)
    core.received(ann, datagram(BOB, bytes(1000)), 10.0)
    core.received(ann, datagram(BOB, bytes(1000)), 10.0)
    assert ann.read_after == pytest.approx(11.0, abs=0.1)


def test_one_address_cannot_take_all_places() -> None:
    core = relay(clients=10, clients_per_address=3)
    assert [core.opened("192.0.2.1", 0.0) is not None for _ in range(4)] == [True, True, True, False]
    assert [core.opened(f"2001:db8::{n}", 0.0) is not None for n in range(4)] == [True, True, True, False]
    others = [core.opened(f"198.51.100.{n}", 0.0) for n in range(5)]
    assert sum(link is not None for link in others) == 4
    assert core.view(0.0).refused == {"too many from one address": 2, "relay full": 1}
    for link in others:
        if link is not None:
            core.closed(link)
    assert core.opened("198.51.100.9", 1.0) is not None


def test_a_silent_client_is_asked_then_dropped() -> None:
    core = relay(ping_every=15.0, ping_time=5.0)
    ann = enter(core, ANN)
    core.take(ann)
    assert core.next_tick() == 15.0
    core.tick(15.0)
    (ping,) = core.take(ann)
    assert ping[0] == Kind.PING
    core.received(ann, bytes([Kind.PONG]) + ping[1:], 16.0)
    assert core.next_tick() == 31.0
    core.tick(31.0)
    core.tick(36.0)
    assert ann.ending == "no answer to ping"


def test_a_client_that_never_proves_its_key_is_dropped() -> None:
    core = relay(handshake_time=10.0)
    link = core.opened("192.0.2.1", 0.0)
    assert link is not None
    core.tick(9.9)
    assert link.ending is None
    core.tick(10.0)
    assert link.ending == "no key proven in time"


def test_a_client_whose_socket_takes_nothing_is_dropped() -> None:
    core = relay(write_time=5.0)
    ann = enter(core, ANN)
    core.stuck(ann, 1.0)
    assert core.next_tick() == 6.0
    core.tick(6.0)
    assert ann.ending == "takes nothing"


def test_peers_hear_that_someone_who_wrote_to_them_has_left() -> None:
    core = relay()
    ann, bob = enter(core, ANN), enter(core, BOB)
    core.received(ann, datagram(BOB), 1.0)
    core.take(bob)
    core.closed(ann)
    assert core.take(bob) == [frames.gone(ANN.peer)]


def test_a_ping_is_answered_with_the_same_bytes() -> None:
    core = relay()
    ann = enter(core, ANN)
    core.take(ann)
    core.received(ann, bytes([Kind.PING]) + b"12345678", 1.0)
    assert core.take(ann) == [bytes([Kind.PONG]) + b"12345678"]


def test_a_flood_of_pings_does_not_fill_memory() -> None:
    core = relay()
    ann = enter(core, ANN)
    for _ in range(5000):
        core.received(ann, bytes([Kind.PING]) + b"12345678", 1.0)
    assert len(core.take(ann)) <= 1024


def test_closing_tells_everyone_and_takes_nobody_in() -> None:
    core = relay()
    ann = enter(core, ANN)
    core.take(ann)
    core.shut()
    assert core.awake() == [ann]
    assert core.take(ann)[0][0] == Kind.RESTARTING
    assert core.opened("192.0.2.9", 0.0) is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2), st.binary(max_size=80)), max_size=60))
def test_counts_and_queues_stay_true_under_any_traffic(story: list[tuple[int, int, bytes]]) -> None:
    core = relay(queue_packets=4)
    people, links, now = (ANN, BOB, CAT), list[Link](), 0.0
    for what, who, data in story:
        now += 1.0
        if what == 0:
            links.append(enter(core, people[who], now=now))
        elif what == 1 and links:
            link = links.pop(who % len(links))
            core.closed(link)
        elif what == 2:
            core.tick(now)
        elif links:
            link = links[who % len(links)]
            try:
                core.received(link, data if what == 3 else datagram(people[who], data or b"x"), now)
            except BadMessage:
                links.remove(link)
                core.closed(link)
    view = core.view(now)
    assert view.connections == len(links)
    assert view.clients == len({link.peer for link in links if link.peer})
    assert view.queued_bytes == sum(len(frame) for link in links for frame in core.take(link))


def test_an_ipv6_network_counts_as_one_address() -> None:
    assert address_block("2001:db8::1") == address_block("2001:db8::ffff:1") == "2001:db8::/64"
    assert address_block("::ffff:192.0.2.1") == "192.0.2.1"
    assert address_block("fe80::1%eth0") == "fe80::/64"
