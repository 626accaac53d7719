"""Hashing in helper processes gives what hashing here gives."""

from __future__ import annotations

import os
import sys

import pytest

from servent.blobs import tree
from servent.blobs.lanes_hasher import WORTH, Arena, Hasher

needs_memfd = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="no memfd on this system")


@needs_memfd
@pytest.mark.parametrize("size", [WORTH, WORTH + 1, 1 << 20, (1 << 20) - 7])
def test_a_helper_hashes_what_lies_in_the_arena(size: int) -> None:
    arena = Arena(4 << 20)
    hasher = Hasher(arena)
    assert arena.view is not None
    part = arena.view[1 << 20 : (1 << 20) + size]
    part[:] = os.urandom(size)
    try:
        assert hasher.leaves(part, size, 1 << 20) == tree.hash_blocks(part)
        assert hasher.trim() == 1, "the helper stays for the next piece"
    finally:
        hasher.close()
    assert hasher.trim() == 0


def test_private_memory_and_small_pieces_are_hashed_here() -> None:
    hasher = Hasher(Arena(1 << 20))
    data = memoryview(bytearray(os.urandom(300_000)))
    assert hasher.leaves(data, 300_000, None) == tree.hash_blocks(data)
    assert hasher.leaves(data, 1000, 0) == tree.hash_blocks(data[:1000])
    assert hasher.trim() == 0, "nobody was started"


@needs_memfd
def test_where_no_helper_starts_everything_is_hashed_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    arena = Arena(1 << 20)
    hasher = Hasher(arena)
    assert arena.view is not None
    arena.view[:] = os.urandom(1 << 20)
    assert hasher.leaves(arena.view, 1 << 20, 0) == tree.hash_blocks(arena.view)


@needs_memfd
def test_a_helper_that_was_killed_costs_no_piece() -> None:
    arena = Arena(1 << 20)
    hasher = Hasher(arena)
    assert arena.view is not None
    try:
        hasher.leaves(arena.view, 1 << 20, 0)
        hasher._idle[0].process.kill()
        hasher._idle[0].process.wait()
        assert hasher.leaves(arena.view, 1 << 20, 0) == tree.hash_blocks(arena.view)
    finally:
        hasher.close()
