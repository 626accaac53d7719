"""How the Book lies in SQL tables: which statements write a change, and how it is read back. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from servent.codec import canonical
from servent.errors import ServentError
from servent.identity import Identity, PeerId
from servent.trust.book import Book
from servent.trust.changes import Change, Home, Issued, Saved
from servent.trust.contacts import Contact, TicketSecret
from servent.trust.grants import Grant, check_audience
from servent.trust.networks import Membership, Record, Settings
from servent.trust.roll import Roll

if TYPE_CHECKING:
    import sqlite3

ROOM = "trust"
STEPS = (
    """
    CREATE TABLE trust_network (
        key BLOB PRIMARY KEY, alias TEXT NOT NULL, secret BLOB NOT NULL, settings BLOB NOT NULL,
        membership BLOB NOT NULL, admin_seed BLOB
    );
    CREATE TABLE trust_record (
        network BLOB NOT NULL, label BLOB NOT NULL, mark INTEGER NOT NULL, body BLOB NOT NULL,
        PRIMARY KEY (network, label)
    ) WITHOUT ROWID;
    CREATE TABLE trust_issued (
        key BLOB PRIMARY KEY, network BLOB NOT NULL, id TEXT NOT NULL, uses INTEGER, expires INTEGER,
        made REAL NOT NULL, serial INTEGER NOT NULL
    );
    CREATE TABLE trust_contact (
        peer BLOB PRIMARY KEY, petname TEXT, friend INTEGER NOT NULL, blocked INTEGER NOT NULL,
        since REAL NOT NULL, source TEXT NOT NULL
    );
    CREATE TABLE trust_secret (secret BLOB PRIMARY KEY, expires REAL NOT NULL, uses INTEGER, users BLOB NOT NULL);
    CREATE TABLE trust_grant (service TEXT PRIMARY KEY, audience TEXT NOT NULL, peers BLOB NOT NULL);
    """,
)
_KEY_COLUMN = {"network": "key", "issued": "key", "contact": "peer", "secret": "secret", "grant": "service"}

Operation = tuple[str, tuple[Any, ...]]  # a statement and its values


class Unreadable(ValueError):
    """A row that this version cannot have written."""


def operations(book: Book, change: Change) -> list[Operation]:
    """What to execute for `change`, in order, as the book is now."""
    if not isinstance(change, Saved):
        roll = book.homes.get(change.network).roll
        gone: list[Operation] = [
            ("DELETE FROM trust_record WHERE network = ? AND label = ?", (change.network, label))
            for label in roll.take_dropped()
        ]
        return gone + [
            ("REPLACE INTO trust_record VALUES (?, ?, ?, ?)", (change.network, *row))
            for row in roll.rows_since(change.after)
        ]
    table = f"trust_{change.table}"
    match change.value:
        case None:
            drops: list[Operation] = [
                (f"DELETE FROM {table} WHERE {_KEY_COLUMN[change.table]} = ?", (change.key,))
            ]
            if change.table == "network":
                drops.append(("DELETE FROM trust_record WHERE network = ?", (change.key,)))
            return drops
        case Home() as home:
            seed = home.admin.seed if home.admin is not None else None
            settings, membership = canonical(home.roll.settings), canonical(home.membership)
            row: tuple[Any, ...] = (home.key, home.alias, home.secret, settings, membership, seed)
        case Issued() as one:
            row = (one.key, one.network, one.id, one.uses, one.expires, one.made, one.serial)
        case Contact() as who:
            row = (bytes(who.peer), who.petname, who.friend, who.blocked, who.since, who.source)
        case TicketSecret() as ticket:
            row = (ticket.secret, ticket.expires, ticket.uses, b"".join(sorted(ticket.users)))
        case Grant() as grant:
            row = (grant.service, grant.audience, b"".join(sorted(grant.peers)))
    return [(f"REPLACE INTO {table} VALUES ({', '.join('?' * len(row))})", row)]


def load(connection: sqlite3.Connection, identity: Identity) -> Book:
    """The book as it was written.

    Raises:
        Unreadable: a row makes no sense.
    """
    book = Book(identity)
    try:
        _load_networks(connection, book)
        for peer, petname, friend, blocked, since, source in connection.execute(
            "SELECT peer, petname, friend, blocked, since, source FROM trust_contact"
        ):
            book.contacts.load(Contact(PeerId(peer), petname, bool(friend), bool(blocked), since, source))
        for secret, expires, uses, users in connection.execute(
            "SELECT secret, expires, uses, users FROM trust_secret"
        ):
            book.contacts.load_secret(TicketSecret(secret, expires, uses, _peers(users)))
        for service, audience, peers in connection.execute(
            "SELECT service, audience, peers FROM trust_grant"
        ):
            book.load_grant(Grant(service, check_audience(audience), _peers(peers)))
    except (msgspec.MsgspecError, ValueError, TypeError, ServentError) as wrong:
        raise Unreadable(str(wrong)[:200]) from wrong
    return book


def _load_networks(connection: sqlite3.Connection, book: Book) -> None:
    for key, alias, secret, settings, membership, seed in connection.execute(
        "SELECT key, alias, secret, settings, membership, admin_seed FROM trust_network"
    ):
        roll = Roll(msgspec.msgpack.decode(settings, type=Settings), book.me)
        for body, mark in connection.execute(
            "SELECT body, mark FROM trust_record WHERE network = ? ORDER BY mark", (key,)
        ):
            roll.load(msgspec.msgpack.decode(body, type=Record), mark)
        mine = msgspec.msgpack.decode(membership, type=Membership)
        book.homes.load(Home(roll, alias, secret, mine, Identity(seed) if seed else None))
    for key, network, name, uses, expires, made, serial in connection.execute(
        "SELECT key, network, id, uses, expires, made, serial FROM trust_issued"
    ):
        book.homes.load_issued(Issued(name, network, key, uses, expires, made, serial=serial))


def _peers(packed: bytes) -> frozenset[PeerId]:
    return frozenset(PeerId(packed[i : i + 32]) for i in range(0, len(packed), 32))
