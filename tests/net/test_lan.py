"""Peers on one local network find each other; what a liar announces there costs nothing."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zeroconf import ServiceStateChange
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from servent.identity import Identity
from servent.net import lan as lan_module
from servent.net.lan import SERVICE, Lan, read
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


@pytest.mark.real
def test_who_claims_our_name_keeps_nobody_from_finding_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks first whether a name is free, as RFC 6762 has it, gives up where somebody says no."""

    async def main() -> None:
        monkeypatch.setattr(lan_module, "RETRY_EVERY", 1e6)
        found: dict[str, PeerAddress] = {}
        liar = AsyncZeroconf(interfaces=["127.0.0.1"])
        try:
            name = f"{BOB}.{SERVICE}"
            claim = AsyncServiceInfo(
                SERVICE, name, port=9, parsed_addresses=["127.0.0.1"], server="liar.local."
            )
            lans = [
                Lan(
                    peer,
                    lambda port=port: [f"127.0.0.1:{port}"],  # type: ignore[misc]
                    lambda a, who=who: found.update({who: a}),  # type: ignore[misc]
                    interfaces=["127.0.0.1"],
                )
                for who, peer, port in (("ann", ANN, 4001), ("bob", BOB, 4002))
            ]
            async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(lan.run()) for lan in lans]
                await asyncio.sleep(0.05)  # probes take half a second
                await liar.async_register_service(claim, cooperating_responders=True)
                while len(found) < 2:
                    await asyncio.sleep(0.02)
                for one in running:
                    one.cancel()
        finally:
            await liar.async_close()

    asyncio.run(main())


class Answers:
    """Stands for zeroconf's questions: what comes of each, in order, by name."""

    def __init__(self, **said: list[bool]) -> None:
        self.said, self.asked, self.during = said, list[str](), lambda name: None

    def __call__(self, service: str, name: str) -> Answers:
        self.name = name
        self.properties = {b"pk": name.partition(".")[0].encode(), b"v": b"1"}
        self.port = 4002
        return self

    def parsed_scoped_addresses(self) -> list[str]:
        return ["127.0.0.1"]

    async def async_request(self, zeroconf: object, timeout: float) -> bool:
        self.asked.append(self.name)
        self.during(self.name)
        return self.said["bob"].pop(0)


def heard(
    monkeypatch: pytest.MonkeyPatch, answers: Answers, *changes: ServiceStateChange
) -> list[PeerAddress]:
    """What a node takes from `changes` of bob's announcement."""
    monkeypatch.setattr(lan_module, "AsyncServiceInfo", answers)
    found: list[PeerAddress] = []

    async def main() -> None:
        lan, multicast = Lan(ANN, list, found.append), cast(Any, SimpleNamespace(zeroconf=None))
        name = f"{BOB}.{SERVICE}"
        answers.during = lambda _: [lan._changed(cast(Any, None), SERVICE, name, one) for one in changes[1:]]  # type: ignore[assignment,return-value]
        lan._changed(cast(Any, None), SERVICE, name, changes[0])
        task = asyncio.create_task(lan._resolve(multicast))
        for _ in range(20):
            await asyncio.sleep(0)
        task.cancel()
        found[:] = lan.view()

    asyncio.run(main())
    return found


BOBS = PeerAddress(BOB, None, ("127.0.0.1:4002",))


def test_a_question_that_is_lost_is_asked_again_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Answers(bob=[False, False, True])
    assert heard(monkeypatch, answers, ServiceStateChange.Added) == [BOBS]
    answers = Answers(bob=[False] * 10)
    assert heard(monkeypatch, answers, ServiceStateChange.Added) == [] and len(answers.asked) == 3


def test_who_leaves_while_being_asked_about_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    added, removed = ServiceStateChange.Added, ServiceStateChange.Removed
    assert heard(monkeypatch, Answers(bob=[True]), added, removed) == []
    assert heard(monkeypatch, Answers(bob=[True, True]), added) == [BOBS]


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
