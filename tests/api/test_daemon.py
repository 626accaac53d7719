from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from servent.api import daemon
from servent.api.client import Client, NodeDown, read_api_file
from servent.api.daemon import Options, run_daemon
from servent.api.face import Face
from servent.api.lock import DirLock
from servent.errors import DiskTrouble, WorldError
from tests.api.fake import open_fake
from tests.api.running import ROOT, client, fake_daemon

PATIENCE = 60  # s


def test_it_says_ready_answers_and_ends_on_sigterm(tmp_path: Path) -> None:
    with fake_daemon(tmp_path) as process:
        assert client(tmp_path).status().name == "me"
        assert stat.S_IMODE((tmp_path / "api.json").stat().st_mode) == 0o600
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        assert not (tmp_path / "api.json").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_ctrl_c_and_a_closed_terminal_are_clean_ends_too(tmp_path: Path, number: int) -> None:
    with fake_daemon(tmp_path) as process:
        process.send_signal(number)
        assert process.wait(PATIENCE) == 0


def test_under_nohup_a_closed_terminal_is_no_reason_to_end(tmp_path: Path) -> None:
    with fake_daemon(tmp_path, hangup=signal.SIG_IGN) as process:
        process.send_signal(signal.SIGHUP)
        assert client(tmp_path).status().name == "me"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_open_event_streams_do_not_hold_up_the_end(tmp_path: Path) -> None:
    with fake_daemon(tmp_path) as process:
        events = client(tmp_path).events("peers")
        assert next(events).topic == "peers"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        list(events)


def test_shutdown_by_the_api(tmp_path: Path) -> None:
    with fake_daemon(tmp_path) as process:
        client(tmp_path).shutdown()
        assert process.wait(PATIENCE) == 0
    with pytest.raises(NodeDown):
        read_api_file(tmp_path)


def test_two_nodes_never_share_a_data_directory(tmp_path: Path) -> None:
    with fake_daemon(tmp_path):
        second = subprocess.run(
            [
                sys.executable,
                "-m",
                "servent",
                "--data-dir",
                str(tmp_path),
                "up",
                "--no-web",
                "--api-port",
                "0",
            ],
            capture_output=True,
            check=False,
            text=True,
            timeout=PATIENCE,
            cwd=ROOT,
        )
        assert second.returncode == 2
        assert "already running" in second.stderr
        assert "servent down" in second.stderr
        assert client(tmp_path).status().name == "me"


def test_after_kill_9_the_next_start_works(tmp_path: Path) -> None:
    with fake_daemon(tmp_path) as process:
        token = (tmp_path / "api.token").read_text()
        process.kill()
        process.wait(PATIENCE)
    with pytest.raises(NodeDown):
        client(tmp_path).status()  # its api.json is still there, and says where nobody answers
    with fake_daemon(tmp_path):
        assert client(tmp_path).status().name == "me"
        assert (tmp_path / "api.token").read_text() == token


def test_nobody_else_is_sent_the_token_after_a_crash(tmp_path: Path) -> None:
    """api.json still names the port, and somebody else on this machine may listen there by now."""
    with fake_daemon(tmp_path) as process:
        port = int(client(tmp_path).url.rpartition(":")[2])
        process.kill()
        process.wait(PATIENCE)
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", port))
        thief.listen()
        thief.settimeout(0.3)
        with pytest.raises(NodeDown):
            client(tmp_path).status()
        with pytest.raises(TimeoutError):
            thief.accept()


def test_a_port_asked_for_is_that_port_or_an_error(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = subprocess.run(
            [sys.executable, "-m", "tests.api.fake", "--data-dir", str(tmp_path), "--api-port", str(port)],
            capture_output=True,
            check=False,
            text=True,
            timeout=PATIENCE,
            cwd=ROOT,
        )
    assert found.returncode != 0
    assert f"port {port}" in found.stderr


def test_the_api_listens_on_loopback_alone(tmp_path: Path) -> None:
    with fake_daemon(tmp_path) as process:
        port = int(client(tmp_path).url.rpartition(":")[2])
        lines = subprocess.run(
            ["ss", "-ltnH"], capture_output=True, text=True, check=False
        ).stdout.splitlines()
        own = [line.split()[3] for line in lines if line.split()[3].endswith(f":{port}")]
        assert process.poll() is None
        assert own in ([f"127.0.0.1:{port}"], [])  # [] where there is no ss


def test_the_log_reaches_the_file_and_the_events_and_holds_no_token(tmp_path: Path) -> None:
    with fake_daemon(tmp_path) as process:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
    log = (tmp_path / "node.log").read_text()
    assert "stopping" in log
    assert (tmp_path / "api.token").read_text().strip() not in log


def test_the_page_process_is_started_restarted_and_never_outlives_the_node(tmp_path: Path) -> None:
    """With a stand-in for the page that only keeps the contract."""
    page = tmp_path / "page.py"
    page.write_text(
        "import os, sys\n"
        "given = dict(zip(sys.argv[1::2], sys.argv[2::2]))\n"
        "open(given['--data-dir'] + '/pids', 'a').write(f'{os.getpid()}\\n')\n"
        "open(given['--data-dir'] + '/ports', 'a').write(given['--port'] + '\\n')\n"
        "print('page http://127.0.0.1:7777/', flush=True)\n"
        "sys.stdin.read()\n"
    )
    script = tmp_path / "run.py"
    script.write_text(
        "import sys, pathlib\n"
        "from servent.api import webproc\n"
        f"webproc.WebProcess.__init__.__defaults__ = ((sys.executable, {str(page)!r}),)\n"
        "from tests.api.fake import open_fake\n"
        "from servent.api.daemon import Options, run_daemon\n"
        f"run_daemon(Options(data_dir=pathlib.Path({str(tmp_path)!r}), api_port=0, web=True), open_fake)\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("ready"):
                break
        assert any(line.startswith("page   http://127.0.0.1:") and "/login?code=" in line for line in said)
        node = client(tmp_path)
        assert node.status().web_url == "http://127.0.0.1:7777/"

        def pids() -> list[int]:
            return [int(line) for line in (tmp_path / "pids").read_text().split()]

        def until(what: object) -> None:
            end = time.monotonic() + PATIENCE
            while not what() and time.monotonic() < end:  # type: ignore[operator]
                time.sleep(0.05)
            assert what()  # type: ignore[operator]

        node.restart_web()
        until(lambda: len(pids()) == 2 and node.status().web_url)
        os.kill(pids()[-1], signal.SIGKILL)
        until(lambda: len(pids()) == 3 and node.status().web_url)
        process.kill()  # the node cannot tidy up; the page notices that its stdin closed
        process.wait(PATIENCE)
        until(lambda: not any(_alive(pid) for pid in pids()))
        ports = (tmp_path / "ports").read_text().split()
        assert ports == ["0", "7777", "7777"], "an open tab finds the page again where it was"
        assert (tmp_path / "page.port").read_text() == "7777", "also after a restart of the node"
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(PATIENCE)
        if process.stdout is not None:
            process.stdout.close()


@pytest.mark.parametrize(
    ("content", "port"), [("7777", 7777), ("", 0), ("80", 0), ("x" * 99, 0), ("99999", 0)]
)
def test_the_pages_last_port_is_taken_only_when_it_is_one(tmp_path: Path, content: str, port: int) -> None:
    assert daemon._last_port(tmp_path) == 0
    (tmp_path / daemon.PAGE_PORT).write_text(content)
    assert daemon._last_port(tmp_path) == port


def _alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_up_as_json_prints_one_object(tmp_path: Path) -> None:
    script = (
        "import pathlib, sys; from tests.api.fake import open_fake;"
        "from servent.api.daemon import Options, run_daemon;"
        "run_daemon(Options(data_dir=pathlib.Path(sys.argv[1]), api_port=0, web=False, json=True), open_fake)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        assert said["ready"] is True
        assert Client(said["api_url"], (tmp_path / "api.token").read_text().strip()).health().ok
    finally:
        process.terminate()
        process.wait(PATIENCE)
        process.stdout.close() if process.stdout else None


def test_a_room_that_fails_ends_the_node_with_its_error(tmp_path: Path) -> None:
    @contextlib.asynccontextmanager
    async def opened(options: Options) -> AsyncIterator[Face]:
        async def fail() -> None:
            await asyncio.sleep(0.1)
            raise DiskTrouble("the disk is gone")

        async with asyncio.TaskGroup() as rooms:
            rooms.create_task(fail(), name="a room")
            async with open_fake(options) as node:
                yield node

    with pytest.raises(DiskTrouble, match="the disk is gone"):
        run_daemon(Options(data_dir=tmp_path, api_port=0, web=False), opened)
    assert not (tmp_path / "api.json").exists()
    with DirLock(tmp_path):
        pass  # the directory is free again


def test_a_data_directory_that_cannot_be_made_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorldError, match="cannot be used"):
        run_daemon(Options(data_dir=tmp_path / "file" / "node"), open_fake)


def test_a_node_loads_nothing_that_it_may_never_need() -> None:
    script = (
        "import sys, servent.cli.node, servent.api.adapter, servent.api.daemon, servent.node;"
        "later = {'websockets', 'watchfiles', 'spake2', 'difflib', 'libtorrent', 'nicegui', 'rich', 'tinytag', 'PIL'};"
        "print(sorted(later & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has malloc_trim")
def test_memory_that_was_needed_once_is_given_back(tmp_path: Path) -> None:
    """Small blocks with one kept now and then: the allocator alone would keep nearly all of it."""
    script = """
import asyncio, psutil
from servent.api.daemon import be_thrifty, spare_memory
spare_memory()
async def main():
    rss = psutil.Process().memory_info
    loop = asyncio.get_running_loop()
    task = loop.create_task(be_thrifty(0.3, 8 * 2**20))
    await asyncio.sleep(0.1)
    held = [bytes(3000) for _ in range(60_000)]
    most, waited = rss().rss, 0
    held = held[::500] + [bytes(3000)]
    while most - rss().rss < 100 * 2**20 and waited < 300:
        await asyncio.sleep(0.1)
        waited += 1
    print(most, rss().rss)
    task.cancel()
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    most, after = map(int, done.stdout.split())
    assert most - after > 100 * 2**20
