"""The two sides of a spoken code. Cores: talks come and go, one guess decides, who guessed right may come back.

A talk is one stream to somebody who claims to be the other side; there may be several at once, over different ways.

    sender     waiting --right words--> met --> met (again, over a new talk)
               waiting --wrong words, or time is up--> over
    receiver   seeking --an answer--> proving --their proof holds--> met --> met (again)
               seeking --time is up--> over      proving --no, or a wrong proof--> over

The sender shows nothing that a guess could be tried on before the receiver has proved the words; so who comes and
leaves without a proof costs nothing. The receiver proves itself in one talk only, the first that answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from servent.errors import BadMessage
from servent.identity import Identity
from servent.limits import TokenBucket
from servent.share import codes_wire as wire
from servent.share.code_words import SpokenCode
from servent.share.pake import Keys, Seal, Side

TALK_LIMIT = 15.0  # s from a talk's first word to a proof
SEEK_LIMIT = 45.0  # s the receiver looks for the sender
USED_LIMIT = 3.0  # s it goes on looking when somebody says that the code was used
KEPT = 120.0  # s an answer of ours can be proved on, also over a new talk
MOST_TALKS = 8  # talks before the proof, at once; each costs us 10 ms of arithmetic
TALK_RATE, TALK_BURST = 1.0, 16.0  # new ones per second
MOST_AGAIN = 10_000  # times one may come back


@lru_cache(maxsize=64)
def place(number: int) -> Identity:
    """Where the two sides of a code with this number meet: a key that everybody can derive, no secret."""
    return Identity(hashlib.sha256(b"servent/code/1 place" + number.to_bytes(4, "big")).digest())


@dataclass(frozen=True, slots=True)
class Say:
    """Send this over that talk."""

    talk: int
    message: wire.ToSender | wire.ToReceiver | wire.Denied


@dataclass(frozen=True, slots=True)
class Hang:
    """End that talk, once what was said is out."""

    talk: int


@dataclass(frozen=True, slots=True)
class Joined:
    """That talk leads to who knows the words; it speaks sealed from here on. `again`: it was so before."""

    talk: int
    seal: Seal
    again: bool = False


@dataclass(frozen=True, slots=True)
class Over:
    """The code is worth nothing any more."""

    why: str
    burnt: bool = False


Effect = Say | Hang | Joined | Over


@dataclass(slots=True)
class _Run:
    """A key agreement of the sender's that may still be proved."""

    keys: Keys
    nonces: tuple[bytes, bytes]
    talk: int | None
    until: float


class Offering:
    """The sender's side of one code.

    Args:
        expires: loop time; later nobody can begin, but who has met can come back.
        dice: fresh random bytes.
    """

    def __init__(self, code: SpokenCode, expires: float, dice: Callable[[int], bytes]) -> None:
        self._code, self._dice, self.expires = code, dice, expires
        self._runs: dict[bytes, _Run] = {}
        self._fresh: dict[int, float] = {}  # talks that said nothing yet, and until when they may be silent
        self._bucket = TokenBucket(TALK_RATE, TALK_BURST)
        self._keys: Keys | None = None
        self._nonces: set[bytes] = set()
        self.over = False
        self.talk: int | None = None  # the one that counts

    @property
    def met(self) -> bool:
        """Whether somebody knew the words."""
        return self._keys is not None

    def opened(self, talk: int, now: float) -> list[Effect]:
        """Somebody came."""
        if len(self._fresh) + sum(run.talk is not None for run in self._runs.values()) >= MOST_TALKS:
            return [Say(talk, wire.Denied("busy")), Hang(talk)]
        self._fresh[talk] = now + TALK_LIMIT
        return []

    def closed(self, talk: int) -> None:
        """That talk is gone. A run begun on it can be proved over another one for a while."""
        self._fresh.pop(talk, None)
        for run in self._runs.values():
            if run.talk == talk:
                run.talk = None
        if self.talk == talk:
            self.talk = None

    def receive(self, talk: int, message: wire.ToSender, now: float) -> list[Effect]:
        """Something came over a talk that is not `Joined` yet.

        Raises:
            BadMessage: out of place; end the talk. It costs the code nothing.
        """
        match message:
            case wire.Begin():
                return self._begin(talk, message, now)
            case wire.Confirm(proof):
                run = next((one for one in self._runs.values() if one.talk == talk), None)
                if run is None:
                    raise BadMessage("a proof of nothing")
                return self._judge(talk, run, run.keys.holds(proof, "receiver", *run.nonces), None)
            case wire.Again():
                return self._again(talk, message)
            case _:
                raise BadMessage("sealed before there is a key")

    def _begin(self, talk: int, message: wire.Begin, now: float) -> list[Effect]:
        if self.over or self.met:
            return [Say(talk, wire.Denied("used")), Hang(talk)]
        if talk not in self._fresh or message.session in self._runs:
            raise BadMessage("a second beginning")
        if not self._bucket.allow(1, now):
            return [Say(talk, wire.Denied("busy")), Hang(talk)]
        side = Side(self._code, message.session, sender=True, dice=self._dice)
        keys = side.finish(message.pake)
        nonce = self._dice(16)
        del self._fresh[talk]
        if len(self._runs) >= 2 * MOST_TALKS:  # those who left without a proof make room
            del self._runs[next(name for name, run in self._runs.items() if run.talk is None)]
        self._runs[message.session] = _Run(keys, (message.nonce, nonce), talk, now + KEPT)
        return [Say(talk, wire.Answer(nonce, side.message))]

    def _judge(self, talk: int, run: _Run, right: bool, fresh: bytes | None) -> list[Effect]:
        """The one guess. `fresh`: the receiver's nonce, when it proves itself over a new talk."""
        others: list[Effect] = []
        for other in [*self._fresh, *(one.talk for one in self._runs.values() if one.talk is not None)]:
            if other != talk:
                others += [Say(other, wire.Denied("used")), Hang(other)]
        self._runs.clear()
        self._fresh.clear()
        if not right:
            self.over = True
            why = "somebody gave wrong words, so this code is burnt"
            return [Say(talk, wire.Denied("wrong")), Hang(talk), *others, Over(why, burnt=True)]
        self._keys, self.talk = run.keys, talk
        if fresh is not None:
            return [*self._welcome(talk, fresh, again=False), *others]
        seal = run.keys.seal(*run.nonces, sender=True)
        return [Say(talk, wire.Confirm(run.keys.proof("sender", *run.nonces))), Joined(talk, seal), *others]

    def _again(self, talk: int, message: wire.Again) -> list[Effect]:
        run = self._runs.get(message.session)
        keys = self._keys if run is None else run.keys
        if self.over or keys is None or keys.session != message.session:
            return [Say(talk, wire.Denied("used")), Hang(talk)]
        right = keys.holds(message.proof, "again", message.nonce)
        if run is not None:
            return self._judge(talk, run, right, message.nonce)
        if not right or message.nonce in self._nonces or len(self._nonces) >= MOST_AGAIN:
            raise BadMessage("a return that proves nothing")
        self._fresh.pop(talk, None)
        return self._welcome(talk, message.nonce, again=True)

    def _welcome(self, talk: int, nonce: bytes, *, again: bool) -> list[Effect]:
        assert self._keys is not None
        self._nonces.add(nonce)
        before, self.talk = self.talk, talk
        mine = self._dice(16)
        effects: list[Effect] = [Hang(before)] if before is not None and before != talk else []
        proof = self._keys.proof("welcome", nonce, mine)
        seal = self._keys.seal(nonce, mine, sender=True)
        return [*effects, Say(talk, wire.Welcome(mine, proof)), Joined(talk, seal, again)]

    def end(self) -> list[Effect]:
        """We want no more of it: everybody who comes is told that it was used."""
        self.over = True
        talks = [*self._fresh, *(run.talk for run in self._runs.values() if run.talk is not None)]
        self._runs.clear()
        self._fresh.clear()
        return [effect for talk in talks for effect in (Say(talk, wire.Denied("used")), Hang(talk))]

    def tick(self, now: float) -> list[Effect]:
        """Let go of who is silent, and of the code when its time is up."""
        effects: list[Effect] = []
        for talk in [talk for talk, until in self._fresh.items() if until <= now]:
            del self._fresh[talk]
            effects.append(Hang(talk))
        for session, run in list(self._runs.items()):
            if run.talk is not None and run.until - KEPT + TALK_LIMIT <= now:
                effects.append(Hang(run.talk))
                run.talk = None
            if run.until <= now:
                del self._runs[session]
        if not self.met and not self.over and now >= self.expires:
            effects += [*self.end(), Over("nobody said the code in time")]
        return effects

    def next_tick(self) -> float | None:
        """Loop time."""
        due = list(self._fresh.values())
        due += [
            run.until - KEPT + TALK_LIMIT if run.talk is not None else run.until
            for run in self._runs.values()
        ]
        if not self.met and not self.over:
            due.append(self.expires)
        return min(due, default=None)


class Pickup:
    """The receiver's side of one code. Loop times.

    Args:
        dice: fresh random bytes.
    """

    def __init__(self, code: SpokenCode, now: float, dice: Callable[[int], bytes]) -> None:
        self._code, self._dice = code, dice
        self.until = now + SEEK_LIMIT  # while nobody is met
        self._sides: dict[int, tuple[Side, bytes, bytes]] = {}  # talks begun: our half, session, nonce
        self._keys: Keys | None = None
        self._nonces: tuple[bytes, bytes] = (b"", b"")
        self._returns: dict[int, bytes] = {}  # talks that come back: our nonce
        self._used = False
        self.met = self.over = False
        self.talk: int | None = None  # the one that counts

    @property
    def wants_talks(self) -> bool:
        """Whether more ways to the other side are of use."""
        return not self.over and self.talk is None

    def opened(self, talk: int) -> list[Effect]:
        """Somebody answers at the place."""
        if not self.wants_talks:
            return [Hang(talk)]
        nonce = self._dice(16)
        if self._keys is not None:
            self._returns[talk] = nonce
            return [Say(talk, wire.Again(self._keys.session, nonce, self._keys.proof("again", nonce)))]
        session = self._dice(16)
        side = Side(self._code, session, sender=False, dice=self._dice)
        self._sides[talk] = side, session, nonce
        return [Say(talk, wire.Begin(session, nonce, side.message))]

    def closed(self, talk: int) -> None:
        """That talk is gone."""
        self._sides.pop(talk, None)
        self._returns.pop(talk, None)
        if self.talk == talk:
            self.talk = None

    def receive(self, talk: int, message: wire.ToReceiver, now: float) -> list[Effect]:
        """Something came over a talk that is not `Joined` yet.

        Raises:
            BadMessage: out of place; end the talk.
        """
        match message:
            case wire.Answer():
                return self._prove(talk, message, now)
            case wire.Confirm(proof):
                if talk != self.talk or self._keys is None or self.met or talk in self._returns:
                    raise BadMessage("a proof out of place")
                if not self._keys.holds(proof, "sender", *self._nonces):
                    return self._wrong(talk)
                self.met = True
                return [Joined(talk, self._keys.seal(*self._nonces, sender=False))]
            case wire.Welcome(nonce, proof):
                mine = self._returns.pop(talk, None)
                if mine is None or self._keys is None:
                    raise BadMessage("a welcome out of place")
                if not self._keys.holds(proof, "welcome", mine, nonce):
                    raise BadMessage("a welcome that proves nothing")
                again, self.met, self.talk = self.met, True, talk
                others: list[Effect] = [Hang(other) for other in self._returns]
                self._returns.clear()
                return [Joined(talk, self._keys.seal(mine, nonce, sender=False), again), *others]
            case wire.Denied(why):
                return self._denied(talk, why, now)
            case _:
                raise BadMessage("sealed before there is a key")

    def _prove(self, talk: int, message: wire.Answer, now: float) -> list[Effect]:
        if talk not in self._sides or self._keys is not None:
            raise BadMessage("an answer out of place")
        side, _, nonce = self._sides.pop(talk)
        self._keys = side.finish(message.pake)
        self._nonces = nonce, message.nonce
        self.talk = talk
        self.until = max(self.until, now + SEEK_LIMIT)
        others: list[Effect] = [Hang(other) for other in self._sides]
        self._sides.clear()
        return [Say(talk, wire.Confirm(self._keys.proof("receiver", *self._nonces))), *others]

    def _denied(self, talk: int, why: wire.No, now: float) -> list[Effect]:
        proving = talk == self.talk or talk in self._returns
        self.closed(talk)
        if why == "wrong" and proving and not self.met:
            return self._wrong(talk)
        if why == "used":
            self._used = True
            self.until = min(self.until, now + USED_LIMIT)
            if self.met:
                self.over = True
                return [Hang(talk), Over("the other side has ended it")]
        return [Hang(talk)]

    def _wrong(self, talk: int) -> list[Effect]:
        self.over = True
        return [
            Hang(talk),
            Over(
                "the words are not those of the sender: this code is burnt, as one guess is all there is",
                burnt=True,
            ),
        ]

    def tick(self, now: float) -> list[Effect]:
        """Give up when nobody was met in time."""
        if self.met or self.over or now < self.until:
            return []
        self.over = True
        why = "nobody waits under this code"
        if self._used:
            why = "this code has been used, or its sender ended it"
        elif self._keys is not None:
            why = "the other side left before both had proved the code"
        hang: list[Effect] = [Hang(talk) for talk in (*self._sides, *self._returns)]
        return [*hang, Over(why)]

    def next_tick(self) -> float | None:
        """Loop time."""
        return None if self.met or self.over else self.until
