"""What one member has missed, and another has: questions and answers between two of them. Pure.

Whoever asks says up to which number it may be complete (`after`) and what it has up to there, as digests of ranges of ids
(`overlay.reconcile`): nearly all in one, the newest in small ones. So a shared past costs one digest, what came while it was
away is sent at once, and what was lost on the way is found with few ids. The answering side remembers nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta, Struct

from servent.codec import Decoder
from servent.overlay.reconcile import LAST, compare, digest, wanting
from servent.overlay.reconcile import MOST_MESSAGES as MOST_ANSWERS
from servent.overlay.records import Short
from servent.overlay.wire import Ranges
from servent.talk.acts import Acts
from servent.talk.log import Chain, Entry, Log
from servent.talk.records import NONE, Act, Digest, Message, RoomId
from servent.talk.runs import MOST_MESSAGES, TEXTS_BYTES, Page, Tag, pack, tag_of

FRAME_BYTES = 320 * 1024  # the longest question or answer
RECENT = (16,)  # of the newest messages: those that are compared apart from the rest
MOST_GIVEN = 16  # acts in one message
MOST_HAD = 128  # messages that came as news before the absence was caught up with
SPELLED = 64  # chains that are spelled out on demand
BOUNDARY = 64  # of so many messages of a chain at least one has its signature for good
ROUNDS = 64  # questions in one go; a room of 10,000 messages takes 12

Digests = Annotated[
    list[tuple[Short, Short, Annotated[int, Meta(ge=0, le=1 << 32)], Short]], Meta(max_length=64)
]
Named = Annotated[
    list[tuple[Short, Short, Annotated[list[Short], Meta(max_length=512)]]], Meta(max_length=64)
]


class Compare(Struct, frozen=True, array_like=True):
    """As `overlay.wire.Ranges`: (first, last, count, digest) of ranges; all ids of small ones; ids that are asked for."""

    ranges: Digests = []
    ids: Named = []
    want: Annotated[list[Short], Meta(max_length=512)] = []


Compares = Annotated[list[Compare], Meta(max_length=MOST_ANSWERS * 2)]
Given = Annotated[list[Act], Meta(max_length=MOST_GIVEN)]
Half = Annotated[bytes, Meta(min_length=8, max_length=8)]
Bound = Annotated[int, Meta(ge=0, le=1 << 48)]


class Ask(Struct, frozen=True, tag="talk-ask", array_like=True):
    """One member to another, about a room both are in. Answered by `Reply`, or the stream is reset.

    Attributes:
        floor: nothing below this number is compared.
        after: everything above this number is asked for; None: nothing.
        messages, acts: what is compared, or asked for by id.
        page, given: messages and acts that the other side asked for, or lacks.
        spell: chains that were not known, to be spelled out.
        have: the second halves of ids above `after` that are here already: they came as news meanwhile.
        decided: digest of the ids of all acts; zeros where acts are compared in this question.
    """

    room: RoomId
    floor: Bound
    after: Bound | None = None
    messages: Compares = []
    acts: Compares = []
    page: Page | None = None
    given: Given = []
    spell: Annotated[list[Tag], Meta(max_length=SPELLED)] = []
    have: Annotated[list[Half], Meta(max_length=MOST_HAD)] = []
    decided: Digest = NONE


class Reply(Struct, frozen=True, tag="talk-reply", array_like=True):
    """The answer. `upto`: the page holds everything asked for up to this number, and there is more. `here`: members present."""

    floor: Bound
    messages: Compares = []
    acts: Compares = []
    page: Page | None = None
    given: Given = []
    upto: Bound | None = None
    here: Annotated[int, Meta(ge=0, le=1 << 24)] = 0


asks: Decoder[Ask] = Decoder(Ask, FRAME_BYTES)
replies: Decoder[Reply] = Decoder(Reply, FRAME_BYTES)


@dataclass(slots=True)
class Load:
    """Messages to be read from the shelf and packed. `upto`: as in `Reply`."""

    runs: list[list[Entry]] = field(default_factory=list)
    unknown: frozenset[bytes] = frozenset()  # ids that the other side is about to get, or may lack
    spell: frozenset[bytes] = frozenset()
    upto: int | None = None

    @property
    def ids(self) -> list[bytes]:
        return [entry.id for run in self.runs for entry in run]


@dataclass(slots=True)
class Said:
    """What is to be said in turn, before messages are loaded."""

    load: Load
    messages: list[Compare] = field(default_factory=list)
    acts: list[Compare] = field(default_factory=list)
    given: list[Act] = field(default_factory=list)

    @property
    def anything(self) -> bool:
        return bool(self.load.runs or self.messages or self.acts or self.given)


def opening(log: Log, acts: Acts, floor: int, spell: Sequence[bytes] = (), after: int | None = None) -> Ask:
    """The first question. `after`: up to which number we are complete, where we know; else up to the newest we have."""
    ids = log.ids[bisect_left(log.ids, floor.to_bytes(8, "big")) :]
    if after is not None:
        ids = ids[: bisect_right(ids, after.to_bytes(8, "big") + LAST[:8])]
    newest = int.from_bytes(ids[-1][:8], "big") if ids else floor
    upto = max(newest, after or 0)
    edges = sorted({max(0, len(ids) - recent) for recent in RECENT} | {0})
    ranges = []
    for at, edge in enumerate(edges):
        first = floor.to_bytes(8, "big") + bytes(8) if at == 0 else ids[edge]
        end = edges[at + 1] if at + 1 < len(edges) else len(ids)
        last = _before(ids[end]) if end < len(ids) else upto.to_bytes(8, "big") + LAST[:8]
        ranges.append((first, last, end - edge, digest(ids[edge:end])))
    about = [Compare(ranges)] if ids or floor < upto else []
    return Ask(
        log.room,
        floor,
        upto,
        about,
        spell=list(spell)[:SPELLED],
        have=_had(log, upto),
        decided=digest(acts.ids),
    )


def answer(ask: Ask, log: Log, acts: Acts, behind: bool = False) -> Said:
    """What to say to a question. Whatever came with it was taken in before. `behind`: we are being told by somebody else what
    we missed, and need not hear it twice."""
    floor = ask.floor.to_bytes(8, "big")
    found, theirs, ours = _compared(log.ids, ask.messages) if log.floor <= ask.floor else ([], [], set())
    ours = {id for id in ours if id >= floor}
    if ask.after is not None:
        had = set(ask.have)
        ours.update(id for id in _above(log, ask.after) if id[8:] not in had)
    wanted = [id for id in theirs if log.wants(id)]
    about = [] if behind else [*found, *_of(wanting(wanted))]
    deeds, given = compare_acts(ask.acts, acts)
    if not ask.acts and ask.decided not in (NONE, digest(acts.ids)):
        deeds = [_all(acts.ids)]
    if deeds or given:  # who is let in, and who is banned, comes first; then it asks again
        return Said(Load(upto=ask.after), about, deeds, given)
    return Said(choose(log, ours, frozenset(ask.spell)), about)


def reply(said: Said, page: Page | None, log: Log, here: int) -> Reply:
    return Reply(log.floor, said.messages, said.acts, page, said.given, said.load.upto, min(here, 1 << 24))


def next_ask(
    reply: Reply, ask: Ask, log: Log, acts: Acts, strange: Sequence[bytes]
) -> tuple[Ask, Said] | None:
    """What to ask next, its page still to be loaded; None when both have the same. What came was taken in before."""
    if reply.floor > ask.floor:
        return opening(log, acts, reply.floor, strange), Said(Load())
    found, theirs, ours = _compared(log.ids, reply.messages)
    load = choose(log, ours, frozenset())
    wanted = [id for id in theirs if log.wants(id)]
    deeds, given = compare_acts(reply.acts, acts)
    said = Said(load, [*found, *_of(wanting(wanted))], deeds, given)
    if not said.anything and reply.upto is None and not strange:
        return None
    again = ask.after if strange else reply.upto
    had = _had(log, again) if again is not None else []
    return Ask(
        log.room, ask.floor, again, said.messages, deeds, None, given, list(strange)[:SPELLED], had
    ), said


def compare_acts(asked: Sequence[Compare], acts: Acts) -> tuple[list[Compare], list[Act]]:
    """What to say of acts, and those to be given, the oldest first."""
    found, theirs, ours = _compared(acts.ids, asked)
    about = [*found, *_of(wanting([id for id in theirs if acts.wants(id)]))]
    return about, [acts.by_id[id] for id in sorted(ours)][:MOST_GIVEN]


def choose(log: Log, ids: Iterable[bytes], spell: frozenset[bytes]) -> Load:
    """As much of these as a page takes, the oldest first, in runs that end with a signature."""
    wanted = sorted(ids)
    picked: dict[Chain, dict[int, Entry]] = {}
    count = size = 0
    upto = None
    for id in wanted:
        entry = log.entries.get(id)
        if entry is None or entry.seq in picked.get((entry.author, entry.epoch), ()):
            continue
        if count >= MOST_MESSAGES - BOUNDARY or size >= TEXTS_BYTES:
            upto = entry.number - 1
            break
        for one in log.covered(entry):
            part = picked.setdefault((entry.author, entry.epoch), {})
            if one.seq not in part:
                part[one.seq] = one
                count, size = count + 1, size + one.size
    runs = [run for part in picked.values() for run in _stretches(part)]
    runs.sort(key=lambda run: run[0].number)
    return Load(runs, frozenset(wanted), spell, upto)


def packed(load: Load, messages: Mapping[bytes, Message], log: Log) -> Page | None:
    """The page of what was loaded; a run of which something is not there is left out."""
    runs = [
        [messages[entry.id] for entry in run] for run in load.runs if all(one.id in messages for one in run)
    ]
    runs = [run for run in runs if any(run[-1].signature)]
    if not runs:
        return None
    ends = {(run[-1].author, run[-1].epoch, run[-1].seq) for run in runs}
    begun: set[Chain] = set()

    def known(chain: Chain, seq: int) -> bool:
        """Spelled out once in a page; then, or where the other side has what comes before it, never again."""
        first = chain not in begun
        begun.add(chain)
        if (*chain, seq - 1) in ends:
            return True
        before = log.chains.get(chain, {}).get(seq - 1)
        if not first and before is None:
            return False
        return (
            before is not None
            and before.counts
            and before.id not in load.unknown
            and tag_of(chain) not in load.spell
        )

    return pack(runs, known)


def _stretches(part: Mapping[int, Entry]) -> list[list[Entry]]:
    """Without gaps, cut where a signature is to stay for good."""
    stretches: list[list[Entry]] = []
    for seq in sorted(part):
        entry, last = part[seq], stretches[-1][-1] if stretches else None
        if last is None or last.seq != seq - 1 or (last.signed and last.seq % BOUNDARY == 0):
            stretches.append([])
        stretches[-1].append(entry)
    return stretches


def _compared(
    ids: Sequence[bytes], asked: Sequence[Compare]
) -> tuple[list[Compare], list[bytes], set[bytes]]:
    about: list[Compare] = []
    theirs: list[bytes] = []
    ours: set[bytes] = set()
    for one in asked:
        found = compare(ids, Ranges(one.ranges, one.ids, one.want))
        about += _of(found.answers)
        theirs += found.theirs
        ours.update(found.ours)
    return about[:MOST_ANSWERS], theirs, ours


def _of(messages: Iterable[Ranges]) -> list[Compare]:
    return [Compare(one.ranges, one.ids, one.want) for one in messages][:MOST_ANSWERS]


def _above(log: Log, after: int) -> Sequence[bytes]:
    return log.ids[bisect_right(log.ids, after.to_bytes(8, "big") + LAST[:8]) :]


def _had(log: Log, after: int) -> list[bytes]:
    return [id[8:] for id in _above(log, after)[:MOST_HAD]]


def _all(ids: Sequence[bytes]) -> Compare:
    return Compare([(bytes(16), LAST, len(ids), digest(ids))])


def _before(id: bytes) -> bytes:
    return (int.from_bytes(id, "big") - 1).to_bytes(16, "big")
