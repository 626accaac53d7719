"""Names that others chose, made safe to show."""

from __future__ import annotations

import unicodedata

MAX_NAME = 64  # characters
_MAX_MARKS = 3  # combining marks on one letter; real scripts need two, "zalgo" text uses dozens
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # control, bidi and zero-width, surrogates, unassigned
_BLANK = {"\u115f", "\u1160", "\u2800", "\u3164", "\uffa0"}  # letters by category that show nothing


def clean_name(text: str, fallback: str = "") -> str:
    """`text` as one harmless line of at most 64 characters, `fallback` if nothing is left.

    Control and invisible characters and those that turn the writing direction go, white space becomes single
    blanks, marks are not piled up. Look-alike letters stay: only a petname or the id says who someone is.
    """
    kept: list[str] = []
    marks = 0
    for letter in unicodedata.normalize("NFC", text[: 8 * MAX_NAME]):
        category = unicodedata.category(letter)
        if letter.isspace():
            letter, marks = " ", 0
        elif category in _HIDDEN or letter in _BLANK:
            continue
        elif category in ("Mn", "Me"):
            marks += 1
            if marks > _MAX_MARKS or not kept or kept[-1] == " ":
                continue
        else:
            marks = 0
        if letter != " " or (kept and kept[-1] != " "):
            kept.append(letter)
    return unicodedata.normalize("NFC", "".join(kept))[:MAX_NAME].strip() or fallback
