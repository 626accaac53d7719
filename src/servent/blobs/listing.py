"""What an info dictionary lists, of whichever version: BEP 52's, which is ours, or version 1, which has no tree. Pure."""

from __future__ import annotations

from hashlib import sha1

from servent.blobs import bencode, info, infov1
from servent.blobs.info import Collection, File
from servent.errors import BadMessage

V1 = 20  # bytes of an infohash of version 1


def is_v1(infohash: bytes) -> bool:
    """Whether it names something of version 1 alone."""
    return len(infohash) == V1


def describe(content: bytes, infohash: bytes) -> Collection:
    """The collection that `infohash` names.

    For version 1 it is a list of files and nothing more: none has a root, so no piece of it can be checked here, and its pieces
    are counted as if each file began one. Files of padding are left out.

    Raises:
        BadMessage: not what `infohash` names, malformed, or over a limit.
    """
    if not is_v1(infohash):
        return info.parse(content, infohash)
    if len(content) > info.MAX_INFO_BYTES:
        raise BadMessage(
            f"an info dictionary of {len(content)} bytes, over the limit of {info.MAX_INFO_BYTES}"
        )
    if sha1(content, usedforsecurity=False).digest() != infohash:
        raise BadMessage("an info dictionary that does not match its infohash")
    made = bencode.decode(content, info.MAX_INFO_BYTES)
    if not isinstance(made, dict):
        raise BadMessage("an info dictionary that is no dictionary")
    plain = infov1.read(made)
    files = tuple(File(one.path, one.size, None, one.executable) for one in plain.files if not one.pad)
    if not files:
        raise BadMessage("a torrent without files")
    paths = {file.path for file in files}
    if len(paths) < len(files) or any(
        path[:depth] in paths for path in paths for depth in range(1, len(path))
    ):
        raise BadMessage("a torrent in which a file is there twice, or is a folder as well")
    listed = Collection(plain.name, plain.piece_length, files, content)
    listed.infohash = infohash
    return listed
