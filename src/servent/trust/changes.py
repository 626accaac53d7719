"""What the book of a node consists of, and what is to be written to disk when it changes. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from servent.identity import Identity
from servent.trust.contacts import Contact, TicketSecret
from servent.trust.grants import Grant
from servent.trust.networks import Membership
from servent.trust.roll import Roll


@dataclass(frozen=True)
class Home:
    """A network I belong to. `repr` shows no key.

    Attributes:
        alias: what I call it: its name, with a number where two have the same.
        secret: shared by its members.
        membership: my own.
        admin: the network's key, if it is mine.
    """

    roll: Roll = field(repr=False)
    alias: str
    secret: bytes = field(repr=False)
    membership: Membership = field(repr=False)
    admin: Identity | None = field(default=None, repr=False)

    @property
    def key(self) -> bytes:
        return self.roll.network

    @property
    def removed(self) -> bool:
        """Whether its founder took me out of it, as far as I have heard."""
        return self.roll.is_revoked(self.membership)


@dataclass(frozen=True, slots=True)
class Issued:
    """An invitation I made, as I remember it: without its private key, so it can be shown only once.

    Attributes:
        id: handle for lists and `revoke`.
        used: how many people are known to have come in by it.
    """

    id: str
    network: bytes
    key: bytes
    uses: int | None
    expires: int | None
    made: float
    used: int = 0
    revoked: bool = False
    serial: int = 0


@dataclass(frozen=True, slots=True)
class Saved:
    """A row to write (`value`) or to delete (None).

    Attributes:
        key: what tells the row apart in its table.
    """

    table: Literal["network", "issued", "contact", "secret", "grant"]
    key: bytes | str
    value: Home | Issued | Contact | TicketSecret | Grant | None


@dataclass(frozen=True, slots=True)
class SavedRecords:
    """Everything that is new in one network's records after journal mark `after`."""

    network: bytes
    after: int


Change = Saved | SavedRecords
