"""Modules, inputs, outputs and checkpoints as contents: published once, fetched from whoever has them, kept under a cap.

Each is the canonical collection of its bytes (see `blobs.canonical`), so that the same bytes have the same name everywhere, and whoever has them can serve
them. They never show in the person's list of transfers or in the folder for downloads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from servent.blobs.service import Blobs
from servent.grid.manifests import Content
from servent.identity import PeerId
from servent.net.peers import Peers
from servent.store import Store
from servent.trust.service import TrustService


class Contents:
    """Owns the folder `grid/contents` and what is remembered of it.

    Who may have a content: those that `allows(project, peer)` lets have what belongs to one of the projects it was published or fetched for.

    Args:
        store: `grid.db`, not open yet; its tables are declared here.
        folder: made when missing.
        most_bytes: of fetched contents; beyond, what was used longest ago goes. Published ones stay until they are dropped.
        allows: whether a peer may have what belongs to a project of ours, or that we lend to.
    """

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        peers: Peers,
        trust: TrustService,
        folder: Path,
        *,
        most_bytes: Callable[[], int],
        allows: Callable[[bytes, PeerId], bool],
        wall: Callable[[], float],
    ) -> None:
        raise NotImplementedError

    async def open(self) -> None:
        """The store and `blobs` are open already."""
        raise NotImplementedError

    async def close(self) -> None:
        """End what is being fetched, and serve nothing more."""
        raise NotImplementedError

    async def publish(
        self, what: bytes | Path, name: str = "", *, project: bytes = b"", move: bool = False
    ) -> Content:
        """Keep and serve it until `drop`. Empty contents cannot be published.

        Args:
            what: the bytes, or a file: it is copied (`move`: taken, so that it is gone from its place).
            name: for people.
            project: whose people may have it.

        Raises:
            UsageError: it is empty. NotFound, DiskTrouble.
        """
        raise NotImplementedError

    async def publish_folder(self, folder: Path, *, project: bytes = b"") -> bytes:
        """Serve a folder as one collection with its files where they lie, in place of what was published of that folder before. Its infohash."""
        raise NotImplementedError

    async def fetch(
        self,
        content: Content,
        contacts: Sequence[bytes] = (),
        *,
        project: bytes = b"",
        most_bytes: int = 2**53,
        timeout: float = 600.0,
    ) -> Path:
        """A file with its bytes, verified; where it is here already, at once. Use it soon, or `pin` it: it may go when room is needed.

        Args:
            contacts: peers who are asked, besides those connected that serve this project.
            project: whose people may then have it from us.

        Raises:
            UsageError: larger than `most_bytes`, or than there is room for. Unreachable: nobody had it in `timeout` seconds. DiskTrouble.
        """
        raise NotImplementedError

    async def fetch_folder(
        self, infohash: bytes, contacts: Sequence[bytes] = (), *, project: bytes = b"", timeout: float = 600.0
    ) -> Path:
        """The same for what `publish_folder` published: a folder here; files that an earlier version had are not fetched again."""
        raise NotImplementedError

    def path(self, content: Content) -> Path | None:
        """Where it lies, None when it is not here."""
        raise NotImplementedError

    def pin(self, content: Content) -> None:
        """Keep it although room is needed, until as many `unpin`; in memory only."""
        raise NotImplementedError

    def unpin(self, content: Content) -> None:
        raise NotImplementedError

    def have(self, project: bytes, most: int = 64) -> list[bytes]:
        """Infohashes of what is here for a project, the newest used first."""
        raise NotImplementedError

    async def drop(self, contents: Iterable[Content], *, project: bytes = b"") -> None:
        """Publish them no more for this project; what nobody else needs is deleted."""
        raise NotImplementedError

    async def forget_project(self, project: bytes) -> None:
        """All that was kept for it alone."""
        raise NotImplementedError

    def used_bytes(self) -> int:
        """On the disk."""
        raise NotImplementedError
