"""The wish list: which finds are new, and which of them may be fetched without asking. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Struct

from servent.errors import UsageError
from servent.identity import PeerId
from servent.query import language
from servent.query.kinds import KINDS, by_name
from servent.query.language import Query
from servent.share.folding import Hit

MOST_WISHES = 50  # as many as a peer keeps for us
MOST_MATCHES = 1000  # remembered for each wish; the oldest go first
MOST_SOURCES = 10  # remembered for each match
AUTO_BYTES = 4 * 1024**3  # the largest file fetched unasked when a wish names no limit of its own
PROGRAM = KINDS.index("program")

ROOM = "share.wishes"
STEPS = (
    """
    CREATE TABLE wishes (id TEXT PRIMARY KEY, body BLOB NOT NULL);
    CREATE TABLE wish_matches (
        wish TEXT NOT NULL, content BLOB NOT NULL, found REAL NOT NULL, body BLOB NOT NULL, PRIMARY KEY (wish, content)
    ) WITHOUT ROWID;
    """,
)


class Settings(Struct, frozen=True):
    """What a wish is. `peers`: fetch from these alone; empty: from anybody. `fetched`: how many were begun."""

    q: str
    auto: bool = False
    max_bytes: int | None = None
    most: int = 10
    peers: tuple[bytes, ...] = ()
    to: str | None = None
    paused: bool = False
    created: float = 0.0
    fetched: int = 0


class MatchSource(Struct, frozen=True, array_like=True):
    """Where a match is: whose, and their path to it."""

    peer: bytes
    path: str
    modified: float = 0.0


class Match(Struct, frozen=True):
    """A find of a wish, as it is remembered."""

    content: bytes
    name: str
    kind: str
    size: int
    found: float
    sources: tuple[MatchSource, ...] = ()
    tags: dict[str, str | int | float] = {}
    seen: bool = False
    transfer: str = ""
    here: bool = False


@dataclass(slots=True)
class Wish:
    """A wish and what it found. `asked`: wall clock, when anybody was asked last."""

    id: str
    settings: Settings
    wanted: Query
    matches: dict[bytes, Match] = field(default_factory=dict)
    last_match: float | None = None
    asked: float | None = None
    trouble: str = ""  # what went wrong last

    @property
    def new(self) -> int:
        return sum(not match.seen for match in self.matches.values())


def make(id: str, settings: Settings) -> Wish:
    """Raises QueryError (UsageError): no query."""
    return Wish(id, settings, language.parse(settings.q))


def match_of(hit: Hit, now: float) -> Match:
    """A hit as it is remembered."""
    sources = tuple(
        MatchSource(bytes(one.at.peer), one.path, one.modified) for one in hit.sources[:MOST_SOURCES]
    )
    return Match(hit.content, hit.name, hit.kind, hit.size, now, sources, dict(hit.tags), here=hit.here)


def note(wish: Wish, hit: Hit, now: float) -> Match | None:
    """Take in a find. The match when it is a new one; None when it is known, or was there all the time."""
    if wish.settings.paused:
        return None
    known = wish.matches.get(hit.content)
    if known is not None:
        sources = {(one.peer, one.path): one for one in (*match_of(hit, now).sources, *known.sources)}
        kept = tuple(list(sources.values())[:MOST_SOURCES])
        wish.matches[hit.content] = msgspec.structs.replace(known, sources=kept, here=known.here or hit.here)
        return None
    if len(wish.matches) >= MOST_MATCHES:
        oldest = min(wish.matches.values(), key=lambda one: (not one.seen, one.found))
        del wish.matches[oldest.content]
    made = wish.matches[hit.content] = match_of(hit, now)
    wish.last_match = now
    return made


def why_not(wish: Wish, match: Match) -> str:
    """Why a match is not fetched by itself, as a sentence; "" when it is."""
    settings = wish.settings
    if not settings.auto or settings.paused:
        return "it only tells"
    if match.here:
        return "it is in your library already"
    if match.transfer:
        return "it was fetched already"
    if settings.fetched >= settings.most:
        return f"{settings.most} were fetched, which is the most for this wish"
    most = AUTO_BYTES if settings.max_bytes is None else settings.max_bytes
    if match.size > most:
        return f"{match.name!r} is larger than {most} bytes, the limit of this wish"
    program = match.kind == "program" or by_name(match.name) == "program"
    if program and PROGRAM not in wish.wanted.kinds:
        return f"{match.name!r} is a program, and those are fetched only if the wish says type:program"
    if not sources_of(wish, match):
        return "none of the peers that the wish names has it"
    return ""


def sources_of(wish: Wish, match: Match) -> list[PeerId]:
    """From whom it may be fetched."""
    named = wish.settings.peers
    return list(dict.fromkeys(PeerId(one.peer) for one in match.sources if not named or one.peer in named))


def fetched(wish: Wish, content: bytes, transfer: str) -> None:
    """A match is being fetched."""
    wish.matches[content] = msgspec.structs.replace(wish.matches[content], transfer=transfer)
    wish.settings = msgspec.structs.replace(wish.settings, fetched=wish.settings.fetched + 1)


def change(wish: Wish, **changes: Any) -> None:
    """New settings. With another query, what the old one found is gone. Raises QueryError (UsageError)."""
    settings = msgspec.structs.replace(wish.settings, **changes)
    if settings.q != wish.settings.q:
        wish.wanted = language.parse(settings.q)
        wish.matches.clear()
        wish.last_match = None
    wish.settings, wish.trouble = settings, ""


def see(wish: Wish) -> None:
    """Somebody has looked at all of it."""
    wish.matches = {
        content: msgspec.structs.replace(match, seen=True) for content, match in wish.matches.items()
    }


# -- the disk


def load(db: Any) -> list[Wish]:
    """A job for the store. Raises msgspec.MsgspecError, QueryError: not written by us."""
    found = {}
    for id, body in db.execute("SELECT id, body FROM wishes"):
        found[id] = make(id, msgspec.msgpack.decode(body, type=Settings))
    for id, body in db.execute("SELECT wish, body FROM wish_matches ORDER BY found"):
        if id in found:
            match = msgspec.msgpack.decode(body, type=Match)
            found[id].matches[match.content] = match
            found[id].last_match = max(found[id].last_match or 0.0, match.found)
    return sorted(found.values(), key=lambda wish: wish.settings.created)


def save(wish: Wish) -> Callable[[Any], None]:
    """A job for the store: the wish and all its matches, as they are now."""
    body = msgspec.msgpack.encode(wish.settings)
    rows = [(wish.id, one.content, one.found, msgspec.msgpack.encode(one)) for one in wish.matches.values()]

    def write(db: Any) -> None:
        db.execute("REPLACE INTO wishes VALUES (?, ?)", (wish.id, body))
        db.execute("DELETE FROM wish_matches WHERE wish = ?", (wish.id,))
        db.executemany("INSERT INTO wish_matches VALUES (?, ?, ?, ?)", rows)

    return write


def drop(id: str) -> Callable[[Any], None]:
    """A job for the store."""

    def write(db: Any) -> None:
        db.execute("DELETE FROM wishes WHERE id = ?", (id,))
        db.execute("DELETE FROM wish_matches WHERE wish = ?", (id,))

    return write


def check(settings: Settings, wishes: int) -> None:
    """Raises UsageError: too many wishes."""
    if wishes >= MOST_WISHES:
        raise UsageError(f"{MOST_WISHES} wishes are watched already", advice="Remove one, or make one wider.")
    language.parse(settings.q)
