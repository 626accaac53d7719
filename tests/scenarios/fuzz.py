"""A whole node under attack from everywhere at once, while a friend fetches files from it, and its person searches, all
the time.

`python -m tests.scenarios.fuzz --seconds 60 --json` prints the figures that docs/benchmarks.md shows.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from servent.api import schema_share
from servent.api.client import Client
from servent.identity import Identity
from servent.net.ticket import decode
from servent.node import Node
from servent.share import feed_record
from servent.testing.nodes import quiet_config
from tests.scenarios.attackers import Plan

ROOT = Path(__file__).parents[2]
SHARES = (40_000, 2_000_000, 6_000_000)  # bytes
FETCH_LIMIT = 60.0  # s for one of them under attack
SMALL = 300  # files in the shared folder
SEARCH_LIMIT = 60.0  # s for a search under attack, of which peers are given 1
SETTLE = 3.0  # s after the attack, for what was open to end
PATIENCE = 30.0  # s more where a busy machine needs them
FILES_MORE = 30  # than before the attack, when all has ended
ROLES = ("strangers", "members", "tcp")


@dataclass
class Figures:
    """Memory in bytes. `third` is after a third of the attack, `last` the highest of its last third."""

    seconds: float
    seed: int
    attacks: dict[str, dict[str, int]] = field(default_factory=dict)
    fetched: int = 0
    fetched_bytes: int = 0
    slowest_fetch: float = 0.0
    searches: int = 0
    slowest_search: float = 0.0
    failed: list[str] = field(default_factory=list)
    memory_idle: int = 0
    memory_third: int = 0
    memory_last: int = 0
    memory_after: int = 0
    files_idle: int = 0
    files_most: int = 0
    files_after: int = 0
    threads_most: int = 0
    threads_after: int = 0
    processor: float = 0.0
    log_lines: int = 0
    bugs: list[str] = field(default_factory=list)
    answers: bool = False
    exit_code: int | None = None


class Victim:
    """`servent up` in a process of its own, with everything it can offer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: asyncio.subprocess.Process
        self.client: Client

    async def start(self) -> None:
        self._errors = await asyncio.to_thread(open, self.folder.with_name("victim.err"), "wb")
        more = (
            "--no-web",
            "--api-port",
            "0",
            "--no-lan",
            "--no-relay",
            "--relay-server",
            "--relay-port",
            "0",
        )
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "servent", "--data-dir", str(self.folder), "up", "--json"),
            *(*more, "--bind", "127.0.0.1:0", "--download-dir", str(self.folder / "downloads")),
            cwd=ROOT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "PYTHONFAULTHANDLER": "1"},
        )
        assert self.process.stdout is not None
        async with asyncio.timeout(90):
            ready = json.loads(await self.process.stdout.readline())
        self.api_url: str = ready["api_url"]
        self.client = Client.from_data_dir(self.folder)

    def ports(self, known: set[int]) -> set[int]:
        found = psutil.Process(self.process.pid).net_connections("tcp4")
        return {one.laddr.port for one in found if one.status == psutil.CONN_LISTEN} - known

    async def stop(self) -> int:
        self._errors.close()
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(60):
                return await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
            return -9


def make_shares(folder: Path, dice: random.Random) -> dict[str, bytes]:
    folder.mkdir()
    contents = {f"file-{number}.bin": dice.randbytes(size) for number, size in enumerate(SHARES)}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return contents


async def keep_fetching(
    friend: Node, links: dict[str, str], contents: dict[str, bytes], out: Figures
) -> None:
    clock = asyncio.get_running_loop().time
    dice = random.Random(out.seed)
    while True:
        name = dice.choice(list(links))
        to = Path(tempfile.mkdtemp(dir=friend.download_dir))
        began = clock()
        transfer = (await friend.blobs.fetch(links[name], to)).id
        while (view := friend.blobs.transfer(transfer)).state not in ("complete", "failed"):
            if clock() - began > FETCH_LIMIT:
                break
            await asyncio.sleep(0.01)
        if view.state != "complete" or (to / name).read_bytes() != contents[name]:
            out.failed.append(
                f"{name} after {clock() - began:.1f} s: {view.state} {view.reason} {view.error}"
            )
        else:
            out.fetched += 1
            out.fetched_bytes += len(contents[name])
            out.slowest_fetch = max(out.slowest_fetch, round(clock() - began, 2))
        await friend.blobs.remove(transfer)
        for share in friend.blobs.shares():
            await friend.blobs.remove_share(share.id)
        shutil.rmtree(to, ignore_errors=True)


async def set_up_sharing(client: Client, folder: Path) -> None:
    """A shared folder, a wish that fetches, and a feed of somebody who is never there."""
    (folder / "small" / "in").mkdir(parents=True)
    for number in range(SMALL):
        (folder / "small" / "in" / f"file {number}.bin").write_bytes(b"%d" % number)
    await asyncio.to_thread(
        client.add_folder,
        schema_share.NewFolder(path=str(folder / "small"), name="shared", audience="network"),
    )
    for text in ("file", "type:audio"):
        wish = schema_share.NewWish(q=text, auto=True, max_bytes=100_000)
        await asyncio.to_thread(client.add_wish, wish)
    while (await asyncio.to_thread(client.library)).hashed_files < SMALL:
        await asyncio.sleep(0.1)
    link = feed_record.link(Identity(os.urandom(32)).peer, "news")
    await asyncio.to_thread(client.follow, schema_share.FollowRequest(link=link))


async def keep_searching(client: Client, out: Figures) -> None:
    """As a person would: here and at everybody who is connected."""

    def search() -> int:
        events = list(client.search("file", limit=500, wait=1.0))
        assert events[-1].kind == "done" and events[-1].reason == ""
        return sum(event.hit is not None and event.hit.here for event in events)

    clock = asyncio.get_running_loop().time
    while True:
        began = clock()
        try:
            mine = await asyncio.to_thread(search)
            await asyncio.to_thread(client.browse, "me", schema_share.BrowseQuery(path="shared/in"))
            took = clock() - began
            if mine < min(SMALL, 200) or took > SEARCH_LIMIT:
                out.failed.append(f"a search: {mine} of our own in {took:.1f} s")
            out.searches += 1
            out.slowest_search = max(out.slowest_search, round(took, 2))
        except Exception as wrong:  # noqa: BLE001 - it is told, and the attack goes on
            out.failed.append(f"a search: {wrong!r}")
        await asyncio.sleep(0.2)


async def weigh(pid: int, out: Figures) -> None:
    """RSS as it is: what the allocator keeps counts."""
    process = psutil.Process(pid)
    clock = asyncio.get_running_loop().time
    began = clock()
    while True:
        await asyncio.sleep(0.25)
        try:
            rss, share = process.memory_info().rss, (clock() - began) / out.seconds
        except psutil.NoSuchProcess:
            out.failed.append(f"the node ended after {clock() - began:.0f} s")
            return
        if share <= 1 / 3:
            out.memory_third = max(out.memory_third, rss)
        elif share >= 2 / 3:
            out.memory_last = max(out.memory_last, rss)
        out.files_most = max(out.files_most, process.num_fds())
        out.threads_most = max(out.threads_most, process.num_threads())


def read_log(folder: Path, out: Figures) -> None:
    died = folder.with_name("victim.err").read_text("utf-8", "replace")
    out.bugs = [died[at : at + 3000]] if (at := died.find("Fatal Python error")) >= 0 else []
    lines = (folder / "node.log").read_text("utf-8", "replace").splitlines()
    out.log_lines = len(lines)
    out.bugs += [line[:300] for line in lines if "ERROR" in line or "Traceback" in line or "a bug" in line][
        :10
    ]


async def run(seconds: float, seed: int, folder: Path) -> Figures:
    out = Figures(seconds, seed)
    victim = Victim(folder / "victim")
    contents = make_shares(folder / "shared", random.Random(seed))
    await victim.start()
    attackers: list[asyncio.subprocess.Process] = []
    try:
        api = int(victim.api_url.rpartition(":")[2])
        client = victim.client
        links, hashes = {}, []
        for name in contents:
            share = await asyncio.to_thread(client.add_share, str(folder / "shared" / name), wait=True)
            links[name] = share.link
            hashes.append(share.infohash)
        await set_up_sharing(client, folder)
        await asyncio.to_thread(client.create_network, "club")
        invitation = (await asyncio.to_thread(client.invite, "club", uses=None)).invitation
        ticket = (await asyncio.to_thread(client.ticket)).ticket
        me = await asyncio.to_thread(client.status)
        address = next(text for text in decode(ticket).address.addresses if text.startswith("127."))
        async with Node(folder / "friend", quiet_config("friend", folder / "friend")) as friend:
            friend.download_dir.mkdir(parents=True, exist_ok=True)
            await friend.join((await asyncio.to_thread(client.ticket, once=True)).ticket)
            session = friend.peers.sessions()[0]
            assert session.profile.bulk is not None
            bulk = int(session.profile.bulk.addresses[0].rpartition(":")[2])
            [relay] = victim.ports({api, bulk})
            process = psutil.Process(victim.process.pid)
            out.memory_idle, out.files_idle = process.memory_info().rss, process.num_fds()
            ports = {"bulk": bulk, "relay": relay, "api": api}
            plan = Plan(me.id, address, invitation, ticket, hashes, ports, seconds, seed)
            told = json.dumps(asdict(plan))
            before = process.cpu_times()
            for role in ROLES:
                command = (sys.executable, "-m", "tests.scenarios.attackers", role, told)
                pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.DEVNULL}
                attackers += [await asyncio.create_subprocess_exec(*command, cwd=ROOT, **pipes)]
            async with asyncio.TaskGroup() as tasks:
                beside = [
                    tasks.create_task(keep_fetching(friend, links, contents, out)),
                    tasks.create_task(keep_searching(client, out)),
                    tasks.create_task(weigh(victim.process.pid, out)),
                ]
                try:
                    async with asyncio.timeout(seconds + 60):
                        for role, one in zip(ROLES, attackers, strict=True):
                            said, _ = await one.communicate()
                            out.attacks[role] = json.loads(said or b"{}")
                finally:
                    for task in beside:
                        task.cancel()
            with contextlib.suppress(psutil.NoSuchProcess):  # its exit code and `bugs` tell
                after = process.cpu_times()
                out.processor = round((after.user + after.system - before.user - before.system) / seconds, 2)
                await asyncio.sleep(SETTLE)
                settled = time.monotonic() + PATIENCE
                while process.num_fds() >= out.files_idle + FILES_MORE and time.monotonic() < settled:
                    await asyncio.sleep(0.2)
                out.memory_after, out.files_after = process.memory_info().rss, process.num_fds()
                out.threads_after = process.num_threads()
                out.answers = (await asyncio.to_thread(client.status)).id == me.id
    finally:
        for one in attackers:
            if one.returncode is None:
                one.kill()
                await one.wait()
        out.exit_code = await victim.stop()
    read_log(victim.folder, out)
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="servent-fuzz-") as folder:
        found: dict[str, Any] = asdict(asyncio.run(run(asked.seconds, asked.seed, Path(folder))))
    if asked.json:
        print(json.dumps(found, indent=2))
    else:
        for name, value in found.items():
            print(f"{name:15} {round(value / 2**20, 1) if name.startswith('memory') else value}")
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
