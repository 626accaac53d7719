"""Random and mutated bytes against a live node over real iroh: it keeps serving, and its memory stays flat.

Runs 6 s, or as many as SERVENT_FUZZ_SECONDS says. The attackers are a process of their own (fuzzer.py).
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import sys

import psutil
import pytest

from servent.codec import frame
from servent.net import endpoint, hello, wire
from servent.net.gate import GateSettings
from servent.net.settings import PeersSettings
from tests.net.party import Node, befriend, identity, read_all
from tests.scenarios import fuzzer

SECONDS = float(os.environ.get("SERVENT_FUZZ_SECONDS", "6"))
FLAT_BYTES = 16 * 1024 * 1024  # growth after the first third of the run
LINES_PER_SECOND = 5  # of log, whatever is sent

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(SECONDS * 2 + 180)]


def test_a_live_node_shrugs_off_random_bytes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "servent")
    seed = random.randrange(2**32)
    print(f"seed {seed}")

    async def story() -> tuple[int, int, list[int]]:
        settings = PeersSettings(
            hello=1.0, gate=GateSettings(source_rate=200.0, source_burst=400.0, ban=0.5, strikes=10.0)
        )
        who, friend_id = identity(3001), identity(3002)
        node = await Node(who, await endpoint.bind(who, bind=["127.0.0.1:0"]), settings).start()
        friend = await Node(friend_id, await endpoint.bind(friend_id, bind=["127.0.0.1:0"])).start()
        await befriend(node, friend)
        await node.trust.add_contact(fuzzer.TRAITOR.peer, friend=True)
        await friend.peers.connect(node.address)
        address = next(text for text in node.address.addresses if text.startswith("127."))
        attack = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.scenarios.fuzzer"),
            *(str(who.peer), address, str(SECONDS), str(seed)),
            stdout=asyncio.subprocess.PIPE,
        )
        served = 0
        memory: list[int] = []
        process = psutil.Process()

        async def good_friend() -> None:
            nonlocal served
            while True:
                text = os.urandom(5000)
                assert await friend.asks(node, text) == text
                served += 1
                await asyncio.sleep(0.02)

        async def weigh() -> None:
            while True:
                await asyncio.sleep(SECONDS / 12)
                gc.collect()
                memory.append(process.memory_info().rss)

        began = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as tasks:
            beside = [tasks.create_task(good_friend()), tasks.create_task(weigh())]
            out, _ = await attack.communicate()
            for task in beside:
                task.cancel()
        session = friend.peers.session(node.peer)
        assert session is not None and session.since < began, "the friend was cut off"

        # a stranger still hears exactly the one polite refusal
        enemy = await endpoint.bind(identity(3009), bind=["127.0.0.1:0"])
        connection = await enemy.connect(node.address, 30)
        stream = await connection.open()
        await stream.write(frame(wire.Hello(1, "x", b"n" * 32, b"r" * 8)))
        assert await read_all(stream) == frame(hello.REFUSAL)
        await enemy.close()
        await friend.stop()
        await node.stop()
        return int(out or b"0"), served, memory

    visits, served, memory = asyncio.run(story())
    third = len(memory) // 3
    growth = max(memory[-third:]) - max(memory[: third + 1])
    print(f"{visits} visits, {served} requests served beside them, memory grew {growth / 2**20:.1f} MiB")
    print([size >> 20 for size in memory], len(caplog.records), "lines")
    assert visits > SECONDS and served > SECONDS
    assert growth < FLAT_BYTES, [size >> 20 for size in memory]
    bugs = [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]
    assert not bugs, bugs[0].getMessage()
    assert len(caplog.records) < LINES_PER_SECOND * SECONDS + 50, "refusals are logged by rate"
