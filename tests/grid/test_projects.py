"""Own projects on one node: made, changed, closed, remembered; apps checked before they are signed; comparers."""

from __future__ import annotations

import asyncio
import tracemalloc
from pathlib import Path

import pytest

from servent.errors import NotFound, UsageError
from servent.grid import manifests
from servent.grid.coordinator_views import ComparerFailed
from servent.net.session import first
from servent.store import Damaged
from servent.testing.nodes import nodes
from tests.grid.sandbox.rig import ECHO
from tests.net.party import until

# Ends with 0 where the first bytes of both results are the same, with 1 where not, with 2 where one is empty.
FIRST_BYTE = """(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $other i32)
    (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 60000))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (if (i32.eqz (i32.load8_u (i32.const 71))) (then (call $exit (i32.const 2))))
    (local.set $other (i32.add (i32.const 80) (i32.load8_u (i32.const 71))))
    (if (i32.ne (i32.load8_u (i32.const 72)) (i32.load8_u (local.get $other)))
      (then (call $exit (i32.const 1))))))"""
FILES = """(module
  (import "wasi_snapshot_preview1" "path_open" (func (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "env" "launch" (func (param i32)))
  (memory (export "memory") 1) (func (export "_start")))"""


def text(folder: Path, content: str, name: str) -> Path:
    path = folder / name
    path.write_text(content)
    return path


def test_a_project_is_made_changed_closed_and_forgotten_and_outlives_the_node(tmp_path: Path) -> None:
    async def first() -> tuple[bytes, str]:
        async with nodes(1, tmp_path) as (node,):
            projects = node.grid.projects
            made = await projects.create("Primes", about="big ones", budget=100.0)
            key = projects.key_of("primes")
            assert projects.key_of("") == projects.key_of(made.link) == projects.key_of(made.key) == key
            for name in ("primes", "", "\u202e"):
                with pytest.raises(UsageError):
                    await projects.create(name)
            with pytest.raises(NotFound):
                await projects.create("others", audience="network", network="nowhere")
            with pytest.raises(UsageError, match="which network"):
                await projects.change(key, audience="network")
            await node.trust.create_network("club")
            changed = await projects.change(key, audience="network", network="club", about="bigger ones")
            assert (changed.audience, changed.network, changed.about) == ("network", "club", "bigger ones")
            manifest = projects.manifest(key)
            assert manifest is not None and manifest.serial == 2 and manifest.mutual
            assert (
                manifests.open_project(projects._own[key][1].signed, key) == manifest
            )  # its owner agreed to pay
            await projects.change(key, paused=True)
            assert (await projects.change(key, budget=0)).budget is None
            manifest = projects.manifest(key)
            assert manifest is not None and manifest.budget is None
            manifests.open_project(projects._own[key][1].signed, key)  # a volunteer takes it as it is
            assert (await projects.change(key, budget=100.0)).budget == 100.0
            await projects.add_app(key, "echo", text(tmp_path, ECHO, "echo.wat"), operations=1e9)
            second = await projects.add_app(key, "echo", tmp_path / "echo.wat", operations=2e9)
            assert second.version == 2 and projects.app_of(key, "echo") == second
            assert projects.app_of(key, "echo/1").operations == 1e9
            await node.grid.batches.submit(key, "echo", items=[b"x" * 50_000])
            await projects.retire_app(key, "echo/2")
            assert projects.app_of(key, "echo").version == 1 and projects.app_of(key, second.id).retired
            return key, made.key

    async def second(key: bytes, letters: str) -> None:
        async with nodes(1, tmp_path) as (node,):
            projects = node.grid.projects
            view = projects.view(key)
            assert (view.key, view.paused, view.budget, len(view.apps)) == (letters, True, 100.0, 2)
            assert node.grid.contents.path(node.grid.coordinator.apps(key)[0][1].module) is not None
            with pytest.raises(UsageError, match="not closed"):
                await node.grid.remove_project(key)
            await projects.change(key, closed=True)
            with pytest.raises(UsageError, match="stays closed"):
                await projects.change(key, closed=False)
            assert len(node.grid.batches.all()) == 1
            await node.grid.remove_project(key)
            assert (
                node.grid.batches.all() == []
                and projects.all() == []
                and node.grid.contents.used_bytes() == 0
            )
            with pytest.raises(NotFound):
                projects.view(key)

    key, letters = asyncio.run(first())
    asyncio.run(second(key, letters))


def test_a_module_that_no_volunteer_would_run_is_not_signed_and_it_says_why(tmp_path: Path) -> None:
    async def story() -> None:
        async with nodes(1, tmp_path) as (node,):
            projects = node.grid.projects
            await projects.create("p")
            key = projects.key_of("p")
            for content, name, why in (
                (FILES, "files.wat", "launch"),
                ("(module", "broken.wat", "text is not right"),
                ("hello", "hello.wasm", "no WebAssembly module"),
            ):
                with pytest.raises(UsageError, match=why):
                    await projects.add_app(key, "bad", text(tmp_path, content, name), operations=1e9)
            with pytest.raises(UsageError):
                await projects.add_app(
                    key, "slices", text(tmp_path, ECHO, "echo.wat"), abi="slice", operations=1.0
                )
            with pytest.raises(NotFound):
                await projects.add_app(key, "none", tmp_path / "nowhere.wasm", operations=1e9)
            assert projects.view(key).apps == () and node.grid.contents.used_bytes() == 0
            measured = await projects.add_app(
                key, "echo", tmp_path / "echo.wat", sample=text(tmp_path, "x" * 1000, "sample")
            )
            assert 1e6 <= measured.operations < 1e11
            tried = await projects.try_module(tmp_path / "echo.wat", input=tmp_path / "sample")
            assert (tried.outcome, tried.output) == ("done", "x" * 1000)
            assert (await projects.try_module(tmp_path / "files.wat")).outcome == "module"
            assert not any((node.data_dir / "grid" / "tries").iterdir())

    asyncio.run(story())


def test_a_comparer_says_which_results_are_alike(tmp_path: Path) -> None:
    async def story() -> None:
        async with nodes(1, tmp_path) as (node,):
            projects, trying = node.grid.projects, node.grid.trying
            await projects.create("p")
            key = projects.key_of("p")
            with pytest.raises(UsageError, match="comparer"):
                await projects.add_app(
                    key, "echo", text(tmp_path, ECHO, "echo.wat"), compare="comparer", operations=1e9
                )
            await projects.add_app(
                key,
                "echo",
                tmp_path / "echo.wat",
                compare="comparer",
                comparer=text(tmp_path, FIRST_BYTE, "first.wat"),
                operations=1e9,
            )
            _, app = projects.app_manifest(key, "echo")
            assert await trying.agree(app, b"1.000", b"1.001")
            assert not await trying.agree(app, b"1.000", text(tmp_path, "2.000", "other"))
            with pytest.raises(ComparerFailed, match="failed"):
                await trying.agree(app, b"", b"1")
            # Long results of strangers are copied in parts, one pair at a time.
            long = tmp_path / "long"
            with long.open("wb") as file:
                file.truncate((64 << 20) + 1)
            tracemalloc.start()
            try:
                alike = await asyncio.gather(*(trying.agree(app, long, long) for _ in range(2)))
                assert alike == [True, True] and tracemalloc.get_traced_memory()[1] < 32 << 20
            finally:
                tracemalloc.stop()
            assert not any((node.data_dir / "grid" / "tries").iterdir())

    asyncio.run(story())


def test_what_this_machine_leased_and_lost_goes_back_when_it_starts(tmp_path: Path) -> None:
    async def lose() -> None:
        async with nodes(1, tmp_path) as (node,):
            from servent.grid import wire

            made = await node.grid.new_project("p", local=True)
            key = node.grid.projects.key_of(made.key)
            await node.grid.projects.add_app(key, "echo", text(tmp_path, ECHO, "echo.wat"), operations=1e9)
            await node.grid.batches.submit(key, "echo", items=[b"a", b"b"])
            visit = node.grid.coordinator.visit(key, node.peer, local=True)
            await visit.answer(wire.Join(key))
            leased = await visit.answer(wire.Lease(64, 1e6))
            assert isinstance(leased, wire.Leased) and len(leased.tasks) == 2
            assert node.grid.projects.view(key).by_state["running"] == 2

    async def find() -> None:
        async with nodes(1, tmp_path) as (node,):
            key = node.grid.projects.key_of("p")
            await until(lambda: node.grid.projects.view(key).by_state["running"] == 0)
            assert node.grid.projects.view(key).by_state["waiting"] == 2

    asyncio.run(lose())
    asyncio.run(find())


def test_a_damaged_file_of_projects_is_not_replaced_by_an_empty_one(tmp_path: Path) -> None:
    async def begin() -> None:
        async with nodes(1, tmp_path, bulk=False) as (node,):
            await node.grid.projects.create("p")

    asyncio.run(begin())
    path = tmp_path / "node-0" / "grid.db"
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(begin())
    wrong = first(caught.value)
    assert isinstance(wrong, Damaged) and "projects of yours" in wrong.advice
    path.write_bytes(whole)

    async def again() -> None:
        async with nodes(1, tmp_path, bulk=False) as (node,):
            assert [one.name for one in node.grid.projects.all()] == ["p"]

    asyncio.run(again())
