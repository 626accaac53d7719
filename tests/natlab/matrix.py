"""Runs cells of the table. Which program runs in the namespaces is a `Program`; the rest is the same for all."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from tests.natlab.cells import Cell
from tests.natlab.lab import PUB4, Lab

ROOT = Path(__file__).resolve().parents[2]
RELAY4 = f"http://{PUB4}.1:443"
RELAY6 = "http://[2001:db8::1]:443"
CELL_TIME = 100.0  # s after which a cell counts as failed


class Program(Protocol):
    """Command lines for the three places of a cell. All share `folder` to find each other.

    `public` stays up for all cells and writes FOLDER/public.json once it is ready. `dial` prints, as its last
    line, a JSON object with `path` ("direct", "relayed" or null), `connect_s`, `direct_s` (or null), and what
    else it knows. `serve` runs until it is killed.
    """

    def public(self, folder: Path) -> list[str]: ...

    def serve(self, folder: Path, cell: Cell) -> list[str]: ...

    def dial(self, folder: Path, cell: Cell) -> list[str]: ...


class EndpointPeer:
    """tests/natlab/peer.py: endpoint, reach and relay, nothing above them."""

    def public(self, folder: Path) -> list[str]:
        return [sys.executable, "-m", "tests.natlab.peer", "public", str(folder)]

    def serve(self, folder: Path, cell: Cell) -> list[str]:
        return self._peer("serve", folder, cell)

    def dial(self, folder: Path, cell: Cell) -> list[str]:
        return self._peer("dial", folder, cell)

    def _peer(self, role: str, folder: Path, cell: Cell) -> list[str]:
        upnp = ["--upnp"] if "upnp" in (cell.a if role == "dial" else cell.b) else []
        relay = RELAY6 if cell.v6_only else RELAY4
        return [sys.executable, "-m", "tests.natlab.peer", role, str(folder), relay, *upnp]


@dataclass(frozen=True)
class Outcome:
    """What one cell gave."""

    cell: Cell
    path: str | None
    connect_s: float | None
    direct_s: float | None
    took_s: float
    detail: dict[str, Any]

    @property
    def good(self) -> bool:
        """It connected, and directly where that can be, however busy the machine was."""
        return self.connect_s is not None and self.path in (
            ("direct",) if self.cell.direct else ("direct", "relayed")
        )

    @property
    def quick(self) -> bool:
        """Good, and direct within a second: the promise, on a machine that does nothing else."""
        if not self.good or not self.cell.direct:
            return self.good
        return self.direct_s is not None and self.direct_s - (self.connect_s or 0.0) <= 1.0

    def json(self) -> dict[str, Any]:
        return asdict(self) | {"good": self.good, "quick": self.quick}


class Matrix:
    """One lab with its public side up; `run` one cell after another in it."""

    def __init__(self, prefix: str, program: Program | None = None) -> None:
        self.lab = Lab(prefix)
        self.program = program or EndpointPeer()

    def __enter__(self) -> Self:
        self.lab.__enter__()
        try:
            self.lab.spawn("pub", *self.program.public(self.lab.folder), cwd=str(ROOT))
            _wait_for(self.lab.folder / "public.json", 60.0)
        except BaseException:
            print(self.lab.logs(), file=sys.stderr)
            self.lab.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.lab.__exit__(None, None, None)

    def run(self, cell: Cell) -> Outcome:
        began = time.monotonic()
        folder = self.lab.folder
        (folder / "server.json").unlink(missing_ok=True)
        for log in folder.glob("h?.log"):
            log.unlink()
        self.lab.build(cell.a, cell.b, cell.shared)
        self.lab.spawn("hB", *self.program.serve(folder, cell), cwd=str(ROOT))
        dialer = self.lab.spawn("hA", *self.program.dial(folder, cell), cwd=str(ROOT), stdout=subprocess.PIPE)
        try:
            printed, _ = dialer.communicate(timeout=CELL_TIME)
        except subprocess.TimeoutExpired:
            printed = ""
        finally:
            self.lab.clear(keep_public=True)
            if dialer.stdout is not None:
                dialer.stdout.close()
        lines = printed.strip().splitlines()
        detail: dict[str, Any] = (
            json.loads(lines[-1]) if lines else {"error": "no answer", "logs": self.lab.logs()}
        )
        return Outcome(
            cell,
            detail.get("path"),
            detail.get("connect_s"),
            detail.get("direct_s"),
            round(time.monotonic() - began, 2),
            detail,
        )


def _wait_for(path: Path, patience: float) -> None:
    until = time.monotonic() + patience
    while not path.exists():
        if time.monotonic() > until:
            raise TimeoutError(f"{path.name} did not appear in {patience:.0f} s")
        time.sleep(0.02)
