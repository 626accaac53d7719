"""Choosing at the same time, and dice that nobody loads: commit first, reveal when all have committed. Pure.

Whoever could wait for the others' choice and then choose has an advantage; so each sends a hash of its choice first (Baughman
and Levine, INFOCOM 2001). The choice itself follows when all hashes are here. Nobody can be made to reveal: somebody who
sees that it lost may fall silent, which is why a game has to say what silence costs. `missing` names whom.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Literal

from msgspec import Meta, Struct

from servent.codec import Hash, canonical
from servent.errors import Refused, UsageError
from servent.play import dice
from servent.play.model import MAX_PLAYERS

NONCE_BYTES = 32
MOST_VALUE = 1024  # bytes of one choice
_COMMITS, _ROLLS = b"servent/play/commit/1", b"servent/play/roll/1"

Nonce = Annotated[bytes, Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
Value = Annotated[bytes, Meta(max_length=MOST_VALUE)]
Match = Annotated[bytes, Meta(min_length=16, max_length=16)]


class Commit(Struct, frozen=True, tag="commit"):
    """Seat to all: I have chosen in round `round`. Answered by everybody's own, then by `Reveal`."""

    round: Annotated[int, Meta(ge=0, lt=2**31)]
    hash: Hash


class Reveal(Struct, frozen=True, tag="reveal"):
    """Seat to all, when the commits of all seats are here: this was it."""

    round: Annotated[int, Meta(ge=0, lt=2**31)]
    nonce: Nonce
    value: Value


class Broken(Refused):
    """`seat` revealed what it had not committed to, committed twice, or spoke out of turn."""

    advice = "Keep both messages: together, signed, they show who did not play fair."

    def __init__(self, seat: int, words: str) -> None:
        super().__init__(f"seat {seat} {words}")
        self.seat = seat


def committed(match: bytes, round: int, seat: int, nonce: bytes, value: bytes) -> bytes:
    """The hash that commits `seat`. Match, round and seat are in it, so that nobody can repeat another's as its own."""
    return sha256(_COMMITS + canonical((match, round, seat, nonce, value))).digest()


class Round:
    """One choice that `seats` players make at the same time, as one of them sees it.

    Args:
        match: 16 bytes drawn for this match. `round`: counts choices; none comes twice in a match.
        me: our seat; None: we only watch.
        nonce: 32 bytes from `secrets`, ours alone until we reveal. `value`: what we choose; b"" for dice.
    """

    def __init__(
        self,
        match: bytes,
        round: int,
        seats: int,
        me: int | None = None,
        nonce: bytes = b"",
        value: bytes = b"",
    ) -> None:
        if not 1 <= seats <= MAX_PLAYERS or (me is not None and not 0 <= me < seats):
            raise UsageError(f"there is no seat {me} of {seats}")
        if me is not None and (len(nonce) != NONCE_BYTES or len(value) > MOST_VALUE):
            raise UsageError(f"a choice is at most {MOST_VALUE} bytes, its nonce exactly {NONCE_BYTES}")
        self._match, self._round, self._seats, self._me = match, round, seats, me
        self._mine = (nonce, value)
        self._hashes: dict[int, bytes] = {}
        self._revealed: dict[int, tuple[bytes, bytes]] = {}
        if me is not None:
            self._hashes[me] = committed(match, round, me, nonce, value)

    def commit(self) -> Commit:
        """Our commit, for all others. Raises UsageError for one who only watches."""
        if self._me is None:
            raise UsageError("who watches commits to nothing")
        return Commit(self._round, self._hashes[self._me])

    def reveal(self) -> Reveal | None:
        """What we chose, for all others; None as long as somebody has not committed: then it has to stay our secret."""
        if self._me is None or len(self._hashes) < self._seats:
            return None
        self._revealed[self._me] = self._mine
        return Reveal(self._round, *self._mine)

    def receive(self, seat: int, message: Commit | Reveal) -> None:
        """A message of `seat`, whose signature or connection has been checked. The same one twice is no harm.

        Raises:
            Broken: `seat` does not play fair, or speaks of another round.
        """
        if not 0 <= seat < self._seats or seat == self._me:
            raise Broken(seat, "has no choice of its own here")
        if message.round != self._round:
            raise Broken(seat, f"speaks of round {message.round}, not of {self._round}")
        if isinstance(message, Commit):
            if self._hashes.setdefault(seat, message.hash) != message.hash:
                raise Broken(seat, "committed to two things")
            if any(hash == message.hash for other, hash in self._hashes.items() if other != seat):
                raise Broken(seat, "repeats another's commit")
            return
        if len(self._hashes) < self._seats:
            raise Broken(seat, "revealed before all had committed")
        if committed(self._match, self._round, seat, message.nonce, message.value) != self._hashes[seat]:
            raise Broken(seat, "revealed something else than it had committed to")
        self._revealed[seat] = message.nonce, message.value

    @property
    def stage(self) -> Literal["commit", "reveal", "done"]:
        """What is waited for."""
        if len(self._hashes) < self._seats:
            return "commit"
        return "reveal" if len(self._revealed) < self._seats else "done"

    def missing(self) -> list[int]:
        """Seats for whose commit, or then for whose reveal, all wait."""
        here = self._hashes if self.stage == "commit" else self._revealed
        return [seat for seat in range(self._seats) if seat not in here]

    def values(self) -> list[bytes]:
        """What each seat chose. Raises UsageError before everybody has revealed it."""
        self._whole()
        return [self._revealed[seat][1] for seat in range(self._seats)]

    def seed(self) -> int:
        """64 bits that follow from everybody's nonce: as long as one of them is drawn by chance, so is this. For `Game.start`.

        Raises:
            UsageError: not everybody has revealed.
        """
        self._whole()
        nonces = [self._revealed[seat][0] for seat in range(self._seats)]
        return int.from_bytes(
            sha256(_ROLLS + canonical((self._match, self._round, nonces))).digest()[:8], "big"
        )

    def dice(self) -> int:
        """Dice from `seed`, for `servent.play.dice`: `roll(dice, 6)`, `shuffled(dice, cards)`."""
        return dice.new(self.seed())

    def _whole(self) -> None:
        if self.stage != "done":
            raise UsageError(f"seats {', '.join(map(str, self.missing()))} have not revealed yet")
