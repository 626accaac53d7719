"""A few people with books, for the tests of trust. No clock, no dice, no disk."""

from __future__ import annotations

import hashlib

from servent.identity import Identity, PeerId
from servent.trust.book import Book, Verdict
from servent.trust.changes import Home
from servent.trust.networks import Invitation

T0 = 1_800_000_000.0  # wall clock at which these stories begin
DAY = 86_400.0


def seed(word: str) -> bytes:
    """32 bytes that are the same in every run."""
    return hashlib.sha256(word.encode()).digest()


class Person:
    """Somebody with a book; `meets` is a whole hello with both judgements."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.identity = Identity(seed(name))
        self.book = Book(self.identity)
        self._count = 0

    @property
    def id(self) -> PeerId:
        return self.identity.peer

    def fresh(self) -> bytes:
        self._count += 1
        return seed(f"{self.name} {self._count}")

    def founds(self, name: str = "home", *, open: bool = False, now: float = T0) -> Home:
        home, _ = self.book.homes.create(
            name, self.fresh(), self.fresh(), open=open, mode="p2p", wall_now=now
        )
        return home

    def invites(
        self, network: str = "home", uses: int | None = 1, lifetime: float | None = DAY, now: float = T0
    ) -> Invitation:
        return self.book.homes.invite(network, self.fresh(), uses=uses, lifetime=lifetime, wall_now=now)[0]

    def joins(self, invitation: Invitation, now: float = T0) -> Home:
        return self.book.homes.accept(invitation, now)[0]

    def judges(self, other: Person, now: float = T0) -> Verdict:
        """The verdict after `other` said hello to us."""
        nonce = self.fresh()
        return self.book.judge(other.id, nonce, other.book.proofs(self.id, nonce, self.fresh()), None, now)[0]

    def hears_from(self, other: Person, network: bytes) -> int:
        """Take over all records of `other`, page by page. Returns how many were new."""
        after, new = 0, 0
        while True:
            page = other.book.homes.records_since(network, after, 4096)
            merged, _ = self.book.merge_records(network, other.id, page.records)
            new += merged.new
            after = page.mark
            if not page.more:
                return new


def sync(one: Person, two: Person, network: bytes, now: float = T0) -> None:
    """Both say hello and exchange records until neither has news."""
    assert one.judges(two, now).known and two.judges(one, now).known
    while one.hears_from(two, network) + two.hears_from(one, network):
        pass
