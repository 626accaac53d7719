"""What `servent doctor` says behind real routers, on both sides of a pair.

    python -m tests.natlab.clinic ROUTERS ROUTERS [SHARED]         prints both sides' findings, as people see them
    python -m tests.natlab.clinic patient FOLDER RELAY NAME KNOWS  a node that goes on asking its doctor

A patient writes what its doctor says to FOLDER/NAME.said.json again and again. KNOWS is how many of the public nodes
it has met before.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import msgspec

from servent.api import schema
from servent.errors import ServentError
from tests.natlab.lab import Lab
from tests.natlab.matrix import RELAY4, RELAY6, ROOT, Matrix
from tests.natlab.node import WholeNode, get, put, up

EVERY = 0.2  # s between two visits
PATIENCE = 90.0  # s until both sides say what is looked for


class Said(msgspec.Struct, frozen=True):
    """One visit: the doctor's report, and the status beside it."""

    doctor: schema.Doctor
    status: schema.Status

    def check(self, name: str) -> schema.Check:
        return next(check for check in self.doctor.checks if check.name == name)

    def peer(self, name: str) -> schema.PeerWhy | None:
        return next((peer for peer in self.doctor.peers if peer.name == name), None)

    def text(self) -> str:
        checks = [
            f"{c.outcome:5} {c.title}: {c.detail}\n        {c.remedy}".rstrip() for c in self.doctor.checks
        ]
        peers = [
            f"peer  {p.name}: {p.why}; {p.address} {p.rtt_ms}\n        {p.remedy}".rstrip()
            for p in self.doctor.peers
        ]
        return "\n".join([*checks, *peers, f"status: {msgspec.json.encode(self.status.reach).decode()}"])


def patient(folder: Path, relay: str, name: str, knows: int) -> None:
    client = up(folder, name, *(["--relay", relay] if relay else ["--no-relay"]))
    for ticket in get(folder, "public")["tickets"][:knows]:
        with contextlib.suppress(ServentError):
            client.join(ticket)
    if name == "bob":
        put(folder, "bob.ticket", client.ticket(lifetime=3600.0).ticket)
    else:
        with contextlib.suppress(ServentError):
            client.join(get(folder, "bob.ticket"))
    while True:
        put(folder, f"{name}.said", msgspec.to_builtins(Said(client.doctor(), client.status())))
        time.sleep(EVERY)


class Clinic:
    """Two patients, ann behind the first chain of routers and bob behind the second."""

    def __init__(self, prefix: str) -> None:
        self.matrix = Matrix(prefix, WholeNode())

    def __enter__(self) -> Self:
        self.matrix.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.matrix.__exit__(None, None, None)

    @property
    def lab(self) -> Lab:
        return self.matrix.lab

    def visit(
        self,
        ann: str,
        bob: str,
        settled: Callable[[Said, Said], bool],
        *,
        shared: str | None = None,
        knows: int = 2,
        relay: str | None = None,
    ) -> tuple[Said, Said]:
        """What both doctors say as soon as `settled`, or after PATIENCE s."""
        folder = self.lab.folder
        for old in folder.glob("*.said.json"):
            old.unlink()
        (folder / "bob.ticket.json").unlink(missing_ok=True)
        self.lab.build(ann, bob, shared)
        url = relay if relay is not None else RELAY6 if "nov4" in ann else RELAY4
        for space, name in (("hB", "bob"), ("hA", "ann")):
            self.lab.spawn(space, sys.executable, "-m", "tests.natlab.clinic", "patient", str(folder), url, name,
                           str(knows), cwd=str(ROOT))  # fmt: skip
        until = time.monotonic() + PATIENCE
        try:
            while True:
                both = [_read(folder / f"{name}.said.json") for name in ("ann", "bob")]
                if both[0] and both[1] and (settled(both[0], both[1]) or time.monotonic() > until):
                    return both[0], both[1]
                assert time.monotonic() < until + 5, self.lab.logs()
                time.sleep(0.05)
        finally:
            self.lab.clear(keep_public=True)


def _read(path: Path) -> Said | None:
    return msgspec.json.decode(path.read_bytes(), type=Said) if path.exists() else None


def main(arguments: list[Any]) -> None:
    if arguments[0] == "patient":
        _, folder, relay, name, knows = arguments
        patient(Path(folder), relay, name, int(knows))
    ann, bob, *rest = arguments
    knows = int(rest.pop()) if rest and rest[-1].isdigit() else 2
    with Clinic("nd-") as clinic:
        began = time.monotonic()
        seen: list[str] = []

        def settled(one: Said, two: Said) -> bool:
            now = " / ".join(
                f"{said.status.reach.nat}: {peer.why if (peer := said.peer(other)) else None}"
                for said, other in ((one, "bob"), (two, "ann"))
            )
            if not seen or seen[-1] != now:
                print(f"{time.monotonic() - began:5.1f} s  {now}", flush=True)
                seen.append(now)
            return False

        for name, said in zip(
            ("ann", "bob"),
            clinic.visit(ann, bob, settled, shared=rest[0] if rest else None, knows=knows),
            strict=True,
        ):
            print(f"== {name}\n{said.text()}")


if __name__ == "__main__":
    main(sys.argv[1:])
