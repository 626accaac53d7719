"""Which source is asked for which piece, and when. A core: no I/O, no clock.

Rarest first: among the pieces a source can give, those that the fewest others have, a random one of them,
and from there as many neighbours as fit in one request, since small files are a piece each. A source is asked
again when its bytes arrive, never on a timer; how much it may owe at once follows from its measured
bandwidth and delay. At the end idle sources repeat what slow ones still owe, and the loser is cancelled.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Sequence
from itertools import accumulate
from math import inf
from typing import TYPE_CHECKING

from servent.blobs.asks import Ask, Ban, Cancel, Complete, Effect, SwarmView, Wake
from servent.blobs.endgame import NUDGE, EndGame
from servent.blobs.front import Front, bits_of, lowest, run_around
from servent.blobs.pieces import Bits, runs_of
from servent.blobs.rarity import Rarity
from servent.blobs.source import Source
from servent.blobs.window import START_WINDOW, Window

if TYPE_CHECKING:
    from random import Random

MiB = 1024 * 1024
LARGEST_ASK = 4 * MiB  # bytes of one request
PATIENCE = 20.0  # s without a byte before what a source owes is asked of others
HOPE = 4.0  # times longer than expected before the same


class Swarm:
    """Fetches `pieces` pieces from sources that come and go.

    Per piece: wanted, asked (owed by one source, or two at the end), received, verified. Sources are named
    by anything hashable.

    Args:
        sizes: bytes of each piece.
        done: pieces that are verified already.
        chosen: pieces that are to be fetched at all; None: all.
        in_order: from the first piece on instead of the rarest first; may be changed.
        memory_bytes: most that may be owed and unverified together, as long as every source can owe 2 pieces.
    """

    def __init__(
        self,
        pieces: int,
        sizes: Sequence[int],
        dice: Random,
        *,
        done: Bits | None = None,
        chosen: Bits | None = None,
        in_order: bool = False,
        memory_bytes: int = 64 * MiB,
        largest_ask: int = LARGEST_ASK,
        start_window: int = START_WINDOW,
    ) -> None:
        if len(sizes) != pieces:
            raise ValueError(f"{len(sizes)} sizes for {pieces} pieces")
        self.pieces = pieces
        self._dice = dice
        self._memory = memory_bytes
        self._largest_ask = largest_ask
        self._start_window = start_window
        self.begins = array("Q", accumulate(sizes, initial=0))  # where each piece begins
        self._largest = max(sizes, default=0)
        self._some, self._chosen = chosen is not None, (1 << pieces) - 1 if chosen is None else chosen.value
        self._wanted = self._chosen & ~(done.value if done is not None else 0)
        self._done = bytearray(pieces)  # 1 for each verified piece
        for first, count in done.runs() if done is not None else ():
            self._done[first : first + count] = b"\1" * count
        self._missing = self._wanted.bit_count()
        self._rarity = Rarity()
        self._sources: dict[Hashable, Source] = {}
        self._owing: dict[int, list[Source]] = {}  # piece -> who owes it
        self._received: dict[int, list[Hashable]] = {}  # piece -> who sent it, not verified yet
        self._banned: set[Hashable] = set()
        self._front = Front(self.begins)
        self.in_order = in_order
        self.only_front = False  # nothing but what is waited for: a preview
        self._end = EndGame(self._sources, self._owing, self._received, self.begins)
        self._lent = 0  # brought by another network, see `lend`
        self._owed_bytes = self._held_bytes = 0  # held: received, not verified yet
        self._repeated = 0

    # -- sources

    def add_source(self, name: Hashable, have: bytes | Bits | None, now: float) -> bool:
        """A source with these pieces (None: all). False when it was banned; a known one is replaced.

        Raises:
            BadMessage: `have` is no bit field for this many pieces.
        """
        bits = Bits.parse(have, self.pieces) if isinstance(have, bytes) else have
        if name in self._banned:
            return False
        if name in self._sources:
            self.remove_source(name, now)
        value = (1 << self.pieces) - 1 if bits is None else bits.value
        source = Source(name, value, value.bit_count() == self.pieces, Window(self._start_window))
        if not source.full:
            self._rarity.add(value)
        self._sources[name] = source
        return True

    def remove_source(self, name: Hashable, now: float) -> list[Effect]:
        """It is gone; what it owes is wanted again. Unknown names are ignored."""
        source = self._sources.pop(name, None)
        if source is None:
            return []
        if not source.full:
            self._rarity.remove(source.have)
        return self._release(source)

    def have(self, name: Hashable, first: int, now: float, count: int = 1) -> list[Effect]:
        """The source has these pieces now, too. Out of range is the caller's BadMessage: ValueError."""
        if first < 0 or count < 1 or first + count > self.pieces:
            raise ValueError(f"pieces {first} to {first + count} of {self.pieces}")
        if (source := self._sources.get(name)) is None or source.full:
            return []
        new = (((1 << count) - 1) << first) & ~source.have
        source.have |= new
        self._rarity.add(new)
        if source.idle and (new & self._wanted or not self._wanted):
            source.idle = False
            return [Wake(name)]
        return []

    # -- asking

    def next(self, name: Hashable, now: float) -> list[Ask]:
        """What to ask of this source now: perhaps nothing. Call it when the source is new, after
        `received`, and on Wake.
        """
        source = self._sources.get(name)
        asks: list[Ask] = []
        if source is None:
            return asks
        while True:
            room = self._room(source)
            if room <= 0:
                return asks
            ask = self._urgent(source, room, now) if self._front else None
            if ask is None:
                ask = self._pick(source, room)
            if ask is None and not self._wanted and not source.slow:
                ask = self._end.repeat(source, room, self._largest_ask, now)
                self._repeated += ask.count if ask is not None else 0
            if ask is None:
                source.idle = True
                source.window.limited()
                return asks
            self._owe(source, ask, now)
            asks.append(ask)

    def _most(self, source: Source) -> int:
        """Bytes of one request: a quarter of a second, so that what a slow source sends comes in a steady flow."""
        window = source.window
        return min(self._largest_ask, max(self._largest, int(0.25 * window.rate or window.size / 8)))

    def _room(self, source: Source) -> int:
        """Bytes it may be asked for now. A quarter of the window is waited for, so that requests stay big."""
        window = max(int(source.window.size), 2 * self._largest)
        enough = min(window // 4, self._most(source))
        most = max(self._memory, 2 * self._largest * len(self._sources))  # else big pieces starve some
        memory = most - self._owed_bytes - self._held_bytes
        if not source.owed:
            enough = 1  # something is better than nothing, however big a piece is
        elif source.slow:
            return 0
        if memory < enough:
            source.starved = True
            return 0
        room = min(window - source.owed_bytes, memory)
        return room if room >= enough else 0

    def _pick(self, source: Source, room: int) -> Ask | None:
        able = self._wanted & source.have if not source.full else self._wanted
        if not able or self.only_front:
            return None
        if self.in_order:
            return run_around(self.begins, able, 0, lowest(able), min(room, self._most(source)))
        rarest = self._rarity.rarest(able)
        at = source.next_piece
        if at < 0 or at >= self.pieces or not rarest >> at & 1:
            start = rarest >> (skip := self._dice.randrange(self.pieces))
            if not start:
                start, skip = rarest, 0
            at = skip + (start & -start).bit_length() - 1
        return run_around(self.begins, able, rarest, at, min(room, self._most(source)))

    def _urgent(self, source: Source, room: int, now: float) -> Ask | None:
        """Something a reader waits for: what nobody owes yet, or what another will need longer for."""
        able = self._wanted & source.have if not source.full else self._wanted
        skip = int(self._end.ahead_of(source) if len(self._sources) > 1 else 0)
        first = self._front.first(able, skip)
        if first is not None:
            able &= (1 << first.stop) - 1
            return run_around(self.begins, able, 0, first.start, min(room, self._most(source)))
        if source.slow or len(self._sources) < 2:
            return None
        ask = self._end.rescue(source, self._front.soonest(), now)
        self._repeated += ask.count if ask is not None else 0
        return ask

    def _owe(self, source: Source, ask: Ask, now: float) -> None:
        first, count = ask.first, ask.count
        self._wanted &= ~(((1 << count) - 1) << first)
        if not source.owed:
            source.heard = now
            source.window.began(now)
        for piece in range(first, first + count):
            source.late.discard(piece)
            source.owed[piece] = now
            self._owing.setdefault(piece, []).append(source)
        size = self._size(first, count)
        source.owed_bytes += size
        self._owed_bytes += size
        source.next_piece = first + count
        source.idle = False

    def _size(self, first: int, count: int) -> int:
        return self.begins[first + count] - self.begins[first]

    # -- what comes

    def received(self, name: Hashable, piece: int, size: int, now: float) -> list[Effect]:
        """A whole piece arrived, not verified yet. Call `next` afterwards.

        A piece that nobody asked this source for is ignored: drop its bytes (see `expects`).
        """
        if (source := self._sources.get(name)) is None:
            return []
        if piece in source.owed:
            asked = source.owed[piece]
            self._settle(source, piece)
            source.window.arrived(size, now - asked, bool(source.owed), now)
            source.heard, source.slow = now, False
            source.done_bytes += size
        elif piece in source.late:
            source.late.remove(piece)
            source.heard, source.slow = now, False
            source.done_bytes += size
        else:
            return []
        if self._done[piece]:
            return []
        if piece not in self._received:
            self._received[piece] = []
            self._held_bytes += self._size(piece, 1)
            if self._wanted >> piece & 1:
                self._wanted &= ~(1 << piece)
        self._received[piece].append(name)
        return []

    def expects(self, name: Hashable, piece: int) -> bool:
        """Whether this source owes us this piece, or was asked for it once and it is still of use."""
        source = self._sources.get(name)
        return source is not None and (
            piece in source.owed or (piece in source.late and not self._done[piece])
        )

    def progressed(self, name: Hashable, now: float) -> None:
        """Bytes of an unfinished piece came: it is slow perhaps, but alive."""
        if (source := self._sources.get(name)) is not None:
            source.heard = now

    def verified(self, piece: int) -> list[Effect]:
        """The piece is right and written: nobody else need send it."""
        if self._received.pop(piece, None) is not None:
            self._held_bytes -= self._size(piece, 1)
        if self._wanted >> piece & 1:
            self._wanted &= ~(1 << piece)
        effects: list[Effect] = []
        for other in self._owing.get(piece, [])[:]:
            self._settle(other, piece)
            effects.append(Cancel(other.name, piece, 1))
            effects.append(Wake(other.name))
        for source in self._sources.values():
            if source.starved:
                source.starved = False
                effects.append(Wake(source.name))
        if not self._done[piece]:
            self._done[piece] = 1
            if not self._some or self._chosen >> piece & 1:
                self._missing -= 1
                if not self._missing:
                    effects.append(Complete())
        return effects

    def rejected(self, name: Hashable, piece: int, now: float) -> list[Effect]:
        """The piece from this source was wrong: the source is banned, the piece is fetched elsewhere."""
        self._banned.add(name)
        effects: list[Effect] = [Ban(name, f"piece {piece} did not match its hash")]
        self._forget(name, piece)
        effects += self.remove_source(name, now)
        return effects

    def failed(self, name: Hashable, piece: int) -> list[Effect]:
        """The piece came but could not be kept (disk full): wanted again, nobody's fault."""
        self._forget(name, piece)
        return self._wake()

    def unable(self, name: Hashable, first: int, count: int = 1) -> list[Effect]:
        """The source will not send these pieces after all: it does not have them (any more)."""
        if (source := self._sources.get(name)) is None:
            return []
        first, last = max(first, 0), min(first + count, self.pieces)
        if last <= first:
            return []
        gone = ((1 << last - first) - 1) << first & source.have
        if source.full:
            source.full = False
            self._rarity.add(source.have)
        source.have &= ~gone
        self._rarity.remove(gone)
        for piece in range(first, last):
            if piece in source.owed:
                self._settle(source, piece)
                self._want(piece)
        return self._wake()

    # -- lent: pieces that come from elsewhere, into the very files, and are asked of no source meanwhile

    @property
    def wanted(self) -> Bits:
        """Pieces that nobody brings yet."""
        return Bits(self.pieces, self._wanted)

    @property
    def rivals(self) -> int:
        """How many sources could bring something."""
        return sum(not source.slow for source in self._sources.values())

    @property
    def chosen(self) -> Bits:
        return Bits(self.pieces, self._chosen)

    def lend(self, pieces: Bits) -> None:
        """These are brought from elsewhere, as far as they are wanted: see `wanted`."""
        self._lent |= pieces.value & self._wanted
        self._wanted &= ~pieces.value

    def take_back(self, pieces: Bits) -> list[Effect]:
        """These will not be brought after all."""
        back, self._lent = self._lent & pieces.value, self._lent & ~pieces.value
        for piece in Bits(self.pieces, back):
            self._want(piece)
        return self._wake() if back else []

    # -- what is wanted

    def choose(self, chosen: Bits) -> list[Effect]:
        """From now on only these are to be fetched. Complete when they are all there already."""
        self._some, self._chosen = True, chosen.value
        effects: list[Effect] = []
        for source in self._sources.values():
            gone = [piece for piece in source.owed if not chosen.value >> piece & 1]
            effects += self._call_off(source, gone)
        busy = Bits(self.pieces)
        for first, count in runs_of(self._owing.keys() | self._received.keys()):
            busy.set_run(first, count)
        missing = self._chosen & ~bits_of(self._done)
        self._wanted = missing & ~busy.value & ~self._lent
        self._missing = missing.bit_count()
        if not self._missing:
            return [*effects, Complete()]
        return effects + self._wake()

    def urge(self, readers: Sequence[range]) -> list[Effect]:
        """These are waited for, each range from its first piece on; they come before anything else.

        Where somebody jumped to what nobody was asked for yet, what is owed and less urgent is called off.
        """
        self._front.set(readers)
        effects: list[Effect] = []
        if any(self._wanted >> piece & 1 for piece in self._front.heads()):
            for source in self._sources.values():
                if source.owed_bytes > self._largest:
                    effects += self._call_off(source, [p for p in source.owed if p not in self._front])
        for source in self._sources.values():
            source.idle = False
        return effects + [Wake(name) for name in self._sources]

    def _call_off(self, source: Source, pieces: list[int]) -> list[Effect]:
        """It need not send these; if it does all the same, they are welcome."""
        for piece in pieces:
            self._settle(source, piece)
            self._want(piece)
        source.late.update(pieces)
        return [Cancel(source.name, first, count) for first, count in runs_of(pieces)]

    def _forget(self, name: Hashable, piece: int) -> None:
        senders = self._received.get(piece, [])
        if name in senders:
            senders.remove(name)
            if not senders:
                del self._received[piece]
                self._held_bytes -= self._size(piece, 1)
        self._want(piece)

    def _want(self, piece: int) -> None:
        """Wanted again, unless it is done, owed, being verified, or not chosen."""
        busy = self._done[piece] or piece in self._owing or piece in self._received or self._lent >> piece & 1
        if not busy and (not self._some or self._chosen >> piece & 1):
            self._wanted |= 1 << piece

    def _settle(self, source: Source, piece: int) -> None:
        """It no longer owes this piece."""
        del source.owed[piece]
        size = self._size(piece, 1)
        source.owed_bytes -= size
        self._owed_bytes -= size
        owing = self._owing[piece]
        owing.remove(source)
        if not owing:
            del self._owing[piece]

    def _release(self, source: Source) -> list[Effect]:
        for piece in list(source.owed):
            self._settle(source, piece)
            self._want(piece)
        return self._wake()

    def _wake(self) -> list[Effect]:
        effects: list[Effect] = []
        for source in self._sources.values():
            if source.idle or source.starved:
                source.idle = source.starved = False
                effects.append(Wake(source.name))
        return effects

    # -- time

    def _deadline(self, source: Source) -> float:
        """When we stop waiting for what it owes."""
        if not source.owed:
            return inf
        return source.heard + max(PATIENCE, HOPE * self._end.expected(source))

    def _nudge_at(self, source: Source) -> float:
        """At the end, when idle sources may help this one."""
        if self._wanted or not source.owed:
            return inf
        if not any(other.idle for other in self._sources.values() if other is not source):
            return inf
        return max(source.nudge, self._end.overdue_at(source))

    def tick(self, now: float) -> list[Effect]:
        """What a silent source owes is wanted again; it keeps its place and is asked little until it
        delivers. Close to the end, others are woken to repeat what it owes much earlier.
        """
        effects: list[Effect] = []
        slow: list[Effect] = []
        for source in self._sources.values():
            if self._deadline(source) <= now:
                effects += self._call_off(source, list(source.owed))
                source.slow = True
                source.window.stalled()
                source.idle = False
                slow.append(Wake(source.name))
        helped = False
        for source in self._sources.values():
            if self._nudge_at(source) <= now:
                source.nudge = now + 2 * NUDGE
                helped = True
        if slow or helped:
            effects += self._wake()
        return effects + slow

    def next_tick(self) -> float | None:
        """When to call `tick`, None for never as things are."""
        sources = self._sources.values()
        due = min((min(self._deadline(source), self._nudge_at(source)) for source in sources), default=inf)
        return due if due < inf else None

    # -- what is going on

    @property
    def complete(self) -> bool:
        return not self._missing

    def available(self) -> bool:
        """Whether the present sources together have all that is missing."""
        missing = self._wanted  # what is lent is on its way
        for piece in self._owing.keys() | self._received.keys():
            missing |= 1 << piece
        for source in self._sources.values():
            missing &= ~source.have
        return not missing

    def view(self) -> SwarmView:
        """A picture of now."""
        sources = tuple(source.view() for source in self._sources.values())
        done, end = self.pieces - self._missing, not self._wanted
        return SwarmView(self.pieces, done, len(self._owing), sources, end, self._repeated)
