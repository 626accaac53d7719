"""What was said in one room, as far as it must be known in memory: who, when, in which order, and what covers what. Pure.

Texts are not held here. A message counts when everybody may have it: it is not hidden by an act, and its text is there or was
taken back with right. Ids of what counts are what members compare (`catchup`). Of two messages with one place in a chain the
first is kept.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec import structs

from servent.talk.records import (
    CLOCK_AHEAD,
    Body,
    Message,
    body_hash,
    digest_of,
    link_of,
    message_id,
    size_of,
)
from servent.talk.state import State

KEPT = 10_000  # messages of one room
KEPT_FOR = 90 * 86_400_000  # ms
PER_MINUTE = 70  # messages of one author with numbers in one minute: one a second and a burst of ten
SHARE = 4  # a quarter of a full log is what one author may fill with what was said long ago
LONG_AGO = 3_600_000  # ms
BUSY = 10  # where half as much again as fits was said, nobody adds to a tenth of a full log within one hour
BEHIND = 2 * CLOCK_AHEAD  # ms that a time may be behind its number: two clocks that differ, either way
CHAINS = 4096  # whose ends are remembered when their messages are pruned
REFUSED = 4096  # ids of what was refused, which is not asked for again
MINUTE, HOUR = 60_000, 3_600_000  # ms
SLOW_SLACK = 1000  # ms that clocks may jump back between two messages in slow mode

Chain = tuple[bytes, bytes]  # author, epoch


class Entry:
    """One message without its text.

    Attributes:
        bare: its text is not here.
        why: it is hidden, and for which reason; "" when it is not.
        removed: it was taken back.
        size: bytes of its text and links.
    """

    __slots__ = (
        "author", "bare", "before", "digest", "epoch", "id", "number", "removed", "seq", "signed", "size", "takes", "time", "why",
    )  # fmt: skip

    def __init__(self, message: Message, digest: bytes) -> None:
        self.id = message_id(message, digest)
        self.author, self.epoch, self.seq = message.author, message.epoch, message.seq
        self.before, self.number, self.time, self.takes = (
            message.before,
            message.number,
            message.time,
            message.takes,
        )
        self.digest = digest
        self.bare = not isinstance(message.body, Body)
        self.size = size_of(message.body) if isinstance(message.body, Body) else 0
        self.signed = any(message.signature)
        self.removed = False
        self.why = ""

    @property
    def counts(self) -> bool:
        return not self.why and (self.removed or not self.bare)


class Verdict(NamedTuple):
    """What became of a message. `why`: "" for taken, "known", or the reason why it was not.

    `message`: as it is to be kept, without a text that was taken back. `gone`: what it takes back.
    """

    why: str
    entry: Entry | None = None
    message: Message | None = None
    gone: tuple[bytes, ...] = ()


class Judged(NamedTuple):
    """What another state of the room changes: texts to be stripped, and entries that were dropped to be fetched again."""

    gone: list[bytes]
    dropped: list[bytes]


class Log:
    """Attributes:
    ids: of what counts, sorted.
    entries: all, by id.
    twins: messages that took a place in a chain that was taken; `refused`: reasons, and how often.
    floor: below this number nothing is kept or asked for.
    highest: number seen.
    """

    def __init__(self, room: bytes, kept: int = KEPT) -> None:
        self.room, self._kept = room, kept
        self.ids: list[bytes] = []
        self.entries: dict[bytes, Entry] = {}
        self.chains: dict[Chain, dict[int, Entry]] = {}
        self.ends: dict[Chain, tuple[int, bytes]] = {}  # seq and link of the last that is known
        self.of_author: Counter[bytes] = Counter()
        self.twins = 0
        self.refused: Counter[str] = Counter()
        self.floor = 0
        self.highest = 0
        self._minutes: Counter[tuple[bytes, int]] = Counter()
        self._hours: Counter[tuple[bytes, int]] = Counter()
        self._takes: dict[bytes, list[Entry]] = {}
        self._unwanted: dict[bytes, None] = {}

    @property
    def full(self) -> bool:
        """Whether no more is taken until the next pruning."""
        return len(self.entries) >= 2 * self._kept

    @property
    def crowded(self) -> bool:
        """Whether pruning should not wait."""
        return 2 * len(self.entries) >= 3 * self._kept

    def link(self, chain: Chain, seq: int) -> bytes | None:
        """What a message with that place must have in `before`, where that is known."""
        entry = self.chains.get(chain, {}).get(seq - 1)
        if entry is not None:
            return link_of(entry.digest)
        end = self.ends.get(chain)
        return end[1] if end is not None and end[0] == seq - 1 else None

    def keep(self, count: int) -> None:
        """How many messages are kept from now on."""
        self._kept = count

    # -- taking in

    def load(self, messages: Iterable[Message], state: State) -> None:
        """What was kept; it was checked when it came."""
        entries = []
        for message in messages:
            entry = Entry(message, digest_of(message))
            if entry.id not in self.entries:
                self._add(entry)
                entries.append(entry)
        for entry in entries:
            self._weigh(entry, state)
        self.ids = sorted(entry.id for entry in entries if entry.counts)

    def take(self, message: Message, digest: bytes, state: State, wall: int) -> Verdict:
        """A message whose signature holds, or that one with a signature covers. `wall`: milliseconds."""
        id = message_id(message, digest)
        known = self.entries.get(id)
        if known is not None:
            return self._again(known, message, state)
        why = self._refusal(message, digest, state, wall)
        if why:
            return self._refuse(why, id)
        entry = Entry(message, digest)
        self._add(entry)
        self._weigh(entry, state)
        if entry.counts:
            insort(self.ids, entry.id)
        kept = message
        if not entry.bare and (entry.removed or entry.why):
            kept, entry.bare = structs.replace(message, body=body_hash(message.body)), True
        return Verdict("", entry, kept, self._taken_by(entry, state))

    def cover(self, message: Message, digest: bytes) -> Verdict:
        """One that is hidden, but whose signature covers others: without its text."""
        entry = Entry(structs.replace(message, body=body_hash(message.body)), digest)
        taken = entry.seq in self.chains.get((entry.author, entry.epoch), ())
        flood = (
            self._minutes[entry.author, entry.number // MINUTE] >= PER_MINUTE
        )  # unseen ones take memory, too
        if entry.id in self.entries or taken or flood or self.full:
            return Verdict("known", self.entries.get(entry.id))
        entry.why = "banned"
        self._add(entry)
        return Verdict("", entry, structs.replace(message, body=body_hash(message.body)))

    def wants(self, id: bytes) -> bool:
        """Whether what has this id should be asked for."""
        number = int.from_bytes(id[:8], "big")
        entry = self.entries.get(id)
        if entry is not None:
            return entry.bare and not entry.why and not entry.removed
        return number >= self.floor and id not in self._unwanted

    def gap(self, message: Message) -> bool:
        """Whether something is missing before it in its chain."""
        end = self.ends.get((message.author, message.epoch))
        return message.seq > (end[0] + 1 if end is not None else 1)

    # -- what follows from another state

    def rejudge(self, state: State, authors: Iterable[bytes] | None) -> Judged:
        """Weigh what these authors said anew; None: all."""
        named = None if authors is None else set(authors)
        gone, dropped = [], []
        self._unwanted.clear()
        for entry in list(self.entries.values()):
            if named is not None and entry.author not in named:
                continue
            counted, bare = entry.counts, entry.bare
            self._weigh(entry, state)
            if bare and not entry.why and not entry.removed:
                self._drop(entry)  # its text is with others, if anybody kept it
                dropped.append(entry.id)
            elif (entry.why or entry.removed) and not bare:
                entry.bare = True
                gone.append(entry.id)
            if entry.id in self.entries and entry.counts != counted:
                (insort(self.ids, entry.id) if entry.counts else self._uncount(entry.id))
            if entry.takes is not None and entry.id in self.entries:
                gone += self._taken_by(entry, state)
        return Judged(gone, dropped)

    def prune(self, wall: int) -> list[bytes]:
        """Forget what is too old or too much; returns its ids."""
        self.floor = max(self.floor, _hour(wall - KEPT_FOR))
        extra = len(self.ids) - self._kept
        if (
            extra > 0
        ):  # and never what is said in this hour, or a flood would silence everybody until the next
            edge = _hour(int.from_bytes(self.ids[extra - 1][:8], "big"))
            self.floor = max(self.floor, min(edge, wall // HOUR * HOUR))
        over = [entry for entry in self.entries.values() if entry.number < self.floor]
        if (many := len(self.entries) - len(over) - 5 * self._kept // 4) > 0:
            hidden = [entry for entry in self.entries.values() if entry.why and entry.number >= self.floor]
            over += sorted(hidden, key=lambda entry: entry.number)[:many]
        for entry in over:
            self._drop(entry)
        if over:
            minute = self.floor // MINUTE
            self._minutes = Counter({key: n for key, n in self._minutes.items() if key[1] >= minute})
            hour = self.floor // HOUR
            self._hours = Counter({key: n for key, n in self._hours.items() if key[1] >= hour})
            del self.ids[: bisect_left(self.ids, self.floor.to_bytes(8, "big"))]
        while len(self.ends) > CHAINS:
            oldest = next((chain for chain in self.ends if chain not in self.chains), None)
            if oldest is None:
                break
            del self.ends[oldest]
        return [entry.id for entry in over]

    def marks(self, author: bytes, most: int) -> list[tuple[bytes, int]]:
        """How far the chains of one author are known here, the newest first."""
        newest = sorted(
            ((max(self.chains[chain].values(), key=lambda one: one.seq).number if chain in self.chains else 0, chain)
             for chain in self.ends if chain[0] == author),
            reverse=True,
        )  # fmt: skip
        return [(chain[1], self.ends[chain][0]) for _, chain in newest[:most]]

    def covered(self, entry: Entry) -> Sequence[Entry]:
        """`entry` and those after it up to the first with a signature; none when no such is known."""
        chain, seq = self.chains[entry.author, entry.epoch], entry.seq
        run = []
        while (one := chain.get(seq)) is not None:
            run.append(one)
            if one.signed:
                return run
            seq += 1
        return ()

    # -- inside

    def _refusal(self, message: Message, digest: bytes, state: State, wall: int) -> str:
        if message.room != self.room:
            return "of another room"
        if max(message.number, message.time) > wall + CLOCK_AHEAD:
            return "ahead of the clock"
        if message.number < max(self.floor, wall - KEPT_FOR):
            return "too old"
        # The time says whether a mute is over, slow mode kept, and what a purge reaches: it is not free to choose.
        if not message.number - BEHIND <= message.time <= message.number + SLOW_SLACK:
            return "a time that does not fit its number"
        chain = self.chains.get((message.author, message.epoch), {})
        if message.seq in chain:
            self.twins += 1
            return "twin"
        before, after = chain.get(message.seq - 1), chain.get(message.seq + 1)
        if before is not None and (
            before.number >= message.number or link_of(before.digest) != message.before
        ):
            return "does not follow"
        if after is not None and (after.number <= message.number or after.before != link_of(digest)):
            return "does not follow"
        if why := state.hidden(message):
            return why
        if self._minutes[message.author, message.number // MINUTE] >= PER_MINUTE:
            return "flood"
        if self.crowded and self._hours[message.author, message.number // HOUR] >= self._kept // BUSY:
            return "flood"
        if self.full or (
            len(self.ids) >= self._kept
            and message.number < wall - LONG_AGO
            and self.of_author[message.author] >= self._kept // SHARE
        ):
            return "flood"
        slow = state.slow(message.number)
        soon = slow and before is not None and message.time < before.time + 1000 * slow - SLOW_SLACK
        return "slow mode" if soon and not state.moderated(message) else ""

    def _refuse(self, why: str, id: bytes) -> Verdict:
        self.refused[why] += 1
        if why != "ahead of the clock":
            while len(self._unwanted) >= REFUSED:
                del self._unwanted[next(iter(self._unwanted))]
            self._unwanted[id] = None
        return Verdict(why)

    def _again(self, entry: Entry, message: Message, state: State) -> Verdict:
        """It is known: perhaps with a signature now, or with its text."""
        if entry.bare and not entry.why and not entry.removed and isinstance(message.body, Body):
            entry.bare, entry.signed = False, entry.signed or any(message.signature)
            insort(self.ids, entry.id)
            return Verdict("", entry, message)
        if not entry.signed and any(message.signature):
            entry.signed = True
            return Verdict("known", entry, message)
        return Verdict("known", entry)

    def _add(self, entry: Entry) -> None:
        self.entries[entry.id] = entry
        chain = entry.author, entry.epoch
        self.chains.setdefault(chain, {})[entry.seq] = entry
        end = self.ends.get(chain)
        if end is None or end[0] < entry.seq:
            self.ends.pop(chain, None)  # to the end: the order is that of their last messages
            self.ends[chain] = (entry.seq, link_of(entry.digest))
        self.of_author[entry.author] += 1
        self._minutes[entry.author, entry.number // MINUTE] += 1
        self._hours[entry.author, entry.number // HOUR] += 1
        self.highest = max(self.highest, entry.number)
        if entry.takes is not None:
            self._takes.setdefault(entry.takes, []).append(entry)

    def _drop(self, entry: Entry) -> None:
        del self.entries[entry.id]
        chain = entry.author, entry.epoch
        del self.chains[chain][entry.seq]
        if not self.chains[chain]:
            del self.chains[chain]
        self.of_author[entry.author] -= 1
        if not self.of_author[entry.author]:
            del self.of_author[entry.author]
        if entry.takes is not None:
            left = [one for one in self._takes[entry.takes] if one is not entry]
            if left:
                self._takes[entry.takes] = left
            else:
                del self._takes[entry.takes]
        self._uncount(entry.id)

    def _uncount(self, id: bytes) -> None:
        at = bisect_left(self.ids, id)
        if at < len(self.ids) and self.ids[at] == id:
            del self.ids[at]

    def _weigh(self, entry: Entry, state: State) -> None:
        said = self._as_said(entry)
        entry.why = state.hidden(said)
        entry.removed = state.purged(said) or any(
            self._may_take(one, entry, state) for one in self._takes.get(entry.id, ())
        )

    def _taken_by(self, entry: Entry, state: State) -> tuple[bytes, ...]:
        """What `entry` takes back that is here with its text."""
        if entry.takes is None:
            return ()
        target = self.entries.get(entry.takes)
        if target is None or target.removed or not self._may_take(entry, target, state):
            return ()
        counted, bare = target.counts, target.bare
        target.removed, target.bare = True, True
        if target.counts and not counted:
            insort(self.ids, target.id)
        return () if bare else (target.id,)

    def _may_take(self, entry: Entry, target: Entry, state: State) -> bool:
        if entry.why or entry.number <= target.number:
            return False
        return entry.author == target.author or state.moderated(self._as_said(entry))

    def _as_said(self, entry: Entry) -> Message:
        """Enough of the message for `State`."""
        return Message(
            self.room,
            entry.author,
            entry.epoch,
            entry.seq,
            entry.before,
            entry.number,
            entry.time,
            b"",
            entry.takes,
        )


def _hour(number: int) -> int:
    """The next full hour, so that members who prune at different times have the same floor."""
    return -(-number // HOUR) * HOUR
