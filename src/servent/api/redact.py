"""Takes secrets out of text that leaves the machine: a bug report."""

from __future__ import annotations

import re
from pathlib import Path

from servent.api.client import TOKEN_FILE

_PATTERNS = (
    (re.compile(r"servent:[a-z0-9]{20,}", re.IGNORECASE), "servent:(ticket removed)"),
    (re.compile(r"x\.sv=[^&\s\"']+"), "x.sv=(contact removed)"),
    (re.compile(r"(https?://)[^/@\s\"']+@"), r"\1(login removed)@"),
    (re.compile(r"(?i)\b(bearer|x-api-key:|code=)\s*[\w.~+/=-]{8,}"), r"\1 (removed)"),
    (re.compile(r"(?im)^(seed|passphrase|secret)\b.*$"), r"\1 (removed)"),
)


def secrets_in(data_dir: Path) -> list[str]:
    """Secrets this directory holds as text, so that they can be found wherever they went."""
    found = []
    for name in (TOKEN_FILE, "identity.key"):
        try:
            text = (data_dir / name).read_text("utf-8", "replace")
        except OSError:
            continue
        found += [
            word
            for line in text.splitlines()
            if "peer" not in line
            for word in line.split()
            if len(word) >= 20
        ]
    return found


def clean(text: str, secrets: list[str]) -> str:
    """`text` without the secrets, tickets, logins and tokens."""
    for word in secrets:
        text = text.replace(word, "(removed)")
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text
