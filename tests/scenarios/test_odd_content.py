"""Content that is unusual but real: nothing in it, names of all kinds."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from servent.blobs.disk import Partial
from servent.errors import DiskTrouble
from servent.net import ticket as tickets
from servent.node import Node
from servent.testing.nodes import nodes


async def fetched(ann: Node, bob: Node, what: Path, to: Path) -> Path:
    """What bob has once he fetched it from ann."""
    await bob.join(await ann.ticket())
    share = await ann.blobs.add(what)
    await bob.blobs.fetch(f"magnet:?xt=urn:btmh:1220{share.id}", to)

    def complete() -> bool:
        return bob.blobs.transfers()[0].state == "complete"

    await until(complete)
    return to / what.name


async def until(condition: Callable[[], bool], limit: float = 60.0) -> None:
    async with asyncio.timeout(limit):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.mark.real
def test_a_file_without_bytes_arrives_and_the_node_closes_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "nothing.bin").touch()
        async with nodes(2, tmp_path / "nodes") as (ann, bob):
            got = await fetched(ann, bob, tmp_path / "nothing.bin", tmp_path / "to")
            assert got.read_bytes() == b""

    asyncio.run(main())


@pytest.mark.real
def test_a_folder_of_odd_names_arrives_byte_for_byte(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    for number, name in enumerate(
        ("-rf", "CON", "tab\t.txt", "two\nlines", "ünï 🎉", "a;b:c*?.txt", "trailing.")
    ):
        (folder / name).write_bytes(bytes([number]) * number * 1000)

    async def main() -> None:
        async with nodes(2, tmp_path / "nodes") as (ann, bob):
            got = await fetched(ann, bob, folder, tmp_path / "to")
            theirs = sorted(path.read_bytes() for path in got.iterdir())
            assert theirs == sorted(path.read_bytes() for path in folder.iterdir())

    asyncio.run(main())


@pytest.mark.real
def test_a_target_that_takes_nothing_pauses_the_download_and_goes_on_elsewhere_in_time(
    tmp_path: Path,
) -> None:
    (tmp_path / "letter.txt").write_bytes(b"dear bob" * 9000)
    (tmp_path / "to").write_bytes(b"a file where the folder should be")

    async def main() -> None:
        async with nodes(2, tmp_path / "nodes") as (ann, bob):
            await bob.join(await ann.ticket())
            share = await ann.blobs.add(tmp_path / "letter.txt")
            await bob.blobs.fetch(f"magnet:?xt=urn:btmh:1220{share.id}", tmp_path / "to" / "bob")
            await until(lambda: bob.blobs.transfers()[0].state == "paused")
            [paused] = bob.blobs.transfers()
            assert paused.error and str(tmp_path / "to") in paused.error
            (tmp_path / "to").unlink()
            await bob.blobs.resume(paused.id)
            await until(lambda: bob.blobs.transfers()[0].state == "complete")
            assert (tmp_path / "to" / "bob" / "letter.txt").stat().st_size == 72000

    asyncio.run(main())


@pytest.mark.real
def test_a_cancel_holds_also_where_nothing_can_be_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stuck(partial: Partial) -> None:
        raise DiskTrouble("the file system is read-only")

    (tmp_path / "letter.txt").write_bytes(b"dear bob" * 9000)
    (tmp_path / "to").write_bytes(b"a file where the folder should be")

    async def main() -> None:
        async with nodes(2, tmp_path / "nodes") as (ann, bob):
            await bob.join(await ann.ticket())
            share = await ann.blobs.add(tmp_path / "letter.txt")
            await bob.blobs.fetch(f"magnet:?xt=urn:btmh:1220{share.id}", tmp_path / "to" / "bob")
            await until(lambda: bob.blobs.transfers()[0].state == "paused")
            (tmp_path / "to").unlink()
            monkeypatch.setattr(Partial, "discard", stuck)
            await bob.blobs.cancel(bob.blobs.transfers()[0].id)
            [one] = bob.blobs.transfers()
            assert (one.state, "read-only" in one.reason) == ("cancelled", True)

    asyncio.run(main())


@pytest.mark.real
def test_a_stranger_with_a_link_is_told_that_a_ticket_is_missing(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_bytes(b"dear bob")

    async def main() -> None:
        async with nodes(2, tmp_path / "nodes") as (ann, bob):
            share = await ann.blobs.add(tmp_path / "letter.txt")
            assert share.infohash is not None
            contact = tickets.encode(tickets.Ticket(await ann.address()))
            await bob.blobs.fetch(ann.blobs.link(share.infohash, [contact]), tmp_path / "to")
            await until(lambda: "a ticket from them lets you in" in bob.blobs.transfers()[0].reason)
            await bob.join(await ann.ticket())
            await until(lambda: bob.blobs.transfers()[0].state == "complete")

    asyncio.run(main())
