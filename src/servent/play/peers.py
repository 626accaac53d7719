"""What is known of one other player from its packets: which inputs it holds, how far it is, how good the link is. Pure.

All times are seconds on the caller's clock; stamps in packets are of 16 bits (`wire.TICKS`).
"""

from __future__ import annotations

from collections import deque

from servent.play.wire import TICKS, Packet, Probe

SAMPLES = 256  # round trips that the percentiles are taken from; at 15 a second the last 17 s
PROBES = 16  # the best of so many tells the clock
SMOOTH = 1 / 8  # RFC 6298's weight of a new round trip
JUMP = 1 << 15  # numbers further ahead than this are old ones
NONE = 0xFFFFFFFF
LONGEST_HOLD = 6.0  # s; a stamp held back for longer turns over


class Peer:
    """One link.

    Args:
        means: packets over which leads are averaged.

    Attributes:
        have: the last frame of each player's input that it says it holds; `moved`: when that last grew.
        pass_on: until when inputs of each player are passed on to it.
        deaf: bits of the players whom it does not hear, in its newest packet.
        heard: when something came from it; None: never.
        frame: how many frames it had stepped when it sent its newest packet.
        ahead: frames that we are ahead of it, by what both sides measured; None: not known yet.
        offset: seconds that its clock is ahead of ours, from probes; None: not known yet.
    """

    def __init__(self, player: int, me: int, players: int, means: int) -> None:
        self.player, self._me = player, me
        self.have = [-1] * players
        self.moved = [float("-inf")] * players  # when it last held more of each
        self.pass_on = [float("-inf")] * players  # until when it gets the inputs of each from us as well
        self.deaf = 0
        self.heard: float | None = None
        self.frame = 0
        self.refused = 0
        self.received = 0
        self.missed = 0
        self.rtt: float | None = None
        self.jitter = 0.0
        self.offset: float | None = None
        self.lead = 0.0  # frames that it is ahead of us, by what we measured; its packets say the same of us
        self.sent = 0
        self.probed = float("-inf")
        self._number: int | None = None
        self._weight = 2 / (means + 1)
        self._theirs: float | None = None
        self._stamp: tuple[int, float] | None = None
        self._probe: tuple[int, float] | None = None
        self._trips: deque[float] = deque(maxlen=SAMPLES)
        self._clocks: deque[tuple[float, float]] = deque(maxlen=PROBES)

    @property
    def ahead(self) -> float | None:
        return None if self._theirs is None else (self._theirs - self.lead) / 2

    @property
    def loss(self) -> float:
        """Share of its packets that did not come, 0.0 to 1.0."""
        return self.missed / (self.received + self.missed) if self.received else 0.0

    def one_way(self, share: float = 0.95) -> float | None:
        """Half of the round trip below which `share` of the last ones lie; None: none was measured."""
        if not self._trips:
            return None
        trips = sorted(self._trips)
        return trips[min(int(share * len(trips)), len(trips) - 1)] / 2

    def fresh(self, packet: Packet, now: float) -> bool:
        """Whether `packet` is newer than all before it; then its clock is read."""
        last = self._number
        if last is not None:
            step = (packet.number - last) & 0xFFFF
            if step == 0:
                return False
            if step >= JUMP:
                self.missed = max(0, self.missed - 1)  # it was only late
                self.received += 1
                return False
            self.missed += step - 1
        self._number = packet.number
        self.received += 1
        self.frame = packet.frame
        self.deaf = packet.deaf
        if packet.clock is not None:
            stamp, echo, held = packet.clock
            self._stamp = (stamp, now)
            if held != 0xFFFF:
                self._trip(((stamp_of(now) - echo - held) & 0xFFFF) / TICKS)
        return True

    def compare(self, packet: Packet, mine: float, fps: int) -> None:
        """Read the leads of a fresh packet. `mine`: frames that we have stepped, and the part of the next that is past.

        A sender that does not hear us, as it says, knows nothing of our lead; and what we see alone has the delay of the link in it.
        """
        if packet.deaf >> self._me & 1:
            self._theirs = None
            return
        lead = packet.frame + (self.rtt or 0.0) / 2 * fps - mine
        self.lead += (lead - self.lead) * (1.0 if self._theirs is None else self._weight)
        self._theirs = packet.lead  # a mean as well: the last ones that came would be the quick ones

    def clock(self, now: float) -> tuple[int, int, int]:
        """For the next packet to it: our stamp, its last one, and how long ago that came; 65,535: it says nothing."""
        stamp = stamp_of(now)
        if self._stamp is None or now - self._stamp[1] > LONGEST_HOLD:
            return stamp, 0, 0xFFFF
        return stamp, self._stamp[0], max(int((now - self._stamp[1]) * TICKS), 0)

    def probe(self, now: float) -> Probe:
        """The next probe to it."""
        self.probed = now
        if self._probe is None:
            return Probe(micros(now), 0, NONE)
        clock, at = self._probe
        return Probe(micros(now), clock, min(max(micros(now - at), 0), NONE - 1))

    def probes(self, probe: Probe, now: float) -> None:
        """Read a probe that came."""
        self._probe = (probe.clock, now)
        if probe.held == NONE:
            return
        trip = (micros(now) - probe.echo - probe.held) / 1e6
        if 0 <= trip < 10:
            self._trip(trip)
            self._clocks.append((trip, probe.clock / 1e6 + trip / 2 - now))
            self.offset = min(self._clocks)[1]  # the quickest trip had the least chance to be lopsided

    def _trip(self, trip: float) -> None:
        self._trips.append(trip)
        if self.rtt is None:
            self.rtt = trip
        else:
            self.jitter += (abs(trip - self.rtt) - self.jitter) * SMOOTH
            self.rtt += (trip - self.rtt) * SMOOTH


def stamp_of(now: float) -> int:
    """16 bits of the time."""
    return int(now * TICKS) & 0xFFFF


def micros(seconds: float) -> int:
    """For probes; clocks may well be below zero."""
    return int(seconds * 1e6)
