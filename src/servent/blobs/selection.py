"""Which files of a collection somebody chose, and which pieces belong to them. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Sequence

from servent.blobs.info import Collection
from servent.blobs.pieces import Bits, runs_of
from servent.errors import NotFound, UsageError

MOST_PATTERNS = 100


def matches(path: str, pattern: str) -> bool:
    """A pattern without "/" is for names, one with it for the whole path; case does not matter."""
    text = path if "/" in pattern else path.rpartition("/")[2]
    return fnmatch.fnmatchcase(text.casefold(), pattern.casefold())


def choice(
    collection: Collection,
    wanted: Sequence[int] | None,
    patterns: Sequence[str],
    blocked: Callable[[bytes], bool],
) -> list[int] | None:
    """Those of the `wanted` files (None: all) that match one of `patterns` (none: all) and are not blocked.

    Raises:
        NotFound: none matches. UsageError: all that is left is blocked.
    """
    files = collection.files
    chosen = [one for one in (range(len(files)) if wanted is None else wanted) if one < len(files)]
    if patterns and not collection.single:
        paths = {index: "/".join(files[index].path) for index in chosen}
        chosen = [one for one in chosen if any(matches(paths[one], pattern) for pattern in patterns)]
        if not chosen:
            raise NotFound(
                f"none of the {len(files)} files matches {' or '.join(patterns)[:200]}",
                advice="`servent get` without --files fetches all; `servent browse` shows what is there.",
            )
    free = [one for one in chosen if not blocked(files[one].root or b"")]
    if not free and chosen:
        what = "this content is" if len(chosen) == 1 else f"all of its {len(chosen)} files are"
        raise UsageError(
            f"{what} blocked here", advice="`servent blocks` lists it; `servent unblock` takes it back."
        )
    return None if wanted is None and len(free) == len(files) else free


def pieces_of(collection: Collection, files: Iterable[int]) -> Bits:
    """All pieces of these files."""
    bits = Bits(collection.pieces)
    for first, count in runs_of(files):  # files that follow each other have pieces that do
        start = collection.file_pieces(first).start
        stop = collection.file_pieces(first + count - 1).stop
        bits.set_run(start, stop - start)
    return bits


def bytes_in(collection: Collection, pieces: Bits) -> int:
    """How many bytes these pieces have."""
    sizes = collection.piece_sizes()
    return sum(sum(sizes[first : first + count]) for first, count in pieces.runs())
