"""What goes into the packets of a running match: our inputs, others' that are passed on, and what we say of all. Pure."""

from __future__ import annotations

from math import ceil

from servent.play.checks import TELL_EVERY, Checks
from servent.play.inputs import KEPT, Inputs
from servent.play.model import Timing
from servent.play.peers import Peer
from servent.play.returns import Returns
from servent.play.roll import Roll
from servent.play.rollback import Rollback
from servent.play.wire import MAX_RUN, Packet, Run

CLOCK_EVERY = 4  # packets; 15 round trips a second are measured at 60 fps
ROWS_EVERY = 8  # packets, once we know who is gone; others may not yet
PASS_ON_AFTER = (
    4  # frames that somebody lacks, beyond those that are on their way: then what we hold goes to it
)
MOST_PASSED = 16  # frames of one player in one packet


class Post:
    """Writes one player's packets, from what the parts of its session know.

    Args:
        peers: the others. `most_own`: our inputs that one packet takes.
    """

    def __init__(
        self,
        me: int,
        fps: int,
        timing: Timing,
        inputs: list[Inputs],
        peers: list[Peer],
        rollback: Rollback,
        roll: Roll,
        checks: Checks,
        returns: Returns,
        most_own: int,
    ) -> None:
        self._me, self._fps, self._timing, self._most_own = me, fps, timing, most_own
        self._inputs, self._peers, self._rollback, self._roll = inputs, peers, rollback, roll
        self._checks, self._returns = checks, returns
        self._runs: dict[int, Run] = {}

    def begin(self) -> int:
        """Packets to all are to be made now. Returns bits of those whom we do not hear."""
        self._runs.clear()
        return self._roll.last_deaf

    def packet(self, peer: Peer, deaf: int, now: float) -> Packet:
        """The next one to `peer`."""
        number, frame, gone = peer.sent, self._rollback.frame, self._roll.gone
        peer.sent += 1
        have = [
            frame if gone >> player & 1 else inputs.last
            for player, inputs in enumerate(self._inputs)
            if player != self._me
        ]
        packet = Packet(number, frame, peer.lead, have, [self._own(peer)], deaf=deaf)
        if number % CLOCK_EVERY == 0:
            packet.clock = peer.clock(now)
        elif number % TELL_EVERY == 2 and self._checks.newest is not None:
            packet.check = self._checks.newest
        dropped = self._roll.dropped
        if (dropped & ~gone or number % ROWS_EVERY == 0) and (dropped or self._roll.told_any):
            packet.rows = tuple(self._roll.row_of(peer.player))
        if len(self._peers) > 1:
            self._pass_on(peer, packet, now)
        return packet

    def _own(self, peer: Peer) -> Run:
        """Our inputs that it did not acknowledge; never more than it can lack."""
        mine = self._inputs[self._me]
        start = max(peer.have[self._me] + 1, mine.last + 1 - MAX_RUN, mine.first)
        run = self._runs.get(start)
        if run is None:
            last = min(mine.last, start + self._most_own - 1)
            marks = self._returns.of(self._me, start, last)
            run = self._runs[start] = Run(self._me, start, list(mine.between(start, last)), marks)
        return run

    def _pass_on(self, peer: Peer, packet: Packet, now: float) -> None:
        """Inputs of others that it seems not to get: at once of those whom it does not hear, else when it lacks too many."""
        roll, fps = self._roll, self._fps
        late = PASS_ON_AFTER + ceil((peer.rtt or 0.0) / 2 * fps)
        for other in self._peers:
            player = other.player
            if player == peer.player or roll.gone >> player & 1:
                continue
            inputs, held = self._inputs[player], peer.have[player]
            lacks = inputs.last - held
            if lacks <= 0 or lacks > KEPT - MAX_RUN or held + 1 < inputs.first:
                continue
            if (
                (peer.deaf | roll.dropped) >> player & 1
                or lacks > late
                or (now - peer.moved[player]) * fps > late
            ):
                peer.pass_on[player] = now + self._timing.hear_after  # by then it says itself whom it hears
            if now < peer.pass_on[player]:
                last = min(inputs.last, held + MOST_PASSED)
                marks = self._returns.of(player, held + 1, last)
                packet.runs.append(Run(player, held + 1, list(inputs.between(held + 1, last)), marks))
