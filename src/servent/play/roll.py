"""Who still plays: who is heard, by whom, who is waited for, and the last frame of those who are gone. Pure.

A player is gone when no sign of it came for `gone_after`: no packet from it, no input of it passed on by others, and nobody
who says that he hears it. Who finds one gone says so for good (it *drops* it), takes no packet from it any more, and tells in a
row which of its inputs he holds. Inputs go on being passed on between those who remain. Once all of them have dropped the
same players and hold the same inputs of one, nothing can come any more: its last frame is the last that they hold, so nobody
loses what somebody got, and nobody goes back behind what is final.

Others follow when they did not hear the player either, just now. When they do hear it, one of the two has to go, and it is the
one who said so: a liar parts only himself from the match. Two sides that do not hear each other at all go on as two matches.
"""

from __future__ import annotations

from collections.abc import Sequence

from servent.play.inputs import Inputs
from servent.play.model import Event, Frozen, Gone, Heard, Resumed, Timing
from servent.play.wire import Row

ENDLESS = 3  # times `gone_after` that somebody is waited for who is heard, but does nothing
QUICK = 0.5  # s without a tick: we slept ourselves, and the others may well have spoken


class Roll:
    """The players, as one of them sees them.

    Attributes:
        dropped: bits of those without whom we play on.
        gone: bits of those of them whose last frame is agreed on.
        out: the others play on without us.
    """

    def __init__(self, inputs: list[Inputs], me: int, timing: Timing, now: float) -> None:
        players = len(inputs)
        self.dropped = self.gone = 0
        self.out = False
        self._inputs, self._me, self._timing = inputs, me, timing
        self._others = [player for player in range(players) if player != me]
        self._heard: list[float | None] = [None] * players  # a packet from it
        self._sign = [now] * players  # any sign of it
        self._deaf_at = [now] * players  # when we last did not hear it
        self._moved = [now] * players  # when it last did not hold us up
        self._frozen = 0
        self._back = [
            0
        ] * players  # since which frame each plays; who drops it by an earlier one speaks of another time
        self._dropped_at = [0.0] * players
        self._drops = [0] * players  # of each other player: whom it dropped
        self._lasts: list[dict[int, int]] = [{} for _ in range(players)]  # and what it holds of them
        self._claims: dict[tuple[int, int], float] = {}
        self.last_deaf = 0  # bits, as of the last look
        self.told_any = False  # somebody dropped somebody

    def begin(self, at: float) -> None:
        """The match starts: silence counts from now on."""
        self._sign = [at] * len(self._sign)
        self._moved = [at] * len(self._moved)

    def slept(self, duration: float) -> None:
        """We did nothing for so long: that nothing was heard then says nothing about others."""
        self._sign = [at + duration for at in self._sign]
        self._moved = [at + duration for at in self._moved]
        self._heard = [None if at is None else at + duration for at in self._heard]

    def heard(self, player: int, now: float) -> list[Event]:
        """A packet came from `player`."""
        first = self._heard[player] is None
        self._heard[player] = self._sign[player] = now
        return [Heard(player)] if first else []

    def told(self, player: int, deaf: int, now: float) -> None:
        """`player` said in its newest packet whom it does not hear."""
        if not self.dropped >> player & 1:
            for other in self._others:
                if other != player and not deaf >> other & 1:
                    self._sign[other] = now

    def moved(self, player: int, now: float) -> None:
        """An input of `player` came, by whatever way."""
        self._sign[player] = now

    def rows(self, player: int, rows: Sequence[Row]) -> None:
        """`player` told whom it dropped; and whom those dropped whom we do not hear ourselves."""
        for row in rows:
            owner = row.owner
            if owner == self._me or (owner != player and not self.last_deaf >> owner & 1):
                continue
            lasts = self._lasts[owner]
            for other, last in zip(_bits(row.dropped), row.last, strict=True):
                if last >= self._back[other] - 1:
                    self._drops[owner] |= 1 << other
                    self.told_any = True
                    lasts[other] = max(last, lasts.get(other, -1))

    def holds(self, player: int, of: int) -> int | None:
        """The last frame of `of` that `player` holds, if it dropped that one; else its packets say it."""
        return self._lasts[player].get(of) if self._drops[player] >> of & 1 else None

    def back(self, player: int, at: int, sign: float) -> None:
        """`player`, who was gone, plays from frame `at` on. `sign`: when it is to be taken as heard last."""
        bit = 1 << player
        self.dropped &= ~bit
        self.gone &= ~bit
        self._frozen &= ~bit
        self._back[player] = at
        self._heard[player] = None
        self._sign[player] = self._moved[player] = sign
        self._drops[player], self._lasts[player] = 0, {}
        for claim in [claim for claim in self._claims if player in claim]:
            del self._claims[claim]
        for owner, lasts in enumerate(self._lasts):
            if lasts.get(player, at) < at - 1:
                del lasts[player]
                self._drops[owner] &= ~bit

    def enter(self, frame: int, at: int, away: int) -> None:
        """We come into a match that runs: at `frame` those in `away` are gone, and we play from `at` on."""
        self._back = [frame] * len(self._back)
        self._back[self._me] = at
        self.free(away)
        for player in _bits(away):
            self._back[player] = 0

    def free(self, away: int) -> None:
        """Nobody has these seats."""
        self.dropped |= away
        self.gone |= away

    def leave(self) -> None:
        """We go, and say so."""
        self.dropped |= 1 << self._me
        self.out = True

    def deaf(self, now: float) -> int:
        """Bits of the players of whom nothing came directly for a while."""
        deaf = 0
        for player in self._others:
            heard = self._heard[player]
            if heard is None or now - heard > self._timing.hear_after:
                deaf |= 1 << player
                self._deaf_at[player] = now
        self.last_deaf = deaf
        return deaf

    def hears(self, player: int, now: float, within: float) -> bool:
        """Whether a packet came from `player` itself within so many seconds, dropped or not."""
        heard = self._heard[player]
        return heard is not None and now - heard <= within

    def row_of(self, to: int) -> list[Row]:
        """What we and others said about who is gone, for a packet to `to`."""
        rows = []
        for owner in range(len(self._inputs)):
            if owner == self._me:
                if self.dropped:
                    last = tuple(self._inputs[player].last for player in _bits(self.dropped))
                    rows.append(Row(owner, self.dropped, last))
            elif self._drops[owner] and owner != to and not self.dropped >> owner & 1:
                dropped = self._drops[owner]
                rows.append(Row(owner, dropped, tuple(self._lasts[owner][one] for one in _bits(dropped))))
        return rows

    def tick(self, now: float, needed: int) -> list[Event]:
        """Who froze, who is back, who is gone; those are to be cut at their frames.

        Args:
            needed: whoever's input for this frame is missing holds us up; -1: nobody does.
        """
        events: list[Event] = []
        self.deaf(now)
        timing = self._timing
        for player in self._others:
            bit = 1 << player
            if self.gone & bit:
                continue
            if needed < 0 or self._inputs[player].last >= needed:
                self._moved[player] = now
                if self._frozen & bit:
                    self._frozen &= ~bit
                    events.append(Resumed(player))
            elif not self._frozen & bit and now - self._moved[player] >= timing.freeze_after:
                self._frozen |= bit
                events.append(Frozen(player, self._sign[player] + timing.gone_after))
            if not self.dropped & bit and (
                now - self._sign[player] >= timing.gone_after
                or now - self._moved[player] >= ENDLESS * timing.gone_after
            ):
                self._drop(player, now)
        if self.told_any:
            events += self._weigh(now)
        if self.dropped & ~self.gone and not self.out:
            events += self._agree(now)
        return events

    def _drop(self, player: int, now: float) -> None:
        if not self.dropped >> player & 1:
            self.dropped |= 1 << player
            self._dropped_at[player] = now

    def _weigh(self, now: float) -> list[Event]:
        """Follow those who say that somebody is gone, or part from them."""
        for teller in self._others:
            claims = self._drops[teller] & ~self.dropped
            if not claims or self.dropped >> teller & 1:
                continue
            for player in _bits(claims):
                if player != self._me and (player == teller or self._silent(player, now)):
                    self._drop(player, now)
                    continue
                since = self._claims.setdefault((teller, player), now)
                if now - since >= self._timing.quarrel_after:
                    self._drop(teller, now)
                    break
        speak = [player for player in self._others if self.hears(player, now, self._timing.hear_after)]
        if not self.out and speak and all(self._drops[player] >> self._me & 1 for player in speak):
            self.out = True
            return [Gone(self._me, min(self._lasts[player][self._me] for player in speak))]
        return []

    def _silent(self, player: int, now: float) -> bool:
        return (
            now - self._deaf_at[player] <= self._timing.quarrel_after
            or now - self._moved[player] > self._timing.gone_after
        )

    def _agree(self, now: float) -> list[Event]:
        """Cut those of whom all who remain hold the same."""
        remain = [player for player in self._others if not self.dropped >> player & 1]
        events: list[Event] = []
        for player in _bits(self.dropped & ~self.gone):
            last = self._inputs[player].last
            apart = [
                other
                for other in remain
                if self._drops[other] & self.dropped != self.dropped or self._lasts[other][player] != last
            ]
            if not apart:
                self.gone |= 1 << player
                self._frozen &= ~(1 << player)
                events.append(Gone(player, last))
            elif now - self._dropped_at[player] > self._timing.gone_after + self._timing.quarrel_after:
                for other in apart:  # it plays another match by now
                    self._drop(other, now)
        return events


def _bits(mask: int) -> list[int]:
    return [bit for bit in range(mask.bit_length()) if mask >> bit & 1]
