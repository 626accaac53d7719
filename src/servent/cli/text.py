"""Numbers as people read and type them."""

from __future__ import annotations

import re

from servent.errors import UsageError

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_TIMES = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0, "y": 365 * 86400.0}


# Control characters could move the cursor, rename the window or type for you; direction overrides reorder text. Joiners are
# letters in Arabic and Indic scripts and the glue of some emoji; elsewhere they only make two names look the same.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
    "|(?<![\u0600-\u0dff\u2600-\u27bf\ufe0f\U0001f000-\U0001faff])[\u200c\u200d]"
)


def clean(text: str) -> str:
    """Text that may hold a peer's words, safe to print: each unsafe character becomes one visible mark."""
    return _UNSAFE.sub("\ufffd", text)


def sentence(text: str) -> str:
    """A reason of the node's, as it stands alone: with a capital, and a full stop."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if not text or text[-1] in ".!?" else ".")


def many(count: int, word: str) -> str:
    """1, "item" -> "1 item"; 2 -> "2 items"."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def size(count: float) -> str:
    """1536 -> "1.5 kB"; decimal units, as networks and disks are sold."""
    if count < 1000:
        return f"{count:.0f} B"
    units = ["kB", "MB", "GB", "TB", "PB"]
    count /= 1000
    while count >= 999.5 and len(units) > 1:
        count /= 1000
        del units[0]
    return f"{count:.1f} {units[0]}" if count < 99.95 else f"{count:.0f} {units[0]}"


def rate(count: float) -> str:
    return f"{size(count)}/s"


def duration(seconds: float | None) -> str:
    """93784 -> "1 d 2 h"; the two largest units."""
    if seconds is None:
        return "?"
    left = max(0, round(seconds))
    parts: list[str] = []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def parse_rate(text: str) -> int | None:
    """ "10MB/s", "1.5M", "800k", "2MiB" -> bytes per second; "off", "none", "0" -> no limit (None).

    Raises:
        UsageError: not a rate.
    """
    plain = text.strip().lower().removesuffix("/s").replace(" ", "")
    if plain in ("off", "none", "unlimited", "0"):
        return None
    if plain.endswith(("bit", "bps")):
        raise UsageError(f"{text!r} counts bits", advice="Give bytes per second, such as 10MB/s.")
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kmgt]?i?)b?", plain)
    if found is None or (found[2] not in _UNITS and found[2] not in _BINARY):
        raise UsageError(f"{text!r} is no rate", advice="Write 10MB/s, 800k, 2MiB, or off.")
    count = int(float(found[1]) * (_UNITS.get(found[2]) or _BINARY[found[2]]))
    if count < 1024:
        raise UsageError(f"{text!r} is below 1 kB/s", advice="To stop a transfer, use `servent pause`.")
    return count


def parse_duration(text: str) -> float | None:
    """ "30m", "2h", "7d" -> seconds; "never" -> None.

    Raises:
        UsageError: not a duration.
    """
    plain = text.strip().lower()
    if plain in ("never", "none", "forever"):
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdwy]?)", plain)
    seconds = float(found[1]) * _TIMES[found[2] or "s"] if found else 0.0
    if seconds <= 0:
        raise UsageError(f"{text!r} is no duration", advice="Write 30m, 12h, 7d, or never.")
    return seconds
