"""Ledgers for tests: a project, workers, and what is due to them."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import sqlite3
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, ParamSpec

from servent.grid import coordinator_rows, ledger
from servent.grid.credit import granted
from servent.grid.ledger import AgreementLine, Credited, Entry, EntryLine, Head, Line, Segment
from servent.grid.ledger_service import Ledger
from servent.grid.manifests import (
    App,
    Content,
    Limits,
    Project,
    Signed,
    app_id,
    consent,
    sign_app,
    sign_project,
)
from servent.grid.wire import Membership, Receipt
from servent.identity import Identity
from servent.store import Store

NOW = 1_800_000_000.0
OWNER = Identity(b"o" * 32)
PROJECT = Identity(b"p" * 32)
ANN = Identity(b"a" * 32)
BOB = Identity(b"b" * 32)
CARL = Identity(b"c" * 32)
NETWORK = bytes(Identity(b"n" * 32).peer)
OPERATIONS = 3_100_000  # MFLOP, one of SETI@home's


def unit(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def manifest(
    key: Identity = PROJECT,
    owner: Identity = OWNER,
    *,
    serial: int = 1,
    network: bytes | None = None,
    budget: int | None = None,
    bonus: float = 0.0,
) -> Signed:
    """A project; with `network` one whose owner pays."""
    agreed = consent(owner, key.peer, network, budget) if network is not None and budget else b""
    project = Project(
        key=bytes(key.peer),
        serial=serial,
        name="Listen",
        coordinators=[bytes(owner.peer)],
        owner=bytes(owner.peer),
        audience="network" if network is not None else "everyone",
        network=network,
        budget=budget,
        bonus=bonus,
        consent=agreed,
    )
    return sign_project(project, key)


def app(key: Identity = PROJECT, name: str = "fft", seconds: float = 3600.0) -> Signed:
    module = Content(b"i" * 32, 0, b"r" * 32, 1000)
    return sign_app(
        App(
            project=bytes(key.peer),
            name=name,
            version=1,
            module=module,
            limits=Limits(seconds=seconds),
            operations=OPERATIONS,
        ),
        key,
    )


APP = app()
APP_ID = app_id(APP)


class Book:
    """A ledger written by hand, entry by entry: right, unless a test says otherwise."""

    def __init__(
        self, key: Identity = PROJECT, signed: Signed | None = None, network: bytes | None = None
    ) -> None:
        self.key, self.signed, self.network = key, signed or manifest(key, network=network), network
        self.lines: list[Line] = []
        self.receipts: list[Receipt] = []
        self.newest = ledger.first(key.peer)
        self.apps = [app(key)]

    def credit(
        self,
        worker: Identity,
        units: Iterable[int],
        *,
        each: int = OPERATIONS,
        operations: int = OPERATIONS,
        price: int = 100,
        back: bool = False,
        team: Membership | None = None,
        agreed: bool = True,
        at: float | None = None,
        change: Callable[[Entry], Entry] | None = None,
    ) -> Receipt:
        name = {ANN.peer: "Ann", BOB.peer: "Bob"}.get(worker.peer, "")
        this = app_id(self.apps[0])
        groups, _ = ledger.pack([Credited(unit(n), this, operations, each, price) for n in units])
        entry = Entry(
            project=bytes(self.key.peer),
            number=len(self.receipts) + 1,
            previous=self.newest,
            at=at if at is not None else NOW - 1000 + len(self.receipts),
            kind="withdrawal" if back else "credit",
            worker=bytes(worker.peer),
            name=name,
            team=team,
            network=self.network,
            total=sum(g.count * g.credit for g in groups),
            groups=groups,
        )
        if change is not None:
            entry = change(entry)
        receipt = ledger.sign_entry(entry, self.key)
        self.newest = ledger.entry_hash(receipt.body)
        self.receipts.append(receipt)
        self.lines.append(EntryLine(receipt.body, receipt.signature))
        if agreed:
            self.lines.append(AgreementLine(entry.number, ledger.agree(receipt, worker)))
        return receipt

    def head(self, segments: list[Segment] | None = None, earlier: list[Signed] | None = None) -> Head:
        return Head(
            key=bytes(self.key.peer),
            serial=1,
            at=NOW,
            entries=len(self.receipts),
            newest=self.newest,
            segments=segments or [],
            project=self.signed,
            earlier=earlier or [],
            apps=self.apps,
        )

    def write(self, folder: Path, parts: int = 1) -> Path:
        """As it is published."""
        folder.mkdir(parents=True, exist_ok=True)
        segments = []
        size = max(1, -(-len(self.lines) // parts))
        for index in range(0, len(self.lines), size):
            data = b"".join(ledger.write_line(line) for line in self.lines[index : index + size])
            (folder / ledger.SEGMENT_NAME.format(len(segments) + 1)).write_bytes(data)
            segments.append(Segment(1, len(data), hashlib.sha256(data).digest()))
        (folder / ledger.HEAD_NAME).write_bytes(ledger.sign_head(self.head(segments), self.key))
        return folder


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Shelf:
    """Publishes and fetches within the process: a copy of each folder by a made-up infohash."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.published = folder, 0

    async def publish_folder(self, folder: Path, *, project: bytes = b"") -> bytes:
        files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        infohash = hashlib.sha256(repr(sorted(files.items())).encode()).digest()
        place = self.folder / infohash.hex()
        place.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (place / name).write_bytes(data)
        self.published += 1
        return infohash

    async def fetch_folder(
        self,
        infohash: bytes,
        contacts: object = (),
        *,
        project: bytes = b"",
        timeout: float = 600.0,
        most_bytes: int = 2**40,
    ) -> Path:
        return self.folder / infohash.hex()


def owe(
    connection: sqlite3.Connection,
    worker: Identity,
    units: Iterable[int],
    *,
    key: Identity = PROJECT,
    at: float = NOW,
    mflop: int | None = None,
    price: int = 100,
) -> None:
    """Rows as the coordinator writes them."""
    this = app_id(app(key))
    connection.executemany(
        "INSERT INTO grid_due (project, identity, key, app, operations, mflop, price, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                bytes(key.peer),
                bytes(worker.peer),
                unit(n),
                this,
                OPERATIONS,
                mflop or granted(OPERATIONS),
                price,
                at,
            )
            for n in units
        ),
    )


async def opened(
    path: Path, me: Identity = OWNER, clock: Clock | None = None, shelf: Shelf | None = None
) -> tuple[Store, Ledger]:
    """A ledger over a database with the coordinator's tables."""
    store = Store(path / "grid.db", durable=True)
    store.migrate(coordinator_rows.ROOM, coordinator_rows.STEPS)
    book = Ledger(store, path / "ledgers", shelf, me, wall=clock or Clock())
    await store.open()
    await book.open()
    return store, book


P = ParamSpec("P")


def running(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A test that is a coroutine, in a loop of its own."""

    @functools.wraps(test)
    def run(*args: P.args, **more: P.kwargs) -> None:
        asyncio.run(test(*args, **more))

    return run
