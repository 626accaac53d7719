"""Texts of people: what may stand in one, what is shown of it, and whom it names. Pure.

A text is text: nothing in it is ever markup. What controls a screen goes; what turns the writing direction is closed again at
the end of its line, so that it cannot reach what stands beside it.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import parse_qsl

from servent.errors import UsageError
from servent.talk.views import Attachment
from servent.talk.wire import ATTACHMENTS, LINK_CHARACTERS, TEXT_BYTES, TEXT_CHARACTERS
from servent.trust.naming import clean_name

_OPENS = {"\u202a": "\u202c", "\u202b": "\u202c", "\u202d": "\u202c", "\u202e": "\u202c"} | dict.fromkeys(
    "\u2066\u2067\u2068", "\u2069"
)  # embeddings and overrides, isolates; and what ends each
_ENDS = frozenset(_OPENS.values())
_KEPT = {"\n", "\t", "\u200c", "\u200d"}  # joiners are spelling in Persian and parts of emoji
_MOST_OPEN = 16
_MOST_MARKS = 4  # on one letter; "zalgo" text uses dozens
_LINKS = ("magnet:?", "servent:")
_LINK = re.compile(r"[!-~]+")  # ASCII without blanks


def cleaned(text: str) -> str:
    """`text` without control characters, with every change of direction closed on its own line. Lines stay."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    if text.isascii() and text.isprintable():
        return text.strip()
    return "\n".join(_line(line) for line in unicodedata.normalize("NFC", text).split("\n")).strip()


def one_line(text: str) -> str:
    """The same on one line."""
    return " ".join(cleaned(text).split())


def _line(line: str) -> str:
    kept: list[str] = []
    open_: list[str] = []
    marks = 0
    for letter in line:
        category = unicodedata.category(letter)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if letter in _OPENS:
            if len(open_) < _MOST_OPEN:
                open_.append(_OPENS[letter])
                kept.append(letter)
        elif letter in _ENDS:
            if open_ and open_[-1] == letter:
                open_.pop()
                kept.append(letter)
        elif category in ("Cc", "Cs", "Zl", "Zp") and letter not in _KEPT:
            continue
        elif (
            category == "Cf" and letter not in _KEPT and not 0xE0020 <= ord(letter) <= 0xE007F
        ):  # tags end flags
            continue
        elif marks <= _MOST_MARKS:
            kept.append(letter)
    return "".join(kept + open_[::-1])


def checked(text: str, links: list[str] | tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """What a person here wants to send, made clean.

    Raises:
        UsageError: nothing in it, too long, too many links, or no links.
    """
    if len(text) > TEXT_CHARACTERS:
        raise UsageError(f"a message has at most {TEXT_CHARACTERS} characters, this one {len(text)}")
    text = cleaned(text)
    if len(text.encode("utf-8", "replace")) > TEXT_BYTES or len(text) > TEXT_CHARACTERS:
        raise UsageError(f"a message has at most {TEXT_CHARACTERS} characters")
    if len(links) > ATTACHMENTS:
        raise UsageError(f"a message has at most {ATTACHMENTS} links beside it")
    for link in links:
        if not is_link(link):
            raise UsageError(
                f"{clean_name(link, '?')[:40]!r} is no link", advice="Attach what `servent send PATH` prints."
            )
    if not text and not links:
        raise UsageError("there is nothing in this message")
    return text, tuple(links)


def received(text: str, links: list[str]) -> tuple[str, tuple[str, ...]]:
    """The same for what a peer sent: what is not as it should be is left out, never an error."""
    return cleaned(text)[:TEXT_CHARACTERS], tuple(link for link in links[:ATTACHMENTS] if is_link(link))


def is_link(link: str) -> bool:
    """Whether it is a magnet or servent link in form; what it leads to nobody knows."""
    lower = link[:16].lower()
    if len(link) > LINK_CHARACTERS or not lower.startswith(_LINKS) or _LINK.fullmatch(link) is None:
        return False
    return not lower.startswith("magnet:?") or "xt=urn:bt" in link.lower() or "xt.1=urn:bt" in link.lower()


def attachment(link: str) -> Attachment:
    """A link with the name and size that it claims."""
    name, size = "", None
    if link[:8].lower() == "magnet:?":
        try:
            fields = dict(parse_qsl(link[8:], max_num_fields=100, errors="replace"))
        except ValueError:
            fields = {}
        name = clean_name(fields.get("dn", ""))
        claimed = fields.get("xl", "")
        size = int(claimed) if claimed.isascii() and claimed.isdigit() and len(claimed) < 19 else None
    return Attachment(link, name, size)


def names(text: str, name: str) -> bool:
    """Whether `text` names `name`, as "@name" or as whole words, in any case."""
    name = name.strip().casefold()
    if not name:
        return False
    return re.search(rf"(?<!\w)@?{re.escape(name)}(?!\w)", text.casefold()) is not None
