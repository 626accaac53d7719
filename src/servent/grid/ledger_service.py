"""The ledgers of this node: its own projects' (written, published), and those of projects it lends to (fetched, checked, kept)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from servent.grid.credit_views import Audited, Balance, Board, Leaderboard, Span, Totals
from servent.grid.manifests import Signed
from servent.grid.wire import Membership, Receipt
from servent.identity import Identity
from servent.store import Store


class Shelf(Protocol):
    """What is asked of `contents_service.Contents`."""

    async def publish_folder(self, folder: Path, *, project: bytes = b"") -> bytes: ...

    async def fetch_folder(
        self, infohash: bytes, contacts: Sequence[bytes] = (), *, project: bytes = b"", timeout: float = 600.0
    ) -> Path: ...


class Ledger:
    """All ledgers that this node writes or follows. Make it before `store` is opened, `open` it then, `run` it in a task of its own.

    Args:
        store: grid.db, with the coordinator's tables.
        folder: `ledgers` are kept there, a folder for each project; made when missing.
        shelf: publishes and fetches; None for nodes that do neither.
        me: whose credit is counted as ours, and who countersigns.
    """

    def __init__(
        self, store: Store, folder: Path, shelf: Shelf | None, me: Identity, *, wall: Callable[[], float]
    ) -> None:
        raise NotImplementedError

    # -- life

    async def open(self) -> None:
        raise NotImplementedError

    async def run(self) -> None:
        """Make entries of what is due, and publish, until cancelled."""
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError

    def on_change(self, callback: Callable[[bytes], None]) -> None:
        """Call it on the loop with the key of a project whose ledger grew."""
        raise NotImplementedError

    # -- own projects

    async def add_project(self, signed: Signed, key: Identity, apps: Sequence[Signed] = ()) -> None:
        """Keep its ledger; again: a newer manifest, more apps."""
        raise NotImplementedError

    def due(self) -> None:
        """Rows have come into `grid_due`: for `Coordinator.on_due`."""
        raise NotImplementedError

    async def settle(self, project: bytes) -> int:
        """Make entries of all that is due, now. How many."""
        raise NotImplementedError

    async def publish(self, project: bytes) -> bytes:
        """Settle, write the segments, and serve them. The infohash."""
        raise NotImplementedError

    def newest(self, project: bytes) -> bytes | None:
        """Infohash of the newest published (own) or fetched (joined) ledger."""
        raise NotImplementedError

    def joined(self, project: bytes, identity: bytes, name: str, team: Membership | None) -> None:
        raise NotImplementedError

    def credited(self, project: bytes, identity: bytes) -> int:
        raise NotImplementedError

    def limit(self, project: bytes) -> int | None:
        raise NotImplementedError

    def waiting(self, project: bytes, identity: bytes, most: int) -> list[Receipt]:
        raise NotImplementedError

    async def countersigned(
        self, project: bytes, identity: bytes, signatures: Sequence[tuple[int, bytes]]
    ) -> list[bool]:
        raise NotImplementedError

    # -- projects joined

    async def keep(self, receipt: Receipt, signature: bytes) -> None:
        """A receipt that we have countersigned (checked against our own log before): ours, whatever becomes of the project. Raises BadMessage."""
        raise NotImplementedError

    async def follow(self, signed: Signed, infohash: bytes, contacts: Sequence[bytes] = ()) -> Audited:
        """Fetch a ledger, check it, also against what we knew of it before, and keep it. Raises ServentError where it cannot be had."""
        raise NotImplementedError

    def mine(self, project: bytes | None = None) -> Totals:
        """Our credit with a project, or with all, from receipts we agreed to."""
        raise NotImplementedError

    # -- for faces

    async def audit(self, where: bytes | Path, contacts: Sequence[bytes] = ()) -> Audited:
        """Check a ledger by its infohash, the newest known of a project by its key, or a folder or file. Raises NotFound, ServentError."""
        raise NotImplementedError

    async def leaderboard(
        self, project: bytes, board: Board = "people", span: Span = "all", offset: int = 0, limit: int = 50
    ) -> Leaderboard:
        """Raises NotFound where no ledger of it is known."""
        raise NotImplementedError

    async def export(self, project: bytes, to: Path) -> list[Path]:
        """BOINC's statistics files. Raises NotFound, DiskTrouble."""
        raise NotImplementedError

    async def balances(self, network: bytes) -> list[Balance]:
        """By balance, largest first."""
        raise NotImplementedError
