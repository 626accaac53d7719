"""Make `src/servent/trust/lookalikes.txt` out of Unicode's list of confusable characters (UTS #39).

    python tools/lookalikes.py confusables.txt

The list is https://www.unicode.org/Public/security/13.0.0/confusables.txt. Of it we keep the letters that stay different when
compatibility forms, accents and case are taken away, which `servent.trust.lookalikes` does by itself: a fiftieth of the bytes.
"""

from __future__ import annotations

import sys
import unicodedata
from pathlib import Path

TABLE = Path(__file__).parents[1] / "src/servent/trust/lookalikes.txt"
HEAD = """\
# Letters that look alike: what each line begins with, a tab, and all that is taken for it. Made by tools/lookalikes.py from
# confusables.txt of Unicode 13.0.0 (UTS #39), (c) 2020 Unicode, Inc., used under https://www.unicode.org/license.txt
"""
DROPPED = ("Mn", "Me", "Cf")


def plain(text: str) -> str:
    """Without compatibility forms and marks."""
    return "".join(
        letter
        for letter in unicodedata.normalize("NFKD", text)
        if unicodedata.category(letter) not in DROPPED
    )


def main(source: Path) -> None:
    groups: dict[str, list[str]] = {}
    for line in source.read_text("utf-8-sig").splitlines():
        parts = [part.strip() for part in line.partition("#")[0].split(";")]
        if len(parts) < 3:
            continue
        letter = chr(int(parts[0], 16))
        like = plain("".join(chr(int(code, 16)) for code in parts[1].split()))
        if plain(letter) != letter or letter == like or unicodedata.category(letter)[0] in "ZC":
            continue
        if 0 < len(like) <= 4 and any(unicodedata.category(one)[0] in "LN" for one in like):
            groups.setdefault(like, []).append(letter)
    rows = [f"{like}\t{''.join(letters)}\n" for like, letters in sorted(groups.items())]
    TABLE.write_text(HEAD + "".join(rows), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
