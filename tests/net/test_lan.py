"""Peers on one local network find each other; what a liar announces there costs nothing."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.identity import Identity
from servent.net.lan import Lan, read
from servent.net.links import PeerAddress

ANN, BOB = (Identity(bytes([n]) * 32).peer for n in (1, 2))


@pytest.mark.real
def test_two_on_one_network_find_each_other_and_hear_a_goodbye() -> None:
    async def main() -> None:
        found: dict[str, PeerAddress] = {}
        lans = [
            Lan(
                ANN,
                lambda: ["127.0.0.1:4001", "192.0.2.77:4001"],
                lambda a: found.update(ann=a),
                interfaces=["127.0.0.1"],
            ),
            Lan(BOB, lambda: ["127.0.0.1:4002"], lambda a: found.update(bob=a), interfaces=["127.0.0.1"]),
        ]
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(lan.run()) for lan in lans]
            while len(found) < 2:
                await asyncio.sleep(0.02)
            assert found["ann"] == PeerAddress(BOB, None, ("127.0.0.1:4002",))
            assert found["bob"].peer == ANN and "127.0.0.1:4001" in found["bob"].addresses
            running[1].cancel()
            while lans[0].view():
                await asyncio.sleep(0.02)
            running[0].cancel()

    asyncio.run(main())


KEY = str(ANN).encode()


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {b"pk": KEY},
        {b"pk": KEY, b"v": b"2", b"at": b"127.0.0.1:1"},
        {b"pk": b"x" * 52, b"v": b"1", b"at": b"127.0.0.1:1"},
        {b"pk": b"\xff" * 52, b"v": b"1", b"at": b"127.0.0.1:1"},
        {b"pk": KEY, b"v": b"1", b"at": b"127.0.0.1:0,nonsense,[::]:5,224.0.0.1:5"},
        {b"pk": KEY, b"v": b"1", b"at": None},
    ],
)
def test_an_announcement_that_makes_no_sense_is_ignored(properties: dict[bytes, bytes | None]) -> None:
    assert read(properties, [], 0) is None


@given(
    st.dictionaries(st.sampled_from([b"pk", b"v", b"at"]), st.binary(max_size=300) | st.none()),
    st.integers(0, 70000),
)
def test_any_announcement_is_read_or_ignored(properties: dict[bytes, bytes | None], port: int) -> None:
    found = read(properties | {b"pk": KEY, b"v": b"1"}, ["192.0.2.1", "fe80::1%3"], port)
    assert found is None or len(found.addresses) <= 8
