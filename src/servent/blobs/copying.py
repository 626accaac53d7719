"""What is on this machine already: another copy, or what an earlier run left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from servent.blobs import tree
from servent.blobs.disk import Partial
from servent.blobs.files import read_into
from servent.blobs.goal import Goal
from servent.blobs.info import Collection, piece_length_for
from servent.blobs.kit_service import Aids, Finder
from servent.blobs.places import Copy, open_place
from servent.blobs.rows import Row
from servent.blobs.scan import PARTIAL_PREFIX
from servent.blobs.seed import PieceSource, already_there
from servent.blobs.selection import pieces_of
from servent.blobs.uploads_service import Holding
from servent.errors import BadMessage, WorldError

MOST_FILES = 200_000  # of a collection; beyond that nobody looks for copies of them
FILES_AT_ONCE = 2000  # looked for in one question


def copy_from(
    source: PieceSource, collection: Collection, row: Row, progress: Callable[[int], None]
) -> Path | None:
    """Write what `source` holds to where `row` wants it, or find it there. Blocks: run it in a thread.

    Returns where it is, or None when the source's own files are gone or have changed.

    Raises:
        DiskTrouble: the folder does not take it.
    """
    partial = Partial.open(Path(row.to), collection, size=row.size_bytes)
    try:
        there = already_there(collection, partial.to, row.called, row.wanted)
        if there is not None:
            partial.discard()
            return there
        wanted = None if row.wanted is None else pieces_of(collection, row.wanted)
        for piece in range(collection.pieces):
            if (wanted is None or piece in wanted) and not partial.has(piece):
                try:
                    data = source.read_piece(piece)
                except WorldError:  # gone, changed, or not ours to read
                    return None
                if not collection.verify(piece, data):
                    return None
                partial.write_piece(piece, data)
                progress(partial.done_bytes)
        return partial.finish(called=row.called, files=row.wanted)
    finally:
        partial.close()


async def copy_here(row: Row, goal: Goal, holding: Holding) -> bool:
    """Take what `row` wants from what this node has already, instead of from peers.

    False when those files are gone or have changed. Raises DiskTrouble about the place it goes to.
    """
    collection = holding.collection
    row.info = collection.info
    goal.describe(collection)
    row.set("active", "copying what is on this machine already")

    def copied(done_bytes: int) -> None:
        row.done_bytes = done_bytes

    final = await asyncio.to_thread(copy_from, holding.source, collection, row, copied)
    if final is None:
        holding.upset("its files are gone, or have changed")
        return False
    row.path = str(final)
    return True


async def copy_all_known(aids: Aids, row: Row, goal: Goal, partial: Partial) -> None:
    """Files that lie elsewhere on this machine are copied from there."""
    collection, stop = partial.collection, threading.Event()
    try:
        copies = await known_copies(aids, collection, goal.files(collection), partial)
        if copies:
            row.set("active", "copying what is on this machine already")
            await asyncio.to_thread(copy_known, partial, copies, goal.progress, stop.is_set)
    finally:
        stop.set()


async def known_copies(
    aids: Aids, collection: Collection, files: Sequence[int], partial: Partial
) -> dict[int, list[Copy]]:
    """Where this machine has these files of `collection`, or older versions of them, by index, as far as they are
    not there yet.
    """
    if len(files) > MOST_FILES:
        return {}
    have, found = partial.have, {}
    missing = [
        index
        for index in files
        if collection.files[index].size and any(piece not in have for piece in collection.file_pieces(index))
    ]
    for at in range(0, len(missing), FILES_AT_ONCE):
        some = missing[at : at + FILES_AT_ONCE]
        copies = await aids.copies(
            [root for index in some if (root := collection.files[index].root) is not None]
        )
        for index in some:
            file = collection.files[index]
            these = [one for one in copies.get(file.root or b"", ()) if one.place.size == file.size]
            if these:
                found[index] = these
    wanted = set(missing)
    for index, these in (await aids.alike(collection) if wanted else {}).items():
        if index in wanted:
            found[index] = [*found.get(index, ()), *these]
    return found


async def learn_known(finder: Finder, collection: Collection) -> None:
    """Take piece layers from what this machine knows of the same contents."""
    missing = collection.missing_layers()
    if not 0 < len(missing) <= FILES_AT_ONCE:
        return
    for root, copies in (await finder(missing)).items():
        own = piece_length_for(copies[0].place.size)
        if copies[0].layer and own <= collection.piece_length:
            with contextlib.suppress(BadMessage):  # then a peer has it
                collection.learn(root, tree.reduce_layer(copies[0].layer, own, collection.piece_length))


def copy_known(
    partial: Partial,
    copies: Mapping[int, Sequence[Copy]],
    progress: Callable[[Partial], None],
    stopped: Callable[[], bool],
) -> None:
    """Take files from where this machine has them, each piece checked as if it came from a peer. Blocks.

    A copy that is not what it was is left; then another, or a peer, gives the rest. Raises DiskTrouble.
    """
    collection = partial.collection
    for index, these in copies.items():
        pieces = collection.file_pieces(index)
        for copy in these:
            try:
                handle = open_place(copy.place)
            except (OSError, WorldError):
                continue
            try:
                for piece in pieces:
                    if stopped():
                        return
                    if partial.has(piece):
                        continue
                    _, offset, size = collection.span(piece)
                    data = bytearray(size)
                    if read_into(handle, memoryview(data), offset) < size or not collection.verify(
                        piece, data
                    ):
                        if copy.alike:
                            continue
                        break
                    partial.write_piece(piece, data)
                    progress(partial)
                else:
                    if all(partial.has(piece) for piece in pieces):
                        break
            except OSError:
                continue
            finally:
                os.close(handle)


def left_info(row: Row) -> bytes | None:
    """What an earlier run that was killed before it could tell the store left beside the download. Blocks."""
    try:
        content = (Path(row.to) / f"{PARTIAL_PREFIX}{row.infohash.hex()[:16]}" / "info").read_bytes()
    except OSError:
        return None
    return content if sha256(content).digest() == row.infohash else None
