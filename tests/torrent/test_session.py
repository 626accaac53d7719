"""The libtorrent session: real sessions on loopback, a DHT of their own, and what hostile nodes can do to it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

pytest.importorskip("libtorrent")

import libtorrent as lt

from servent.blobs import bencode
from servent.errors import BadMessage, UsageError, WorldError
from servent.identity import Identity
from servent.net.pkarr import signing_text
from servent.torrent.dht_provider import DhtProvider
from servent.torrent.handle import peer_of
from servent.torrent.session import NODES_FILE, Session
from servent.torrent.tuning import packed
from servent.torrent.views import Adding, Item, Proxy, SessionSettings, Watcher
from servent.trust.meeting import MeetingPoint
from tests.torrent.dht_net import QUIET, Net, private_dht

ANN, BEN = Identity(b"\x01" * 32), Identity(b"\x02" * 32)


def on_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*given: object, **named: object) -> None:
        asyncio.run(test(*given, **named))

    return run


async def answers(session: Session, who: Identity, salt: bytes = b"") -> list[Item]:
    return [item async for item in session.dht_get(who.peer, salt)]


@on_loop
async def test_what_one_stores_another_finds_and_a_newer_word_has_the_next_number(tmp_path: Path) -> None:
    async with private_dht(tmp_path, 5) as net:
        writer, reader = await net.join(), await net.join()
        assert await writer.dht_put(ANN, b"first") == 5
        assert [(item.seq, item.value) for item in await answers(reader, ANN)][-1] == (1, b"first")
        assert await writer.dht_put(ANN, b"second") == 5
        item = (await answers(reader, ANN))[-1]
        assert (item.seq, item.value) == (2, b"second")
        assert ANN.peer.verify(item.signature, signing_text(2, b"second"))
        assert await writer.dht_put(ANN, b"second") == 5  # again, before it is forgotten: the same number
        assert await reader.dht_put(ANN, b"third") == 5  # another machine with this key knows no number yet
        assert [item.seq for item in await answers(writer, ANN)][-1] == 3
        # beside it, under a salt and under another key
        assert await answers(reader, ANN, b"network") == [] == await answers(reader, BEN)
        assert await writer.dht_put(ANN, b"x" * 996, b"network") == 5
        assert (await answers(reader, ANN, b"network"))[-1].value == b"x" * 996
        with pytest.raises(UsageError):
            await writer.dht_put(ANN, b"x" * 997)
        with pytest.raises(UsageError):
            await writer.dht_put(ANN, b"x", b"s" * 65)
        # the provider tells the same, and checks by itself
        provider = DhtProvider(reader, head_start=0.0)
        assert [(found.seq, found.value) async for found in provider.resolve(ANN.peer)] == [(3, b"third")]
        assert await provider.publish(BEN, b"ben") == 5


@on_loop
async def test_behind_a_proxy_libtorrent_stores_and_the_numbers_go_on(tmp_path: Path) -> None:
    async with private_dht(tmp_path, 3) as net:
        writer, reader = await net.join(), await net.join()
        assert await writer.dht_put(ANN, b"first") == 3
        assert await writer._dht._put_by_libtorrent(ANN, b"second", b"") == 3
        assert await reader.dht_put(ANN, b"third") == 3
        async for item in writer.dht_get(ANN.peer):
            assert (item.seq, item.value) == (3, b"third")
            break


@on_loop
async def test_members_of_a_network_meet_there_and_nobody_else_finds_or_reads_it(tmp_path: Path) -> None:
    async with private_dht(tmp_path, 4) as net:
        first, second, stranger = [DhtProvider(await net.join(), head_start=0.0) for _ in range(3)]
        ours, theirs = MeetingPoint(b"n" * 32, b"secret" * 6), MeetingPoint(b"n" * 32, b"secret" * 6)
        assert await first.publish(ours.identity, ours.close(b"I am at A", os.urandom(12))) == 4
        seen = [theirs.open(found.value) async for found in second.resolve(theirs.key)]
        assert seen == [b"I am at A"]
        assert await second.publish(theirs.identity, theirs.close(b"and I at B", os.urandom(12))) == 4
        found = [found async for found in first.resolve(ours.key)]
        assert ours.open(found[-1].value) == b"and I at B" and found[-1].seq == 2
        guess = MeetingPoint(b"n" * 32, b"guess" * 6)  # who knows the network's name, and not its secret
        assert [found async for found in stranger.resolve(guess.key)] == []
        with pytest.raises(BadMessage):
            guess.open(found[-1].value)


@on_loop
async def test_a_node_that_is_gone_costs_a_second_and_not_fifteen(tmp_path: Path) -> None:
    async with private_dht(tmp_path, 6) as net:
        writer, reader = await net.join(), await net.join()
        assert await writer.dht_put(ANN, b"before") == 6
        for one in net.sessions[2:4]:
            await one.close()
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert await writer.dht_put(ANN, b"after") == 4  # a second and a half on a quiet machine
        async for item in reader.dht_get(ANN.peer):
            assert item.value == b"after"
            break
        assert loop.time() - began < 14.0


@on_loop
async def test_who_puts_something_leaves_no_dead_node_behind(tmp_path: Path) -> None:
    async with private_dht(tmp_path, 4) as net:
        writer = await net.join()
        for number in range(10):
            assert await writer.dht_put(Identity(bytes((number,)) * 32), b"word") == 4
        for one in net.sessions:
            assert await one.ready()
            assert one.view().dht_nodes == 3


@on_loop
async def test_the_nodes_are_known_after_a_restart_and_a_damaged_file_is_nothing(tmp_path: Path) -> None:
    async with private_dht(tmp_path, 3) as net:
        alone = replace(QUIET, listen=("127.0.0.60",))
        first = await net.start(replace(alone, dht_nodes=net.entries), "stays")
        assert await first.ready()
        await first.close()
        state = tmp_path / "stays" / NODES_FILE
        assert state.stat().st_mode & 0o077 == 0
        again = await net.start(alone, "stays")
        assert await again.ready()
        await again.close()
        for rubbish in (b"", b"abc", bytes(600), b"\x7f\0\0", b"\x7f\0\0c\0\x09" * 100_000):
            state.write_bytes(rubbish)
            broken = await net.start(alone, "stays")
            assert broken.is_open
            assert not await broken.ready(0.2)
            assert len(broken._dht.earlier) <= 500
            await broken.close()


@on_loop
async def test_closing_leaves_nobody_waiting_and_it_opens_again(tmp_path: Path) -> None:
    async with private_dht(tmp_path, 2) as net:
        session = await net.join()
        for one in net.sessions:
            await one.close()

        async def look() -> list[Item]:
            return await answers(session, ANN)

        looking = asyncio.create_task(look())
        await asyncio.sleep(0.1)
        await session.close()
        assert not session.is_open and not session.view().open
        async with asyncio.timeout(60.0):
            assert await looking == []
        await session.open()
        assert session.is_open
        for _ in range(5):  # sockets of before are not listened to any longer, whoever has their numbers now
            await session.close()
            await session.open()
        assert not await session.ready(0.3)
        await session.configure(replace(session.settings, dht_nodes=net.entries))
    with pytest.raises(WorldError):
        await session.open()  # with the node it has ended, too


@on_loop
async def test_a_tracker_that_says_nothing_holds_nobody_up_at_the_end(tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as tasks:
        net = Net(tmp_path, tasks)
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(20)
            session = await net.start(replace(QUIET, dht=False, door=True))
            link = f"magnet:?xt=urn:btih:{'ab' * 20}&tr=http://127.0.0.1:{deaf.getsockname()[1]}/announce"
            handle = await session.add(Adding(tmp_path, magnet=link))
            handle.announce()
            assert [tracker.url for tracker in await handle.trackers()] == [link.partition("tr=")[2]]
            with (await asyncio.to_thread(deaf.accept))[0]:
                async with asyncio.timeout(30):  # trackers are given a second to take our leave
                    await session.close()
        for run in net.runs:
            run.cancel()


@on_loop
async def test_without_anybody_there_it_says_so_in_words(tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as tasks:
        net = Net(tmp_path, tasks)
        lost = await net.start(replace(QUIET, dht_nodes=("127.0.0.99:9",)))
        assert not await lost.ready(0.3)
        assert "nobody there answers" in lost.view().why
        off = Session(tmp_path, replace(QUIET, dht=False))
        net.runs.append(tasks.create_task(off.run()))
        assert not await off.ready()
        assert not off.is_open  # nobody needed it
        for run in net.runs:
            run.cancel()


@on_loop
async def test_where_libtorrent_is_missing_everything_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "libtorrent", None)
    async with asyncio.TaskGroup() as tasks:
        session = Session(tmp_path, replace(QUIET, door=True))
        run = tasks.create_task(session.run())
        with pytest.raises(WorldError) as missing:
            await session.add(Adding(tmp_path, magnet="magnet:?xt=urn:btih:" + "ab" * 20))
        assert "servent[torrent]" in missing.value.advice
        provider = DhtProvider(session)
        assert await provider.publish(ANN, b"word") == 0
        assert [found async for found in provider.resolve(ANN.peer)] == []
        run.cancel()


def test_a_node_that_does_not_use_it_does_not_import_it() -> None:
    check = "import sys, servent.node, servent.torrent.session as s; assert s.installed(); print('libtorrent' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True, timeout=100
    )
    assert done.stdout.strip() == "False"


def test_settings_in_libtorrents_words() -> None:
    plain = packed(SessionSettings(), lt, door=True, serve=False)
    assert plain["stop_tracker_timeout"] == 1  # s; nobody waits longer for one that says nothing
    assert plain["enable_dht"] and plain["enable_upnp"] and plain["dht_restrict_routing_ips"]
    assert set(plain) <= set(lt.default_settings())
    shut = packed(SessionSettings(), lt, door=False, serve=False)
    assert not (shut["enable_incoming_tcp"] or shut["enable_upnp"] or shut["enable_lsd"])
    hidden = packed(
        SessionSettings(proxy=Proxy("socks5", "p", 1080, "me", "secret")), lt, door=True, serve=False
    )
    assert hidden["proxy_type"] == lt.proxy_type_t.socks5_pw and hidden["proxy_peer_connections"]
    assert not (hidden["enable_upnp"] or hidden["enable_natpmp"] or hidden["enable_lsd"])
    dark = packed(SessionSettings(proxy=Proxy("i2p", "127.0.0.1", 7656)), lt, door=True, serve=False)
    assert dark["i2p_hostname"] == "127.0.0.1" and not dark["enable_dht"] and not dark["allow_i2p_mixed"]
    assert set(hidden) | set(dark) <= set(lt.default_settings()) | {
        "i2p_hostname",
        "proxy_hostname",
        "proxy_username",
        "proxy_password",
    }
    assert "secret" not in repr(Proxy("socks5", "p", 1080, "me", "secret"))


# -- torrents


class Notes(Watcher):
    def __init__(self) -> None:
        self.pieces: set[int] = set()
        self.metadata, self.finished = asyncio.Event(), asyncio.Event()

    def on_metadata(self) -> None:
        self.metadata.set()

    def on_piece(self, index: int) -> None:
        self.pieces.add(index)
        raise RuntimeError("a bug in whoever watches")

    def on_finished(self) -> None:
        self.finished.set()


@pytest.mark.filterwarnings("ignore")
@on_loop
async def test_a_torrent_comes_and_goes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = os.urandom(300_000)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file.bin").write_bytes(data)
    made = lt.create_torrent(lt.list_files(str(tmp_path / "a" / "file.bin")), 32768)
    lt.set_piece_hashes(made, str(tmp_path / "a"))
    torrent = lt.bencode(made.generate())
    async with asyncio.TaskGroup() as tasks:
        net = Net(tmp_path, tasks)
        door = replace(QUIET, dht=False, door=True)
        giver, taker = await net.start(door), await net.start(door)
        seed = await giver.add(Adding(tmp_path / "a", torrent=torrent, seed=True))
        with pytest.raises(UsageError):
            await giver.add(Adding(tmp_path / "a", torrent=torrent, seed=True))
        with pytest.raises(UsageError):
            await giver.add(Adding(tmp_path / "a", magnet="magnet:?xt=urn:btih:xyz"))
        with pytest.raises(UsageError):
            await giver.add(Adding(tmp_path / "a", torrent=b"d4:infode"))
        while not giver.view().port:
            await asyncio.sleep(0.01)
        assert seed.infohash_v1 is not None and seed.infohash_v2 is not None
        notes = Notes()
        link = f"magnet:?xt=urn:btih:{seed.infohash_v1.hex()}"
        peer = f"127.0.0.1:{giver.view().port}"
        got = await taker.add(Adding(tmp_path / "b", magnet=link, peers=(peer,)), notes)
        for _ in range(60):  # on a busy machine the first connection may come to nothing
            got.connect(peer)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(notes.finished.wait(), 1.0)
                break
        assert notes.metadata.is_set() and got.infohash_v2 == seed.infohash_v2
        assert len(notes.pieces) == 10  # a watcher that fails ends nothing
        assert "a bug in whoever watches" in caplog.text
        assert await got.read_piece(3) == data[3 * 32768 : 4 * 32768]
        with pytest.raises(WorldError):
            await got.read_piece(99)
        assert (await got.fresh()).done_bytes == len(data)
        assert (info := await got.info()) is not None and info in torrent
        await got.rename(0, "other.bin")
        await got.flush()
        assert (tmp_path / "b" / "other.bin").read_bytes() == data
        kept = await got.resume_data()
        await taker.remove(got)
        assert got.gone and taker.handles() == []
        with pytest.raises(UsageError):
            await got.fresh()
        got.pause()  # orders to what is gone are no mistake
        again = await taker.add(Adding(tmp_path / "b", resume=kept, paused=True))
        assert (await again.fresh()).name == "file.bin"
        shut = Session(tmp_path, replace(QUIET, door=False))
        with pytest.raises(UsageError, match="switched off"):
            await shut.add(Adding(tmp_path, torrent=torrent))
        for run in net.runs:
            run.cancel()


@pytest.mark.parametrize(
    ("flags", "kind", "transport", "outgoing"),
    [
        (0, "standard_bittorrent", "tcp", False),
        (1 << 17 | 1 << 5, "standard_bittorrent", "utp", True),
        (1 << 5, "web_seed", "web", True),
    ],
)
def test_a_peer_in_our_words(flags: int, kind: str, transport: str, outgoing: bool) -> None:
    """libtorrent's own class names the kinds and most flags, and not that of uTP."""
    raw = SimpleNamespace(
        connection_type=getattr(lt.peer_info, kind), flags=flags, ip=("::1", 7000), client=b"aria2/1.36.0",
        progress=0.5, payload_down_speed=1, payload_up_speed=2, total_download=3, total_upload=4,
    )  # fmt: skip
    one = peer_of(cast(Any, raw), lt)
    assert (one.transport, one.outgoing, one.address) == (transport, outgoing, "[::1]:7000")


@on_loop
async def test_where_no_host_is_named_all_addresses_have_the_port_that_is_told(tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(b"x" * 40_000)
    made = lt.create_torrent(lt.list_files(str(tmp_path / "file.bin")), 16384)
    lt.set_piece_hashes(made, str(tmp_path))
    async with asyncio.TaskGroup() as tasks:
        net = Net(tmp_path, tasks)
        session = await net.start(replace(QUIET, dht=False, door=True, listen=()))
        await session.add(Adding(tmp_path, torrent=lt.bencode(made.generate()), seed=True))

        def reached() -> bool:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", session.view().port or 1), 0.5).close()
                return True
            return False

        async with asyncio.timeout(60):
            while not reached():
                await asyncio.sleep(0.1)
        for run in net.runs:
            run.cancel()


@on_loop
async def test_what_is_about_to_leave_takes_no_orders_and_answers_no_questions(tmp_path: Path) -> None:
    """The session's threads have let it go, and the word of it is not yet here."""
    async with asyncio.TaskGroup() as tasks:
        net = Net(tmp_path, tasks)
        session = await net.start(replace(QUIET, dht=False, door=True))
        link = f"magnet:?xt=urn:btih:{'ab' * 20}"
        handle = await session.add(Adding(tmp_path, magnet=link))
        going = [tasks.create_task(session.remove(handle)) for _ in range(2)]
        await asyncio.sleep(0)
        raw, end = handle.raw, time.monotonic() + 60.0
        while raw.is_valid():  # the loop stands still: no alert is taken
            assert time.monotonic() < end
            time.sleep(0.01)
        assert not handle.gone and session.handles() == [handle]
        handle.limit(1000, 1000)
        handle.connect("127.0.0.1:9")
        handle.pause()
        with pytest.raises(UsageError, match="removed"):
            await handle.fresh()
        with pytest.raises(UsageError, match="removed"):
            await handle.resume_data()
        await asyncio.wait(going)
        assert handle.gone and session.handles() == []
        for run in net.runs:
            run.cancel()


@pytest.mark.filterwarnings("ignore")
@on_loop
async def test_which_pieces_are_wanted_may_be_said_before_it_is_known_what_there_is(tmp_path: Path) -> None:
    """libtorrent divides by the length of a piece then, which ends the whole process."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file.bin").write_bytes(os.urandom(300_000))
    made = lt.create_torrent(lt.list_files(str(tmp_path / "a" / "file.bin")), 32768)
    lt.set_piece_hashes(made, str(tmp_path / "a"))
    torrent = lt.bencode(made.generate())
    async with asyncio.TaskGroup() as tasks:
        net = Net(tmp_path, tasks)
        door = replace(QUIET, dht=False, door=True)
        giver, taker = await net.start(door), await net.start(door)
        slow = Adding(tmp_path / "a", torrent=torrent, seed=True, up_bytes_per_s=40_000)
        seed = await giver.add(slow)  # who has everything before we are asked wants nothing any more
        seed.change_priorities([0], 1)  # known from the beginning
        assert seed.infohash_v1 is not None
        notes = Notes()
        got = await taker.add(
            Adding(tmp_path / "b", magnet=f"magnet:?xt=urn:btih:{seed.infohash_v1.hex()}"), notes
        )
        got.change_priorities([7, 8, 9, 1_000_000], 0)
        got.change_priorities([9], 4)
        assert not (await got.fresh()).has_metadata
        while not giver.view().port:
            await asyncio.sleep(0.01)
        for _ in range(60):
            got.connect(f"127.0.0.1:{giver.view().port}")
            if notes.metadata.is_set():
                seed.limit(0, 0)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(notes.finished.wait(), 1.0)
                break
        assert notes.finished.is_set() and notes.pieces >= {0, 1, 2, 3, 4, 5, 6, 9}
        assert [got.raw.piece_priority(piece) for piece in (6, 7, 8, 9)] == [4, 0, 0, 4]
        for run in net.runs:
            run.cancel()


# -- hostile


class Liar(asyncio.DatagramProtocol):
    """A node of the DHT that answers every question with the next of `lies`, made for the key that is asked for."""

    def __init__(self, key: Identity, old: bytes) -> None:
        self.key, self.old, self.asked = key, old, 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            asked = bencode.decode(data, 65536)
        except BadMessage:
            return
        if not isinstance(asked, dict) or asked.get(b"y") != b"q":
            return
        self.asked += 1
        said: dict[bytes, bencode.Value] = {b"id": b"L" * 20, b"token": b"T" * 60, b"k": bytes(self.key.peer)}
        match self.asked % 6:
            case 0:  # signed by nobody
                said |= {b"seq": 1 << 40, b"v": b"forged", b"sig": bytes(64)}
            case 1:  # true, but long over
                said |= {b"seq": 1, b"v": self.old, b"sig": self.key.sign(signing_text(1, self.old))}
            case 2:  # far too much
                said |= {b"seq": 3, b"v": b"x" * 40_000, b"sig": bytes(64)}
            case 3:
                said |= {
                    b"seq": 9,
                    b"v": [b"no", {b"bytes": 1}],
                    b"sig": b"short",
                    b"nodes": os.urandom(26 * 60),
                }
            case 4:
                self.transport.sendto(os.urandom(900), addr)  # type: ignore[attr-defined]
                return
        packet = {b"r": said, b"t": asked[b"t"], b"y": b"r", b"ip": b"\x08\x08\x08\x08\x00\x01"}
        self.transport.sendto(bencode.encode(packet), addr)  # type: ignore[attr-defined]


@on_loop
async def test_nodes_that_lie_change_nothing_of_what_is_found(tmp_path: Path) -> None:
    async with private_dht(tmp_path, 3) as net:
        writer = await net.join()
        assert await writer.dht_put(ANN, b"old") == 3
        assert await writer.dht_put(ANN, b"new") == 3
        loop = asyncio.get_running_loop()
        liars = [
            await loop.create_datagram_endpoint(
                lambda: Liar(ANN, b"old"), local_addr=(f"127.0.0.{80 + n}", 0)
            )
            for n in range(3)
        ]
        lies = tuple("{}:{}".format(*transport.get_extra_info("sockname")) for transport, _ in liars)
        reader = await net.join()
        await reader.configure(replace(reader.settings, dht_nodes=(*net.entries, *lies)))
        await asyncio.sleep(0.3)
        provider = DhtProvider(reader)
        for _ in range(4):
            seen = []
            async for found in provider.resolve(ANN.peer):
                seen.append((found.seq, found.value))
                if found.value == b"new":
                    break
            assert seen[-1] == (2, b"new")
            assert {value for _, value in seen} <= {b"old", b"new"}
        assert await reader.dht_put(ANN, b"newest") >= 3  # they hinder nobody from storing
        assert sum(liar.asked for _, liar in liars) > 0
        for transport, _ in liars:
            transport.close()


@on_loop
async def test_a_flood_of_packets_ends_nothing_and_costs_bounded_memory(tmp_path: Path) -> None:
    async with private_dht(tmp_path, 3) as net:
        victim, reader = net.sessions[0], await net.join()
        assert await reader.dht_put(ANN, b"word") == 3
        before = resident()
        where = ("127.0.0.2", victim.view().port)
        hits = [
            bencode.encode(
                {
                    b"a": {b"id": os.urandom(20), b"info_hash": os.urandom(20)},
                    b"q": b"get_peers",
                    b"t": b"aa",
                    b"y": b"q",
                }
            )
            for _ in range(200)
        ]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
            for _ in range(60):
                for packet in hits:
                    flood.sendto(packet, where)
                flood.sendto(os.urandom(1400), where)
                await asyncio.sleep(0)
        async for item in reader.dht_get(ANN.peer):
            assert item.value == b"word"
            break
        assert await victim.ready()
        assert victim.is_open
        assert resident() - before < 60_000_000


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
