"""The gate: how many may come, and who stays out."""

from __future__ import annotations

from servent.identity import PeerId
from servent.net.gate import Gate, GateSettings, source_of

ANN = PeerId(bytes(32))


def numbered(number: int) -> PeerId:
    return PeerId(number.to_bytes(32, "big"))


def test_strangers_fill_their_own_room_and_not_that_of_friends() -> None:
    gate = Gate(GateSettings(strangers=10))
    let_in = [gate.admit(numbered(n), f"192.0.2.{n}", known=False, now=0.0) for n in range(20)]
    assert sum(let_in) == 10
    assert gate.admit(ANN, "192.0.2.1", known=True, now=0.0)
    gate.done("192.0.2.0", known=False)
    assert gate.admit(numbered(50), "192.0.2.50", known=False, now=0.0)


def test_one_source_may_not_take_all_the_room_for_strangers() -> None:
    gate = Gate(GateSettings(strangers=64, strangers_per_source=8))
    assert sum(gate.admit(numbered(n), "192.0.2.1", False, 0.0) for n in range(20)) == 8
    assert gate.admit(numbered(30), "192.0.2.2", False, 0.0)


def test_one_source_is_held_to_its_rate() -> None:
    gate, admitted = Gate(GateSettings(source_rate=4.0, source_burst=10.0)), 0
    for step in range(1000):
        if gate.admit(numbered(step), "192.0.2.1", False, step * 0.01):
            admitted += 1
            gate.done("192.0.2.1", False)
    assert 45 <= admitted <= 51  # 10 at once and 4 a second for ten seconds


def test_twenty_strikes_in_a_row_keep_a_peer_out_for_a_minute() -> None:
    gate = Gate(GateSettings())
    strikes = [gate.strike(ANN, 0.0) for _ in range(21)]
    assert strikes == [False] * 20 + [True]
    assert gate.banned(ANN, 59.0) and not gate.admit(ANN, "192.0.2.1", True, 59.0)
    assert not gate.banned(ANN, 60.0)


def test_a_fault_now_and_then_is_forgiven() -> None:
    gate = Gate(GateSettings())
    assert not any(gate.strike(ANN, n * 6.0) for n in range(500))


def test_what_is_remembered_of_strangers_is_bounded() -> None:
    gate = Gate(GateSettings(sources=100, bans=100))
    for n in range(1000):
        if gate.admit(numbered(n), f"10.0.{n >> 8}.{n & 255}", False, 0.0):
            gate.done(f"10.0.{n >> 8}.{n & 255}", False)
        gate.strike(numbered(n), 0.0, 100.0)
        gate.strike(numbered(5000 + n), 0.0)
    assert len(gate._sources) <= 100 and len(gate._banned) <= 100 and len(gate._strikes) <= 100
    assert not gate._visits


def test_a_source_is_an_ipv4_address_an_ipv6_64_or_a_relay() -> None:
    assert source_of("192.0.2.1:443") == "192.0.2.1"
    assert source_of("[2001:db8:1:2:3::4]:443") == "2001:db8:1:2::/64"
    assert source_of("https://relay.example") == "https://relay.example"
