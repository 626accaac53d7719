"""Safety: what is hidden and why, blocks that survive a restart, reports that only admins get."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.api.adapter_search import SearchPart
from servent.api.schema_share import BrowseQuery
from servent.blobs.hashing import collect
from servent.codec import write_frame
from servent.errors import NotFound, UsageError
from servent.identity import PeerId
from servent.share import safety_wire
from servent.share.safety import MOST_FROM_ONE, Block, Filters, Report, Safety, ext_of, outdated
from servent.testing.loop import run
from servent.testing.nodes import gather_in_network, nodes
from servent.testing.simnet import SimNet
from tests.share.finding import met, shares

ROOT = bytes(range(32))


def test_a_blocked_content_is_hidden_with_the_note() -> None:
    safety = Safety()
    assert safety.hides(ROOT, "song.mp3", "audio", 5) == ""
    safety.block(Block(ROOT, note="a virus"))
    assert safety.blocks_content(ROOT) and "a virus" in safety.hides(ROOT, "song.mp3", "audio", 5)
    assert safety.unblock(ROOT) and not safety.blocks_content(ROOT)


@pytest.mark.parametrize(
    ("filters", "name", "kind", "size", "hidden"),
    [
        (Filters(words=("sex",)), "Essex county.pdf", "document", 1, False),
        (Filters(words=("sex",)), "SEX, lies.avi", "video", 1, True),
        (Filters(words=("ess*",)), "Essex county.pdf", "document", 1, True),
        (Filters(words=("two words",)), "two-words.txt", "document", 1, True),
        (Filters(words=("two words",)), "words two.txt", "document", 1, False),
        (Filters(exts=(".EXE",)), "setup.exe", "program", 1, True),
        (Filters(exts=("exe",)), "exe", "other", 1, False),
        (Filters(kinds=("program",)), "a.bin", "program", 1, True),
        (Filters(max_bytes=10), "a", "other", 11, True),
        (Filters(max_bytes=10), "a", "other", 10, False),
        (Filters(min_bytes=10), "a", "other", 9, True),
    ],
)
def test_filters_hide_what_they_say(filters: Filters, name: str, kind: str, size: int, hidden: bool) -> None:
    safety = Safety()
    safety.set_filters(filters)
    assert bool(safety.hides(ROOT, name, kind, size)) is hidden


def test_filters_that_make_no_sense_are_refused_and_the_old_ones_stay() -> None:
    safety = Safety()
    safety.set_filters(Filters(words=("good",)))
    for bad in (Filters(words=("...",)), Filters(min_bytes=5, max_bytes=4)):
        with pytest.raises(UsageError):
            safety.set_filters(bad)
    assert safety.filters.words == ("good",)


@given(st.text(max_size=60), st.text(max_size=20))
def test_no_name_and_no_word_breaks_a_filter(name: str, word: str) -> None:
    safety = Safety()
    try:
        safety.set_filters(Filters(words=(word,)))
    except UsageError:
        return
    safety.hides(ROOT, name, "other", 1)
    assert ext_of(name) == ext_of(name).lower()


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1e9)), max_size=200))
def test_one_reporter_never_fills_the_list(made: list[tuple[int, float]]) -> None:
    reports = [Report(str(i), "spam", at, by=PeerId(bytes([who]) * 32)) for i, (who, at) in enumerate(made)]
    gone = set(outdated(reports))
    kept = [one for one in reports if one.id not in gone]
    for who in range(4):
        mine = [one for one in kept if one.by == PeerId(bytes([who]) * 32)]
        assert len(mine) == min(MOST_FROM_ONE, sum(1 for one, _ in made if one == who))


def test_blocks_and_filters_outlive_the_node(tmp_path: Path) -> None:
    async def first() -> None:
        async with nodes(1, tmp_path, SimNet()) as (ann,):
            await ann.share.safety.block_content(ROOT, "bad.exe", "a virus")
            await ann.share.safety.set_filters(Filters(exts=("exe",), max_bytes=100))

    async def second() -> None:
        async with nodes(1, tmp_path, SimNet()) as (ann,):
            safety = ann.share.safety
            assert safety.blocks_content(ROOT) and safety.filters == Filters(exts=("exe",), max_bytes=100)
            await safety.unblock(ROOT.hex())
            assert not safety.blocks_content(ROOT)
            with pytest.raises(NotFound):
                await safety.unblock(ROOT.hex())

    run(first())
    run(second())


def test_a_report_blocks_here_and_reaches_the_founder_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(4, tmp_path, SimNet()) as (ann, bob, cat, dan):
            await gather_in_network([ann, bob, cat, dan])
            await asyncio.sleep(5.0)  # until everybody has heard who else is in it
            made = await bob.share.safety.report(
                "malware", content=ROOT, peer=cat.peer, name="setup.exe", note="x"
            )
            assert made.told == 1 and bob.share.safety.blocks_content(ROOT)
            assert bob.trust.verdict(cat.peer).known  # the content is blocked, not who has it
            (heard,) = ann.share.safety.reports()
            assert (heard.by, heard.peer, heard.content, heard.reason) == (
                bob.peer,
                cat.peer,
                ROOT,
                "malware",
            )
            assert not ann.share.safety.blocks_content(ROOT)  # a word of somebody else's changes nothing
            assert ann.trust.verdict(cat.peer).known
            assert cat.share.safety.reports() == dan.share.safety.reports() == []
            # The same again is one report, and about somebody who is in no network of ours none.
            await bob.share.safety.report("malware", content=ROOT, peer=cat.peer)
            assert len(ann.share.safety.reports()) == 1

    run(main())


def test_a_flood_of_reports_is_cut_off(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(3, tmp_path, SimNet()) as (ann, bob, cat):
            await gather_in_network([ann, bob, cat])
            await asyncio.sleep(5.0)
            kept = 0
            for number in range(40):
                stream = await bob.open(ann.peer, safety_wire.SERVICE)
                await write_frame(
                    stream, safety_wire.Report(bytes(cat.peer), "spam", bytes([number]) * 32, "x\x1b[31m", "")
                )
                kept += (await safety_wire.read_heard.read(stream)).kept
            assert kept == 10 == len(ann.share.safety.reports())
            assert all(one.name.isprintable() for one in ann.share.safety.reports())
            stream = await cat.open(
                ann.peer, safety_wire.SERVICE
            )  # a stranger as the accused: not ours to judge
            await write_frame(stream, safety_wire.Report(b"\7" * 32, "spam"))
            assert not (await safety_wire.read_heard.read(stream)).kept

    run(main())


def test_a_fetched_program_cannot_be_run_and_is_sound_all_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path, SimNet()) as (ann, bob):
            await ann.join(await bob.ticket())
            folder = tmp_path / "tools"
            folder.mkdir()
            (folder / "run.sh").write_text("#!/bin/sh\necho hello\n")
            (folder / "run.sh").chmod(0o755)
            share = await bob.blobs.add(folder)
            assert share.infohash is not None
            transfer = await ann.blobs.fetch(bob.blobs.link(share.infohash))
            async with asyncio.timeout(30.0):
                while ann.blobs.transfer(transfer.id).state != "complete":
                    await asyncio.sleep(0.1)
            path = ann.blobs.transfer(transfer.id).path
            assert path is not None and not (Path(path) / "run.sh").stat().st_mode & 0o111
            await ann.blobs.verify(transfer.id)
            (Path(path) / "run.sh").write_text("#!/bin/sh\necho other\n")
            with pytest.raises(UsageError):
                await ann.blobs.verify(transfer.id)

    run(main())


def test_what_is_blocked_is_served_no_more_in_the_middle_of_an_upload(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path, SimNet(bandwidth=100_000)) as (ann, bob):
            await ann.join(await bob.ticket())
            file = tmp_path / "bad.bin"
            file.write_bytes(b"bad" * 500_000)
            share = await bob.blobs.add(file)
            assert share.infohash is not None
            link = bob.blobs.link(share.infohash)
            transfer = await ann.blobs.fetch(link)
            async with asyncio.timeout(30.0):
                while not ann.blobs.transfer(transfer.id).done_bytes:
                    await asyncio.sleep(0.1)
            root = hash_of(file)
            await bob.share.safety.block_content(root)
            await asyncio.sleep(2.0)
            at = ann.blobs.transfer(transfer.id).done_bytes
            await asyncio.sleep(30.0)
            assert ann.blobs.transfer(transfer.id).done_bytes == at < file.stat().st_size
            await bob.share.safety.unblock(root.hex())
            async with asyncio.timeout(60.0):
                while ann.blobs.transfer(transfer.id).state != "complete":
                    await asyncio.sleep(0.1)

    run(main())


def hash_of(path: Path) -> bytes:
    (file,) = collect(path).collection.files
    assert file.root is not None
    return file.root


def test_browsing_tells_why_something_is_hidden_elsewhere(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path / "nodes", SimNet(3)) as (ann, bob):
            await gather_in_network([ann, bob])
            await met([ann, bob])
            await shares(
                bob, tmp_path / "bob", {"casino night.txt": b"1", "hello.txt": b"22", "sub/x.exe": b"3"}
            )
            part = SearchPart(ann)
            await ann.share.safety.set_filters(Filters(words=("casino",), exts=("exe",)))
            top = await part.browse(str(bob.peer), BrowseQuery(path="bob"))
            said = {entry.name: entry.blocked for entry in top.entries}
            assert "casino" in said["casino night.txt"] and said["hello.txt"] == said["sub"] == ""
            hello = next(entry for entry in top.entries if entry.name == "hello.txt")
            await ann.share.safety.block_content(bytes.fromhex(hello.content), note="not what it says")
            top = await part.browse(str(bob.peer), BrowseQuery(path="bob"))
            assert {entry.name: entry.blocked for entry in top.entries}["hello.txt"] == (
                "you blocked it: not what it says"
            )
            mine = await SearchPart(bob).browse("me", BrowseQuery(path="bob"))
            assert not any(entry.blocked for entry in mine.entries)

    run(main())
