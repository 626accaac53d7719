"""What a person decided about a shared folder: who may see it, and which of its files belong to it. Pure.

Patterns read as in a `.gitignore`: `*.tmp` matches a name anywhere, `/old` only at the top, `notes/*.txt` a path, `cache/`
folders alone, `**` any number of folders; a later pattern beats an earlier one, and `!` takes back. Unlike
there, case does not matter, since `*.jpg` is meant to match `IMG_1.JPG`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import translate
from typing import Annotated, Literal

from msgspec import Meta, Struct

from servent.errors import UsageError
from servent.identity import PeerId

Audience = Literal["nobody", "friends", "network", "peers"]
AUDIENCES: tuple[Audience, ...] = ("nobody", "friends", "network", "peers")
MAX_PATTERNS = 100  # of each kind; as the API's schema
MAX_PATTERN = 256  # characters
MAX_PEERS = 1000
MAX_NAME_BYTES = 240  # of UTF-8; as blobs.names.MAX_PART_BYTES

Parts = tuple[str, ...]  # a path below the folder

# What programs leave lying about while they work, and what belongs to a desktop rather than to a person.
JUNK = (
    ".servent-part-*", "*.part", "*.crdownload", "*.!qB", "*.aria2", "~$*", "Thumbs.db", "desktop.ini", "$RECYCLE.BIN",
    "System Volume Information", "lost+found",
)  # fmt: skip


class FolderSettings(Struct, frozen=True, kw_only=True):
    """As it is kept in the node's database. `confirmed`: the person was asked about what is doubtful, and said yes."""

    path: Annotated[str, Meta(min_length=1, max_length=4096)]
    name: Annotated[str, Meta(min_length=1, max_length=255)]
    audience: Audience = "network"
    peers: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    hidden: bool = False
    confirmed: bool = False
    paused: bool = False


def check(settings: FolderSettings) -> FolderSettings:
    """The same settings. Raises UsageError where they cannot hold, and says which and why."""
    if settings.audience not in AUDIENCES:
        raise UsageError(
            f"there is no audience {settings.audience[:40]!r}", advice=f"Use one of {', '.join(AUDIENCES)}."
        )
    if len(settings.peers) > MAX_PEERS:
        raise UsageError(f"a folder names at most {MAX_PEERS} peers", advice="Make a network of them.")
    if settings.audience == "peers" and not settings.peers:
        raise UsageError(
            "the folder is for named peers, and nobody is named",
            advice="Name at least one, or choose the audience nobody.",
        )
    for patterns in (settings.include, settings.exclude):
        if len(patterns) > MAX_PATTERNS:
            raise UsageError(f"a folder has at most {MAX_PATTERNS} patterns of each kind")
        for pattern in patterns:
            Pattern.parse(pattern)
    return settings


def may_see(
    settings: FolderSettings, peer: PeerId, *, friend: bool, shares_network: bool, blocked: bool
) -> bool:
    """Whether `peer` may know that the folder is there, and have its files. A block beats everything."""
    if blocked:
        return False
    match settings.audience:
        case "nobody":
            return False
        case "friends":
            return friend
        case "network":
            return friend or shares_network
        case "peers":
            return str(peer) in settings.peers


class Pattern:
    """One line of an include or exclude list.

    Matching is done part by part, so that no pattern can make it take long: within a part `fnmatch` never goes back
    over what it matched, and `**` is followed through a table.
    """

    __slots__ = ("_parts", "_simple", "folders_only", "negated")

    def __init__(self, parts: Sequence[re.Pattern[str] | None], folders_only: bool, negated: bool) -> None:
        self._parts = parts  # None stands for `**`
        self._simple = parts[1] if len(parts) == 2 and parts[0] is None else None
        self.folders_only = folders_only
        self.negated = negated

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Raises UsageError: empty, too long, or no pattern."""
        line = text
        negated = line.startswith("!")
        if negated:
            line = line[1:]
        folders_only = line.endswith("/")
        anchored = "/" in line.rstrip("/")
        names = [name for name in line.split("/") if name]
        if not names or not 0 < len(text) <= MAX_PATTERN or any(name in (".", "..") for name in names):
            raise UsageError(
                f"{text[:60]!r} is no pattern", advice="Examples: *.tmp, cache/, /private, notes/**/*.txt"
            )
        if not anchored:
            names.insert(0, "**")
        parts: list[re.Pattern[str] | None] = []
        for name in names:
            if name != "**":
                parts.append(_compiled(name, text))
            elif not parts or parts[-1] is not None:
                parts.append(None)
        if parts[-1] is None and len(parts) > 1:  # "notes/**": what lies below, not the folder itself
            parts.append(_compiled("*", text))
        return cls(parts, folders_only, negated)

    def matches(self, path: Parts) -> bool:
        """Whether the path itself matches; what lies below a matching folder is the caller's affair."""
        if self._simple is not None:
            return self._simple.match(path[-1]) is not None
        at = {0}  # places in the pattern reached so far
        for name in path:
            after = set()
            for place in self._beyond(at):
                if place == len(self._parts):
                    continue
                part = self._parts[place]
                if part is None:
                    after.add(place)
                elif part.match(name):
                    after.add(place + 1)
            if not after:
                return False
            at = after
        return len(self._parts) in self._beyond(at)

    def _beyond(self, at: set[int]) -> set[int]:
        """`**` may stand for no folder at all."""
        return at | {place + 1 for place in at if place < len(self._parts) and self._parts[place] is None}


def _compiled(name: str, text: str) -> re.Pattern[str]:
    name = re.sub(r"\\(.)", lambda found: f"[{found[1]}]" if found[1] in "*?[" else found[1], name)
    name = name.replace("[^", "[!")
    try:
        return re.compile(translate(name), re.IGNORECASE)
    except re.error as wrong:
        raise UsageError(f"{text[:60]!r} is no pattern: {wrong}") from wrong


_JUNK = re.compile("|".join(translate(name) for name in JUNK), re.IGNORECASE)


class Rules:
    """Which entries of a folder belong to it. Made once from its settings, asked for every entry."""

    def __init__(self, settings: FolderSettings) -> None:
        self._include = [Pattern.parse(text) for text in settings.include]
        self._exclude = [Pattern.parse(text) for text in settings.exclude]
        self._hidden = settings.hidden

    def wants_folder(self, folder: Parts, name: str) -> bool:
        """Whether to look into `folder`/`name`. Files in it may still be left out."""
        if self._left_out(name):
            return False
        return not self._exclude or not _matched(self._exclude, (*folder, name), True)

    def wants_file(self, folder: Parts, name: str) -> bool:
        """Whether the file `name` in a wanted `folder` belongs."""
        if self._left_out(name):
            return False
        if not self._exclude and not self._include:
            return True
        path = (*folder, name)
        if self._exclude and _matched(self._exclude, path, False):
            return False
        return not self._include or self._included(path)

    def wants(self, path: Parts, *, folder: bool = False) -> bool:
        """The same for a path of which nothing is known: every folder above has to be wanted, too."""
        for depth in range(len(path) - 1):
            if not self.wants_folder(path[:depth], path[depth]):
                return False
        return (self.wants_folder if folder else self.wants_file)(path[:-1], path[-1])

    def excludes(self, path: Parts, *, folder: bool = False) -> bool:
        """Whether the person said so: a pattern of theirs leaves it out, itself."""
        return bool(self._exclude) and _matched(self._exclude, path, folder)

    def _left_out(self, name: str) -> bool:
        return (not self._hidden and name.startswith(".")) or _JUNK.match(name) is not None

    def _included(self, path: Parts) -> bool:
        """A file is, when it or a folder above it matches; `!` takes back what is deeper."""
        answer = False
        for depth in range(1, len(path) + 1):
            answer = _last(self._include, path[:depth], depth < len(path), answer)
        return answer


def _matched(patterns: Iterable[Pattern], path: Parts, folder: bool) -> bool:
    return _last(patterns, path, folder, False)


def _last(patterns: Iterable[Pattern], path: Parts, folder: bool, before: bool) -> bool:
    answer = before
    for pattern in patterns:
        if (folder or not pattern.folders_only) and answer is pattern.negated and pattern.matches(path):
            answer = not pattern.negated
    return answer
