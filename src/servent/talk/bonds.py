"""Friends by mutual consent: who has said yes to whom, and how that lies in SQL. Pure.

Two words make a friendship, each side's own. Ours is trust's `friend`: it gives the peer what friends may have here, and only the
person here sets it: by asking, by saying yes, by giving or using a ticket, or by hand. Theirs is what they say by `Stand`; it gives them
nothing here. Both: a `friend`. Ours alone: we `asked`. Theirs alone: they are `asking`, unless the person here said no to that very
question. Who ends it says so, and then both words are no.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from servent.identity import PeerId
from servent.talk.texts import cleaned
from servent.talk.views import Bond as BondName
from servent.talk.wire import Stand

if TYPE_CHECKING:
    import sqlite3

ROOM = "talk.bonds"
STEPS = (
    """
    CREATE TABLE bond (
        peer BLOB PRIMARY KEY, theirs INTEGER NOT NULL, question REAL NOT NULL, heard REAL NOT NULL,
        note TEXT NOT NULL, refused REAL, my_question REAL NOT NULL, my_note TEXT NOT NULL, told INTEGER NOT NULL,
        silent INTEGER NOT NULL, seen REAL, since REAL
    ) WITHOUT ROWID;
    """,
)
MOST_ASKING = 50  # questions of strangers that are kept at once
AGAIN = 7 * 86_400.0  # s after a no until another question of the same peer is heard
ANEW = 60.0  # s between two yeses of ours that are put anew
NOTE_CHARACTERS = 200
Came = Literal["", "asks", "accepted", "ended", "withdrew", "renewed"]


@dataclass(frozen=True, slots=True)
class Bond:
    """What is known of one peer beside trust's own word. Times are wall clock.

    Attributes:
        theirs: they said yes. `question`: when they first put it, by their clock; `heard`: by ours.
        refused: when the person here said no to that question, or ended it.
        my_question, my_note: ours to them.
        told: what they know of our own word.
        seen: when they were last connected. since: when both had said yes.
    """

    peer: PeerId
    theirs: bool = False
    question: float = 0.0
    heard: float = 0.0
    note: str = ""
    refused: float | None = None
    my_question: float = 0.0
    my_note: str = ""
    told: bool = False
    silent: bool = False
    seen: float | None = None
    since: float | None = None

    def name(self, mine: bool) -> BondName:
        """What it is, with trust's word on our side."""
        if mine:
            return "friend" if self.theirs else "asked"
        return "asking" if self.theirs and self.refused is None else "none"

    @property
    def empty(self) -> bool:
        """Nothing in it is worth keeping."""
        return self == Bond(self.peer)


class Bonds:
    """All bonds of a node. Methods that change one return it: it has to be written."""

    def __init__(self, bonds: Iterable[Bond] = ()) -> None:
        self._bonds = {bond.peer: bond for bond in bonds}

    def __getitem__(self, peer: PeerId) -> Bond:
        return self._bonds.get(peer) or Bond(peer)

    def all(self) -> list[Bond]:
        return list(self._bonds.values())

    def asking(self, mine: Collection[PeerId]) -> list[Bond]:
        """Questions that wait for an answer here, `mine`: to whom we said yes."""
        return [bond for bond in self._bonds.values() if bond.name(bond.peer in mine) == "asking"]

    def put(self, bond: Bond) -> Bond:
        if bond.empty:
            self._bonds.pop(bond.peer, None)
        else:
            self._bonds[bond.peer] = bond
        return bond

    # -- what the person here does; trust's word is set by the caller

    def ask(self, peer: PeerId, note: str, now: float) -> Bond:
        """We want to be friends. Is yes where they asked."""
        bond = self[peer]
        question = bond.my_question or now
        return self.put(
            replace(
                bond,
                my_question=question,
                my_note=_note(note) or bond.my_note,
                refused=None if bond.theirs else bond.refused,
                since=bond.since or (now if bond.theirs else None),
            )
        )

    def refuse(self, peer: PeerId, now: float) -> Bond:
        """No to their question, of which they hear nothing. Should the person here ask them later, their yes still stands."""
        bond = self[peer]
        return self.put(replace(bond, refused=now if bond.theirs else None))

    def end(self, peer: PeerId, now: float) -> Bond:
        """Our yes is taken back. Theirs is used up with it, and only another question of theirs counts: at once."""
        bond = self[peer]
        return self.put(
            replace(
                bond,
                theirs=False,
                refused=now - AGAIN if bond.theirs else bond.refused,
                note="",
                heard=0.0,
                my_question=0.0,
                my_note="",
                since=None,
            )
        )

    def silence(self, peer: PeerId, silent: bool) -> Bond:
        return self.put(replace(self[peer], silent=silent))

    def saw(self, peer: PeerId, now: float) -> Bond:
        return self.put(replace(self[peer], seen=now))

    # -- what the peer does

    def assume(self, peer: PeerId, now: float) -> Bond:
        """They came with a ticket of ours: to use it is their yes."""
        return self.put(replace(self[peer], theirs=True, heard=now, refused=None, since=now))

    def told(self, peer: PeerId, friend: bool) -> Bond:
        """They have our word."""
        return self.put(replace(self[peer], told=friend))

    def heard(
        self, peer: PeerId, stand: Stand, mine: bool, now: float, room: bool = True
    ) -> tuple[Bond, Came]:
        """Their word. `mine`: ours; `room`: whether one more question may be kept.

        What came of it: "ended" asks the caller to take our own word back too, "renewed" to say it again.
        """
        bond = self[peer]
        if not stand.friend:
            left = replace(bond, theirs=False, heard=0.0, note="", since=None)
            came: Came = "withdrew" if bond.name(mine) == "asking" else ""
            if mine and bond.theirs:
                left, came = replace(left, my_question=0.0, my_note=""), "ended"
            return self.put(left), came
        said = replace(
            bond, theirs=True, question=stand.asked, note=_note(stand.note), heard=bond.heard or now
        )
        if mine:
            if bond.theirs:
                if stand.asked == bond.question or not bond.question or now < bond.my_question + ANEW:
                    return self.put(replace(bond, question=stand.asked)), ""
                # They took it back and asked anew before we heard of it: so do we, or ours would count as the old one.
                return self.put(replace(said, my_question=now)), "renewed"
            if stand.asked == bond.question and bond.refused is not None:  # said before we ended it
                return bond, ""
            return self.put(replace(said, refused=None, since=now)), "accepted"
        if bond.refused is not None and (stand.asked == bond.question or now < bond.refused + AGAIN):
            return bond, ""
        if bond.theirs and bond.refused is None:  # waiting already
            return (bond, "") if said == bond else (self.put(said), "")
        if not room:
            return bond, ""
        return self.put(replace(said, heard=now, refused=None)), "asks"

    def stand(self, peer: PeerId, mine: bool) -> Stand:
        """Our word, as they are to hear it."""
        bond = self[peer]
        return Stand(True, bond.my_question, bond.my_note) if mine else Stand(False)


def _note(note: str) -> str:
    return " ".join(cleaned(note).split())[:NOTE_CHARACTERS]


def save(db: sqlite3.Connection, bond: Bond) -> None:
    if bond.empty:
        db.execute("DELETE FROM bond WHERE peer = ?", (bytes(bond.peer),))
        return
    db.execute(
        f"REPLACE INTO bond VALUES (?{', ?' * 11})",
        (
            bytes(bond.peer), bond.theirs, bond.question, bond.heard, bond.note, bond.refused, bond.my_question,
            bond.my_note, bond.told, bond.silent, bond.seen, bond.since,
        ),
    )  # fmt: skip


def load(db: sqlite3.Connection) -> list[Bond]:
    found = []
    for (
        peer,
        theirs,
        question,
        heard,
        note,
        refused,
        my_question,
        my_note,
        told,
        silent,
        seen,
        since,
    ) in db.execute("SELECT * FROM bond"):
        found.append(
            Bond(
                PeerId(peer), bool(theirs), question, heard, note, refused, my_question, my_note, bool(told),
                bool(silent), seen, since,
            )
        )  # fmt: skip
    return found
