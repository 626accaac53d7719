"""One room as one of its members has it: what it takes in, what it says, when it asks others. Pure.

Things come in with the time they happened (`now`: monotonic seconds), wishes go out as `Effect`s in the order in which they are
to be carried out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from servent.errors import UsageError
from servent.identity import PeerId
from servent.overlay.rates import Rates
from servent.talk.acts import Acts
from servent.talk.log import Log, Verdict
from servent.talk.pacing import Pacing
from servent.talk.present import Present
from servent.talk.records import (
    CLOCK_AHEAD,
    MOST_MARKS,
    NONE,
    Act,
    Acted,
    Body,
    Deed,
    Founding,
    Here,
    Message,
    Said,
    Seal,
    Settings,
    check_size,
    digest_of,
    message_id,
    sign,
    sign_message,
    signed_text,
)
from servent.talk.runs import Page, Unpacked, tag_of, unpack
from servent.trust.networks import Forged

if TYPE_CHECKING:
    import random

RATE, BURST = 1.0, 10.0  # messages a second of one author, and at once
LENIENT = 1.5  # times that at receivers: the way bunches them together
LATE = 600_000  # ms; what is said as news and older than that comes by catching up, or not at all
PRUNE_EVERY, PRUNE_SOON = 600.0, 10.0  # s; the other where a flood fills the log
ANSWERED = 15.0  # s that a member who was asked is waited for, before others may tell us the same
CONFIRM = 2.0  # s after a message of ours until we see whether another member has it
STOPPED = {"mute": "muted", "ban": "banned", "kick": "kicked out", "leave": "not any more"}


@dataclass(frozen=True, slots=True)
class Keep:
    """A message to be kept. `new`: it is to be shown; else only its signature or a cover came."""

    id: bytes
    message: Message
    new: bool
    own: bool = False


@dataclass(frozen=True, slots=True)
class Strip:
    """The texts of these messages are gone."""

    ids: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Forget:
    """These messages are no longer passed on."""

    ids: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class KeepActs:
    """Acts to be kept. `counting`: of all acts those that count only now, for people to see."""

    acts: Sequence[Act]
    counting: Sequence[Act]


@dataclass(frozen=True, slots=True)
class Tell:
    """News for everybody in the room."""

    said: Said | Acted | Here


@dataclass(frozen=True, slots=True)
class Look:
    """Compare with another member now; then call `synced`."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What is shown of the room may be another."""


Effect = Keep | Strip | Forget | KeepActs | Tell | Look | Changed


class Room:
    """Args:
    epoch: of our own chain.
    wall: the wall clock, in seconds.
    belongs: whether a key may be in the network.
    acts, messages: what was kept.

    Attributes:
        dropped: what was not taken, by reason.
    """

    def __init__(
        self,
        me: PeerId,
        founding: Founding,
        seal: Seal,
        dice: random.Random,
        wall: Callable[[], float],
        now: float,
        *,
        epoch: bytes,
        belongs: Callable[[bytes], bool] = lambda key: True,
        acts: Iterable[Act] = (),
        messages: Iterable[Message] = (),
        kept: int | None = None,
    ) -> None:
        self.me, self.founding, self.epoch = me, founding, epoch
        self._seal, self._wall, self._belongs = seal, wall, belongs
        self.acts = Acts(founding, acts)
        self.id = self.acts.room
        self.log = Log(self.id) if kept is None else Log(self.id, kept)
        self.log.load(messages, self.acts.state)
        self.present = Present(dice, now)
        self.pacing = Pacing(dice, now)
        self.dropped: Counter[str] = Counter()
        self._heard, self._own = Rates(RATE * LENIENT, BURST * LENIENT), Rates(RATE, BURST)
        self._slow_until = 0  # ms of the wall clock, for our own next message
        self._prune_at = now
        self.looks_until = 0.0  # another member is being asked, and answers until then
        self.complete_to: int | None = (
            None  # after an absence, until all pages came: up to which number we have all
        )
        self.entered(now)

    def entered(self, now: float) -> None:
        """We are back after an absence: what was said after the newest that we have is to be asked for as a whole, even when
        some of it comes as news meanwhile."""
        if self.complete_to is None:
            self.complete_to = int.from_bytes(self.log.ids[-1][:8], "big") if self.log.ids else 0
        self.pacing.soon(now)

    # -- from others

    def heard(self, author: PeerId, said: Said | Acted | Here, now: float) -> list[Effect]:
        """News of a member; the overlay saw that it is theirs.

        Raises:
            PeerError: what no member would send.
        """
        match said:
            case Here(weight, gone):
                changed = self.present.gone(author) if gone else self.present.heard(author, now, weight)
                return [Changed()] if changed else []
            case Acted(acts):
                if any(act.author != author for act in acts):
                    raise Forged("acts of somebody else")
                return self.take_acts(acts, now)
            case Said(message):
                return self._said(author, message, now)

    def _said(self, author: PeerId, message: Message, now: float) -> list[Effect]:
        if message.author != author or message.room != self.id:
            raise Forged("a message of somebody else, or of another room")
        self.present.heard(author, now, spoke=True)
        if not self._heard.allow(author, 1.0, now):
            return self._drop("too fast")
        wall = self.wall_ms()
        if message.number < wall - LATE:
            return self._drop("too late for news")
        digest = digest_of(message)
        if message_id(message, digest) in self.log.entries:
            return []
        if not self._seal.holds(author, message.signature, signed_text(digest)):
            raise Forged("a message that its author did not sign")
        if self.log.gap(message) or self.acts.state.hidden(message):
            self.pacing.soon(now, 1.0)
        self.pacing.talk(now)
        return self._effects(self.log.take(message, digest, self.acts.state, wall))

    def take_acts(self, acts: Sequence[Act], now: float) -> list[Effect]:
        """Raises Forged, BadMessage."""
        taken = self.acts.take(acts, self._seal, self.wall_ms())
        if not taken.new:
            return []
        self.pacing.talk(now)
        for act in taken.counting:
            if act.deed in ("kick", "ban", "leave"):
                self.present.gone(act.peer or act.author)
        effects: list[Effect] = [KeepActs(taken.new, taken.counting)]
        judged = self.log.rejudge(self.acts.state, taken.authors)
        if judged.gone:
            effects.append(Strip(judged.gone))
        if judged.dropped:
            effects.append(Forget(judged.dropped))
            self.pacing.soon(now)
        return [*effects, Changed()]

    def opened(self, page: Page) -> Unpacked:
        """What another member sent when asked, checked and not yet taken.

        Raises:
            BadMessage: no page. Forged: one of its runs is not of its author.
        """
        chains = {tag_of(chain): chain for chain in self.log.ends}
        return unpack(page, self.id, chains, self.log.link, self._seal)

    def take_page(self, found: Unpacked) -> tuple[list[Effect], list[bytes]]:
        """Take what was `opened`. Also tags of chains that the other side should spell out."""
        effects: list[Effect] = []
        wall = self.wall_ms()
        flat = sorted(
            (
                (message.number, at, message, digest)
                for at, run in enumerate(found.runs)
                for message, digest in run
            ),
            key=lambda one: one[:2],
        )
        taken_of: set[int] = set()
        for _, at, message, digest in flat:
            author = message.author
            if author != self.founding.founder and not self._belongs(author):
                self.dropped["a stranger"] += 1
                continue
            verdict = self.log.take(message, digest, self.acts.state, wall)
            if not verdict.why:
                taken_of.add(at)
            elif verdict.why != "known" and at in taken_of:
                verdict = self.log.cover(message, digest)
            effects += self._effects(verdict)
        return effects, found.strange

    # -- of our own

    def say(self, body: Body, now: float, takes: bytes | None = None) -> tuple[Message, list[Effect]]:
        """A message of ours.

        Raises:
            UsageError: why it cannot be said now.
        """
        check_size(body)
        wall, state = self.wall_ms(), self.acts.state
        if state.closed < 1 << 61:
            raise UsageError("this room is closed")
        if (span := state.stopped(self.me, wall)) is not None:
            raise UsageError(f"you are {STOPPED[span.deed]} here: {span.reason or 'no reason given'}")
        if not state.member(self.me):
            raise UsageError(
                "this node has not heard yet that it was let into this room",
                advice="It asks the others for it; one who is in it must be online.",
            )
        slow = state.now.slow if not state.moderates(self.me) else 0
        if slow and wall < self._slow_until:
            raise UsageError(f"slow mode: you can speak again in {(self._slow_until - wall) / 1000:.0f} s")
        if not self._own.allow(self.me, 1.0, now):
            raise UsageError("too fast: others take one message a second of each member")
        seq, before = self.log.ends.get((self.me, self.epoch), (0, NONE))
        number = self._next_number(seq, takes)
        message = sign_message(
            Message(self.id, bytes(self.me), self.epoch, seq + 1, before, number, wall, body, takes),
            self._seal,
        )
        verdict = self.log.take(message, digest_of(message), state, wall)
        if verdict.why:
            raise UsageError(f"this cannot be said here now: {verdict.why}")
        self._slow_until = wall + 1000 * slow
        self.pacing.soon(now, CONFIRM)
        return message, [*self._effects(verdict, own=True), Tell(Said(message))]

    def act(
        self,
        deed: Deed,
        now: float,
        *,
        peer: PeerId | None = None,
        until: int | None = None,
        reason: str = "",
        purge: bool = False,
        settings: Settings | None = None,
        generation: int = 0,
        lock: bytes = NONE,
    ) -> tuple[Act, list[Effect]]:
        """A decision of ours.

        Raises:
            UsageError: it would not count: we have not the power, or there is nothing to decide.
        """
        marks = (
            self.log.marks(peer, MOST_MARKS)
            if peer is not None and deed in ("kick", "ban", "mute", "member")
            else []
        )
        if deed == "leave":
            marks = self.log.marks(self.me, MOST_MARKS)
        act = Act(
            self.id, bytes(self.me), self.acts.next_count(self.me), self.number(), self.wall_ms(), deed,
            bytes(peer) if peer is not None else None, until, reason, marks,
            self.acts.next_count(peer) - 1 if peer is not None and deed == "member" else 0,
            purge, settings, generation, lock,
        )  # fmt: skip
        act = sign(act, self._seal)
        if not self.acts.would_count(act):
            raise UsageError("you may not do that in this room")
        return act, [*self.take_acts([act], now), Tell(Acted([act]))]

    def number(self) -> int:
        """The next of the room's clock."""
        return max(self.wall_ms(), self.log.highest + 1, self.acts.highest + 1)

    def _next_number(self, seq: int, takes: bytes | None) -> int:
        """Of our next message, `seq` being that of the last. Whoever numbers theirs as far ahead as is taken does not drag ours
        along, to where those whose clocks are a little behind would not take it."""
        wall = self.wall_ms()
        number = max(wall, min(self.number(), wall + CLOCK_AHEAD // 2))
        last = self.log.chains.get((self.me, self.epoch), {}).get(seq)
        after = [last.number] if last is not None else []
        after += [int.from_bytes(takes[:8], "big")] if takes is not None else []
        return max([number, *(one + 1 for one in after)])

    def leaving(self, now: float) -> list[Effect]:
        weight = self.present.leaving(now)
        return [Tell(Here(weight, True))] if weight else []

    # -- time

    def tick(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        if self.present.due <= now and (weight := self.present.tick(now)):
            effects.append(Tell(Here(weight)))
        if self._prune_at <= now or (self.log.crowded and now >= self._prune_at - PRUNE_EVERY + PRUNE_SOON):
            self._prune_at = now + PRUNE_EVERY
            if over := self.log.prune(self.wall_ms()):
                effects.append(Forget(over))
        if self.pacing.due <= now:
            self.pacing.begun(now)
            self.looks_until = now + ANSWERED
            effects.append(Look())
        return effects

    def next_tick(self) -> float:
        prune = self._prune_at - (PRUNE_EVERY - PRUNE_SOON if self.log.crowded else 0.0)
        return min(self.present.due, self.pacing.due, prune)

    # -- small things

    def behind(self, now: float) -> bool:
        """Whether somebody tells us now what we missed."""
        return self.complete_to is not None and now < self.looks_until

    def wall_ms(self) -> int:
        return int(self._wall() * 1000)

    def may_hear(self, peer: bytes) -> bool:
        """Whether a peer that asks is to be told what is said here."""
        span = self.acts.state.stopped(peer, self.wall_ms())
        return self.acts.state.member(peer) and (span is None or span.deed != "ban")

    def _drop(self, why: str) -> list[Effect]:
        self.dropped[why] += 1
        return []

    def _effects(self, verdict: Verdict, own: bool = False) -> list[Effect]:
        effects: list[Effect] = []
        if verdict.why not in ("", "known"):
            self.dropped[verdict.why] += 1
        if verdict.message is not None and verdict.entry is not None:
            shown = not verdict.why and verdict.entry.counts
            mine = own or verdict.entry.author == self.me
            effects.append(Keep(verdict.entry.id, verdict.message, shown, mine))
        if verdict.gone:
            effects.append(Strip(verdict.gone))
        return effects
