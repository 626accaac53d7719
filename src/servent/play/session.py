"""One player's side of a match: datagrams and inputs in, requests and datagrams out. Pure.

session = Session(settings, me, tag, now)
session.begin(at)                         # the same moment for all; before it, probes find the clocks
session.receive(player, data, now)        # whenever a datagram comes
for request in session.tick(now, value):  # at `next_tick()`, again and again
    ...                                   # carry it out
for player, data in session.send(now):    # after each tick
    ...
"""

from __future__ import annotations

from servent.errors import BadMessage, UsageError
from servent.play.checks import Checks
from servent.play.inputs import KEPT, MAX_AHEAD, Inputs
from servent.play.model import (
    MAX_DELAY,
    Back,
    Confirmed,
    Contradicted,
    Entry,
    Event,
    Gone,
    Request,
    Settings,
    Timing,
)
from servent.play.pace import AutoDelay, Pace
from servent.play.peers import Peer
from servent.play.post import Post
from servent.play.returns import Returns
from servent.play.roll import QUICK, Roll
from servent.play.rollback import Rollback
from servent.play.views import Seat, View
from servent.play.wire import MAX_RUN, Packet, Probe, Run, Wire

ITSELF = (
    0.1  # s; of somebody whom we heard within so long, we take no inputs from others: they could be invented
)
FIRST = 0.25  # s after the start, in which the first packets of the others come
HURRY = 8  # frames in one tick of somebody who comes in and is behind


class Session:
    """Plays one seat.

    Args:
        me: the seat.
        tag: of the match, from `servent.play.model.tag_of`.
        now: seconds on the caller's monotonic clock, here and everywhere.
        entry: where we come into a match that runs; then it begins at once.

    Raises:
        UsageError: no such seat, a free one without an entry, or `held` has another size than an input.
    """

    def __init__(
        self,
        settings: Settings,
        me: int,
        tag: bytes,
        now: float,
        timing: Timing | None = None,
        entry: Entry | None = None,
    ) -> None:
        if not 0 <= me < settings.players or (settings.free >> me & 1 and entry is None):
            raise UsageError(f"there is no seat {me} among {settings.players}")
        if len(settings.held) not in (0, settings.input_bytes):
            raise UsageError(f"held has {len(settings.held)} bytes, an input {settings.input_bytes}")
        self.settings, self.me, self.timing = settings, me, timing or Timing()
        self.delay = settings.delay
        self._wire = Wire(settings, tag)
        self._inputs = [Inputs(settings.input_bytes, settings.held) for _ in range(settings.players)]
        self._peers = [
            Peer(player, me, settings.players, self.timing.means)
            for player in range(settings.players)
            if player != me
        ]
        self._peer = {peer.player: peer for peer in self._peers}
        self._rollback = Rollback(settings, self._inputs, me)
        self._roll = Roll(self._inputs, me, self.timing, now)
        self._pace = Pace(settings, self.timing)
        self._auto = AutoDelay(settings, now) if settings.auto_delay else None
        self._checks = Checks(settings.players, settings.check_every)
        self._passed: list[dict[int, int]] = [{} for _ in range(settings.players)]
        self._liars: set[tuple[int, int]] = set()
        self._events: list[Event] = []
        self._early = self._inputs[me].nothing
        self._changed = self._first = now
        self._stalls, self._waits = 0, [0] * settings.players
        self._returns = Returns(settings, me)
        self._post = Post(
            me,
            settings.fps,
            self.timing,
            self._inputs,
            self._peers,
            self._rollback,
            self._roll,
            self._checks,
            self._returns,
            self._wire.most_own,
        )
        self._mine = 0  # our first frame
        if entry is None:
            self._roll.free(settings.free)
            for player in range(settings.players):
                if settings.free >> player & 1:
                    self._rollback.leave(player, -1)
        else:
            self._enter(entry, now)

    def _enter(self, entry: Entry, now: float) -> None:
        self._mine, away = entry.at, dict(entry.away)
        for player, inputs in enumerate(self._inputs):
            inputs.rest(away.get(player, entry.frame - 1))
            if player in away:
                self._rollback.leave(player, away[player])
            else:
                inputs.guess = inputs.staying(entry.inputs[player])
        self._inputs[self.me].rest(entry.at - 1)
        self._rollback.leave(self.me, -1)
        self._rollback.comes_back(self.me, entry.at)
        self._rollback.enter(entry.frame)
        self._roll.enter(entry.frame, entry.at, sum(1 << player for player in away))
        self._returns.enter(entry.frame, entry.at)
        self.begin(now)

    @property
    def frame(self) -> int:
        """How many frames were stepped."""
        return self._rollback.frame

    @property
    def confirmed(self) -> int:
        """The last frame that never changes any more, -1 for none."""
        return min(self._rollback.confirmed, self._rollback.frame - 1)

    @property
    def out(self) -> bool:
        """Whether the match goes on without us, or we left: no frame is stepped any more."""
        return self._roll.out

    def begin(self, at: float) -> None:
        """Frame 0 is to be stepped at `at`, which all were told in the clock of one of them (`offset`)."""
        self._pace.start(at)
        self._roll.begin(at)
        self._first = at + FIRST
        far = self._furthest()
        if self._auto is not None and far is not None:
            self.delay = self._auto.wanted(far)

    def offset(self, player: int) -> float | None:
        """Seconds that the clock of `player` is ahead of ours; None: no probe came back yet."""
        return self._peer[player].offset

    def next_tick(self) -> float:
        """When `tick` and `send` are due."""
        if self._pace.due is not None:
            return self._pace.due
        return min((peer.probed for peer in self._peers), default=0.0) + self.timing.probe_every

    def set_delay(self, frames: int) -> None:
        """From now on our inputs act so many frames later; others need not be told.

        Raises:
            UsageError: below 0 or above 12.
        """
        if not 0 <= frames <= MAX_DELAY:
            raise UsageError(f"a delay of {frames} frames; there are 0 to {MAX_DELAY}")
        self.delay = frames

    def leave(self) -> None:
        """We stop. Whoever calls `send` a few times more tells the others, who need not wait then."""
        self._roll.leave()

    def welcome(self, seat: int | None) -> None:
        """Let somebody into `seat`, whose player is gone or never was; `Back` tells when, to all. None: nobody any more.

        A second and a half pass until its first frame, in which `servent.play.joining` brings the state there.
        """
        self._returns.welcome(seat)

    def entry(self, seat: int, at: int, last: Confirmed) -> Entry:
        """For who comes into `seat` at frame `at`, and knows all up to `last`."""
        away = tuple(
            (player, self._inputs[player].last)
            for player in range(self.settings.players)
            if player != seat and last.gone >> player & 1 and self._rollback.is_away(player)
        )
        return Entry(last.frame + 1, last.inputs, at, away)

    def learn(self, one: Confirmed) -> None:
        """A frame before our first one is final, as somebody says who saw it: we come in, and were not sent all of it."""
        if one.frame >= self._mine:
            return
        for player, inputs in enumerate(self._inputs):
            if player != self.me and one.frame == inputs.last + 1 and not one.gone >> player & 1:
                inputs.add(one.inputs[player])
                self._rollback.came(player, one.frame, one.inputs[player])

    def sums(self, since: int) -> dict[int, int] | None:
        """The checksums of all who play, ours as well, for the newest frame that all have told; None: none from `since` on."""
        playing = {peer.player for peer in self._peers if not self._roll.dropped >> peer.player & 1}
        sums = self._checks.all_of(playing, since)
        return None if sums is None else {self.me if seat < 0 else seat: one for seat, one in sums.items()}

    def again_from(self, frame: int) -> list[Request]:
        """Step all frames from `frame` on again, whose state is put right (`servent.play.resync`).

        Raises:
            UsageError: it is too long ago, or not stepped yet.
        """
        if not self.frame - KEPT < frame <= self.frame:
            raise UsageError(f"frame {frame} cannot be stepped again at frame {self.frame}")
        return self._rollback.again_from(frame)

    def events(self) -> list[Event]:
        """What happened since the last call."""
        if not self._events:
            return []
        events, self._events = self._events, []
        return events

    def checked(self, frame: int, checksum: int) -> None:
        """The answer to a `Check`."""
        self._events += self._checks.ours(frame, checksum & 0xFFFFFFFFFFFFFFFF)

    # what arrives

    def receive(self, player: int, data: bytes, now: float) -> None:
        """A datagram came from `player`, which the transport knows for sure. What is no packet of this match is counted, no more."""
        peer = self._peer.get(player)
        if peer is None:
            return
        try:
            packet = self._wire.decode(player, data)
        except BadMessage:
            peer.refused += 1
            return
        self._events += self._roll.heard(player, now)
        if isinstance(packet, Probe):
            peer.probes(packet, now)
            return
        roll = self._roll
        if peer.fresh(packet, now):
            if packet.deaf or len(self._peers) > 1:
                roll.told(player, packet.deaf, now)
            if packet.frame and self._rollback.frame:  # before the first frame nobody moves
                mine = self._rollback.frame + self._pace.past(now)
                peer.compare(packet, mine, self.settings.fps)
        if packet.rows:
            roll.rows(player, packet.rows)
        if roll.dropped >> player & 1:
            return  # whatever it does now, we said that it does nothing any more
        self._acknowledged(peer, packet, now)
        for run in packet.runs:
            if run.values and run.player != self.me:
                self._take(run, player, now)
        if packet.check is not None:
            self._events += self._checks.theirs(player, *packet.check)

    def _acknowledged(self, peer: Peer, packet: Packet, now: float) -> None:
        told = iter(packet.have)
        for player in range(self.settings.players):
            if player == peer.player:
                continue
            last = next(told)
            if last > peer.have[player] and not self._roll.dropped >> player & 1:
                more = 0 if player == self.me else MAX_AHEAD
                peer.have[player] = min(last, self._inputs[player].last + more)
                peer.moved[player] = now
        if self._roll.dropped:
            for player in range(self.settings.players):
                if (held := self._roll.holds(peer.player, player)) is not None:
                    peer.have[player] = max(held, peer.have[player])

    def _take(self, run: Run, by: int, now: float) -> None:
        """Inputs of a player, from itself or passed on `by` another."""
        player, inputs = run.player, self._inputs[run.player]
        direct = player == by
        if self._roll.gone >> player & 1 or (not direct and (player, by) in self._liars):
            return
        passed = self._passed[player]
        if direct and passed:
            while passed and (first := next(iter(passed))) < run.start:
                del passed[first]  # acknowledged: the player itself will not speak of it any more
        known = inputs.last + 1 - run.start
        if known > 0 and (passed or not direct):
            self._compare(run, by, known)
        if known < 0 or known >= len(run.values):
            return
        if not (direct or self._roll.dropped >> player & 1) and (
            self._roll.hears(player, now, ITSELF) or now < self._first
        ):
            return
        most = self._rollback.frame + MAX_AHEAD
        for frame, value in enumerate(run.values[known:], inputs.last + 1):
            if frame > most:
                break
            inputs.add(value)
            self._rollback.came(player, frame, value)
            if not direct:
                passed[frame] = by
                if len(passed) > KEPT - MAX_RUN:
                    del passed[next(iter(passed))]
        self._returns.came(run, run.start + known, inputs.last)
        self._roll.moved(player, now)

    def _compare(self, run: Run, by: int, known: int) -> None:
        """What was known before, against what is said now: a player itself is right about itself."""
        player, inputs = run.player, self._inputs[run.player]
        for frame, value in enumerate(run.values[:known], run.start):
            if frame < inputs.first or frame <= inputs.last - KEPT + MAX_RUN:
                continue
            if player != by:
                if inputs[frame] != value:
                    self._contradicted(player, by, frame)
                    return
                continue
            teller = self._passed[player].pop(frame, None)
            if teller is None or inputs[frame] == value:
                continue
            self._contradicted(player, teller, frame)
            if frame > self._rollback.confirmed:
                inputs.change(frame, value)
                self._rollback.came(player, frame, value)

    def _contradicted(self, player: int, by: int, frame: int) -> None:
        if (player, by) not in self._liars:
            self._liars.add((player, by))
            self._events.append(Contradicted(player, by, frame))

    # what the time brings

    def tick(self, now: float, value: bytes) -> list[Request]:
        """It is `next_tick()`: what there is to be done for this frame, in this order.

        Args:
            value: our input, of `input_bytes`. Where we wait for others it is not used, and is asked for again.

        Raises:
            UsageError: an input of another size.
        """
        if len(value) != self.settings.input_bytes:
            raise UsageError(f"an input of {len(value)} bytes; here it has {self.settings.input_bytes}")
        pace, roll, rollback = self._pace, self._roll, self._rollback
        if pace.due is None or now < pace.due - 1e-6:
            return []
        leads = [
            lead
            for peer in self._peers
            if (lead := peer.ahead) is not None and not (roll.dropped | roll.last_deaf) >> peer.player & 1
        ]
        slept = pace.ticked(now, leads, len(leads) == len(self._peers) - roll.dropped.bit_count())
        if slept > QUICK:
            roll.slept(slept)
        needed = rollback.frame - self.settings.predicted if rollback.held_up else -1
        for event in roll.tick(now, needed):
            if isinstance(event, Gone) and event.player != self.me:
                rollback.leave(event.player, event.frame)
            self._events.append(event)
        if roll.out:
            return []
        if self.settings.mode == "lockstep":
            self._play(value, now)  # the others wait for it as we wait for theirs
        requests = rollback.settle()
        self._weigh(now)
        if rollback.frame < self._mine:
            self._hurry(requests, now)
        if rollback.held_up:
            self._stalls += 1
            needed = rollback.frame - self.settings.predicted
            for peer in self._peers:
                if self._inputs[peer.player].last < needed and not roll.gone >> peer.player & 1:
                    self._waits[peer.player] += 1
            return requests
        if self.settings.mode == "rollback":
            self._play(value, now)
        requests += rollback.step()
        return requests

    def _play(self, value: bytes, now: float) -> None:
        """Our input acts `delay` frames from now; where that changed, frames are filled, or one is left out."""
        mine = self._inputs[self.me]
        if self._rollback.frame + self.delay < self._mine:
            return
        if self._auto is not None:
            if value != mine.guess:
                self._changed = now
            far = self._furthest() if self._auto.due(now) else None
            self.delay = self._auto.look(now, self.delay, far, self._changed)
        target = self._rollback.frame + self.delay
        value = mine.joined(self._early, value)
        if target <= mine.last:
            self._early = value
            return
        while mine.last + 1 < target:
            mine.add(mine.guess)
        mine.add(value)
        self._early = mine.nothing
        self._returns.pressed(target, self._rollback)

    def _weigh(self, now: float) -> None:
        """Who was marked to come back, in frames that are final by now, does."""
        for seat, at in self._returns.weigh(self.confirmed, self._rollback):
            self._events.append(Back(seat, at))
            self._inputs[seat].rest(at - 1)
            self._rollback.comes_back(seat, at)
            begins = now + (at - self.frame) / self.settings.fps
            self._roll.back(seat, at, begins + self.timing.return_within - self.timing.gone_after)
            self._passed[seat].clear()
            self._checks.forget(seat)
            for index, peer in enumerate(self._peers):
                if peer.player == seat:
                    new = Peer(seat, self.me, self.settings.players, self.timing.means)
                    self._peers[index] = self._peer[seat] = new
                else:
                    peer.have[seat], peer.moved[seat] = at - 1, begins
                    peer.pass_on[seat] = float("-inf")

    def _hurry(self, requests: list[Request], now: float) -> None:
        """We come in, and are behind the others: several frames in a tick, none of which is ours."""
        rollback, fps = self._rollback, self.settings.fps
        most = max((peer.frame + (peer.rtt or 0.0) / 2 * fps for peer in self._peers), default=0.0)
        for _ in range(HURRY):
            if rollback.frame + 1 >= min(most, self._mine) or rollback.held_up:
                return
            requests += rollback.step()
            requests += rollback.settle()
            self._weigh(now)

    def _furthest(self) -> float | None:
        ways = [peer.one_way() for peer in self._peers if not self._roll.dropped >> peer.player & 1]
        return max((way for way in ways if way is not None), default=None)

    # what goes out

    def send(self, now: float) -> list[tuple[int, bytes]]:
        """The datagrams that are to go out now, each to a player: after each tick, and once before the first."""
        if self._pace.due is None:
            due = [peer for peer in self._peers if now - peer.probed >= self.timing.probe_every - 1e-6]
            return [(peer.player, self._wire.probe(peer.probe(now))) for peer in due]
        roll = self._roll
        deaf = self._post.begin()
        packets = []
        for peer in self._peers:
            if roll.dropped >> peer.player & 1:  # it is to learn that we go on without it
                timing, speaks = self.timing, roll.hears(peer.player, now, self.timing.hear_after)
                if now - peer.probed < (timing.resend_every if speaks else timing.hear_after):
                    continue
            peer.probed = now
            packets.append((peer.player, self._wire.encode(self._post.packet(peer, deaf, now))))
        return packets

    def view(self) -> View:
        """How it goes."""
        rollback, roll = self._rollback, self._roll
        seats = [
            Seat(
                player=peer.player,
                heard=peer.received > 0,
                deaf=bool(roll.last_deaf >> peer.player & 1),
                gone=bool(roll.gone >> peer.player & 1),
                rtt=peer.rtt,
                jitter=peer.jitter,
                one_way=peer.one_way(),
                loss=peer.loss,
                ahead=peer.ahead,
                refused=peer.refused,
                waits=self._waits[peer.player],
                agreed=self._checks.agreed[peer.player],
            )
            for peer in self._peers
        ]
        return View(
            frame=rollback.frame,
            confirmed=self.confirmed,
            delay=self.delay,
            stalls=self._stalls,
            again=rollback.again,
            depths=tuple(rollback.depths),
            slew=self._pace.slew,
            out=roll.out,
            seats=tuple(seats),
        )
