"""What of a file is words: its name, what it says of itself, its ending. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from servent.query.words import indexed

MOST_EXT = 16  # characters of an ending that counts as one


def ext(name: str) -> str:
    """The ending of a name, in small letters without its dot; "" when it has none that counts."""
    stem, _, ending = name.rpartition(".")
    return ending.lower() if stem and 0 < len(ending) <= MOST_EXT and ending.isalnum() else ""


def indexed_tags(tags: Mapping[str, str | int | float]) -> tuple[str, str, str, str]:
    """What the index keeps of title, artist and album, and what else of the tags is looked at, as it is."""
    if not tags:
        return "", "", "", ""
    artist = f"{_text(tags, 'artist')} {_text(tags, 'albumartist')}".strip()
    more = f"{_text(tags, 'genre')} {_text(tags, 'year')}".strip()
    return indexed(_text(tags, "title")), indexed(artist), indexed(_text(tags, "album")), more


def _text(tags: Mapping[str, str | int | float], name: str) -> str:
    value = tags.get(name, "")
    return value if isinstance(value, str) else str(value)
