"""What a volunteer brings back: results, signs of life, checkpoints, work undone. Pure. All of it is from a stranger."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from msgspec.structs import replace

from servent.grid import quota, steps, tail
from servent.grid.coordinator_live import Live, unit_of
from servent.grid.coordinator_rooms import Room
from servent.grid.coordinator_rows import WITHIN_BYTES, Output, Side
from servent.grid.coordinator_state import State
from servent.grid.coordinator_views import checkpoint_name
from servent.grid.manifests import INLINE_BYTES, App
from servent.grid.model import Copy
from servent.grid.wire import Checkpoint, Progress, Result, Taken

WORDS = 500  # characters of what went wrong that are kept; a traceback of Python wants some
PATIENCE = 24.0  # times the time a unit may take, after which its lease is not renewed: a machine that lends an hour a day; a guess
# What the sandbox does alike everywhere: the unit's own fault, where several hosts say it. How long it takes depends on the machine, too.
ALIKE = frozenset(("exit", "trap", "stack", "output", "memory"))
BACK = frozenset(("returned", "valid", "invalid", "failed", "unneeded"))
CHECKPOINT_WAIT = 60.0  # s that a unit is kept back for, while the checkpoint of a copy given back is fetched


class Taking:
    """Takes what is brought for leases of one identity. Units are in memory already, where they exist at all."""

    def __init__(self, state: State, files: bool) -> None:
        """`files`: whether outputs and checkpoints that do not fit into a message can be fetched."""
        self._state, self._files = state, files

    def result(self, room: Room, identity: bytes, result: Result, now: float) -> Taken:
        """Take one result; what is new is in `State.changes`."""
        live, copy = self._find(room, identity, result.lease)
        if live is None or copy is None:
            return "unknown"
        side = live.sides.get(copy.id)
        if side is not None and side.back and copy.state in BACK:
            # Sent again, since our word on it got lost: it is taken once, and said to be taken as often as it is asked.
            again = side.outcome == result.outcome and side.digest == result.digest
            return "taken" if again else "unknown"
        word = steps.taken(live.unit, live.copies, copy, identity, now)
        if word != "taken":
            return word
        app = self._state.apps[live.app].manifest
        side = live.side(copy.id)
        side.back, side.seconds = now, result.seconds
        side.outcome, side.digest, side.fraction = result.outcome, result.digest, None
        host = room.host(identity)
        if result.outcome != "done":
            ending = result.outcome if result.outcome in ALIKE else ""
            self._failed(room, live, copy, side, result.words, now, ending)
            return "taken"
        if wrong := self._wrong(app, result):
            side.outcome = "output"
            self._failed(room, live, copy, side, wrong, now)
            return "bad"
        took = now - copy.since
        host.turnaround = tail.mean(host.turnaround, took)
        room.state.turnaround = tail.mean(room.state.turnaround, took)
        room.state.computed += 1
        self._state.changes.host(room.number, identity, host)
        self._state.changes.project(room.number, room.state)
        side.content = result.content
        known = result.digest in live.outputs
        if result.content is None:
            small = len(result.output) <= WITHIN_BYTES
            output = Output(result.output if small else None, None, len(result.output))
            self._state.keep_output(live, result.digest, output, result.output)
        if app.compare == "bits" and (result.content is None or known):
            group: bytes | None = result.digest
        else:
            group = None  # to be fetched, or compared
        self._state.apply(live, steps.returned(live.unit, live.copies, copy, group, now), now)
        if group is None:
            self._state.check[live.unit.id] = live
        return "taken"

    def _wrong(self, app: App, result: Result) -> str:
        """Why a result is not what it says it is, "" where nothing speaks against it."""
        if result.content is None:
            if hashlib.sha256(result.output).digest() != result.digest:
                return "the output is not what its digest says"
            size = len(result.output)
        else:
            if result.output or len(result.digest) != 32:
                return "a result that says two things"
            if not self._files:
                return "outputs of this size are not taken here"
            size = result.content.size
            if size <= INLINE_BYTES // 2:
                return "an output that fits into the message does not come in it"
        return "the output is larger than the app's" if size > app.limits.output_bytes else ""

    def _failed(
        self, room: Room, live: Live, copy: Copy, side: Side, words: str, now: float, ending: str = ""
    ) -> None:
        assert copy.identity is not None and side.outcome is not None
        side.words = plain(words)
        told, trouble = room.trouble(live.app, side.outcome, side.words, copy.identity, now)
        self._state.changes.troubles[room.number, live.app, side.outcome, told] = trouble
        if side.outcome == "lost" and live.unit.state == "open":
            # Not the unit's fault, and nobody is right or wrong: somebody else tries, and this host gets less for today.
            host = room.host(copy.identity)
            host.errors += 1
            room.state.failed += 1
            decision = steps.aborted(live.unit, live.copies, copy, now)
            self._state.apply(live, decision, now)
            standing = room.standing(copy.identity, live.app)
            standing.quota = quota.blamed(standing.quota, now)
            self._state.changes.host(room.number, copy.identity, host)
            return
        if live.unit.state == "open" and copy.lineage:
            # It went on from what others had computed, which may have been made up so that it fails: somebody begins anew, nobody is blamed.
            room.state.failed += 1
            if side.checkpoint is not None:
                self._state.released.append(checkpoint_name(live.unit.id, side.checkpoint.content))
                side.checkpoint = None
            self._state.apply(live, steps.aborted(live.unit, live.copies, copy, now), now)
            self._state.changes.live(live)
            self._state.changes.project(room.number, room.state)
            return
        decision = steps.failed(live.unit, live.copies, copy, now, ending)
        if ending and side.words and decision.final and decision.unit.state == "error":
            # Others ended like it, so what this one says of it will be what the person wants to read.
            unit = replace(decision.unit, why=f"{decision.unit.why}: {side.words}")
            decision = replace(decision, unit=unit)
        self._state.apply(live, decision, now)
        self._state.changes.live(live)

    def renew(
        self, room: Room, identity: bytes, progress: Progress, now: float
    ) -> tuple[float, Checkpoint | None]:
        """Until when the lease holds now, 0 where nobody waits for it; and a checkpoint that is to be fetched."""
        live, copy = self._find(room, identity, progress.lease)
        if live is None or copy is None:
            return 0.0, None
        until = now + live.batch.deadline
        limit = self._state.apps[live.app].manifest.limits.seconds
        longest = min(steps.LONGEST, live.batch.deadline + PATIENCE * limit)
        decision = steps.renewed(live.unit, live.copies, copy, until, now, longest)
        if decision is None:
            return 0.0, None
        self._state.apply(live, decision, now)
        copy = live.copy(progress.lease)
        assert copy is not None
        live.side(copy.id).fraction = progress.fraction
        self._state.changes.live(live)
        return copy.until, self._newer(live, copy, progress.checkpoint)

    def abort(
        self, room: Room, identity: bytes, lease: int, checkpoint: Checkpoint | None, now: float
    ) -> Checkpoint | None:
        """Given back. A checkpoint that is to be fetched, for whoever goes on."""
        live, copy = self._find(room, identity, lease)
        if live is None or copy is None or copy.state != "leased":
            return None
        newer = self._newer(live, copy, checkpoint)
        if newer is not None:
            live.hold = now + CHECKPOINT_WAIT
        self._state.apply(live, steps.aborted(live.unit, live.copies, copy, now), now)
        return newer

    def lost(self, room: Room, identity: bytes, held: Sequence[int], now: float) -> int:
        """Leases of a volunteer that it does not know of go back: our word on them never came. How many there were.

        What is under way is looked through only where there is one: the volunteer pays for it with its allowance.
        """
        known = set(held)
        there = 0
        for lease in known:
            copy = self._find(room, identity, lease)[1]
            there += copy is not None and copy.state == "leased"
        if room.out[identity] <= there:
            return 0
        lost = [
            copy.id
            for live in self._state.live.values()
            if self._state.room(live) is room
            for copy in live.copies
            if copy.identity == identity and copy.state == "leased" and copy.id not in known
        ]
        for lease in lost:
            self.abort(room, identity, lease, None, now)
        return len(lost)

    def saved(self, unit: int, lease: int, checkpoint: Checkpoint) -> Checkpoint | None:
        """A checkpoint is here: it is what the next goes on from. The one that it replaces, or itself where it is of no use."""
        live = self._state.live.get(unit)
        copy = None if live is None else live.copy(lease)
        if live is None or copy is None or copy.identity is None or live.unit.state != "open":
            return checkpoint
        live.hold = 0.0
        if copy.state == "leased":
            side = live.side(lease)
            old, side.checkpoint = side.checkpoint, checkpoint
        elif copy.state in ("aborted", "expired") and (
            live.resume is None or live.resume[0].slices < checkpoint.slices
        ):
            old = None if live.resume is None else live.resume[0]
            live.resume = (checkpoint, (copy.identity, *copy.lineage))
        else:
            return checkpoint
        self._state.changes.live(live)
        return old

    def _newer(self, live: Live, copy: Copy, checkpoint: Checkpoint | None) -> Checkpoint | None:
        """`checkpoint`, where it may be one of this copy and is further than what is here."""
        app = self._state.apps[live.app].manifest
        if checkpoint is None or not self._files or app.abi != "slice":
            return None
        if not 0 < checkpoint.content.size <= app.limits.checkpoint_bytes:
            return None
        side = live.sides.get(copy.id)
        known = None if side is None else side.checkpoint
        return checkpoint if known is None or checkpoint.slices > known.slices else None

    def _find(self, room: Room, identity: bytes, lease: int) -> tuple[Live | None, Copy | None]:
        live = self._state.live.get(unit_of(lease))
        if live is None or self._state.room(live) is not room:
            return None, None
        copy = live.copy(lease)
        return (live, copy) if copy is not None and copy.identity == identity else (None, None)


def plain(words: str) -> str:
    """In one line, without what a terminal would act on."""
    kept = "".join(letter if letter.isprintable() else " " for letter in words[: 4 * WORDS])
    return " ".join(kept.split())[:WORDS]
