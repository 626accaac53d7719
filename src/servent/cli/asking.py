"""Questions to the person at the keyboard, and what they type for many commands alike."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, get_args

import click

from servent.api import schema_share as share
from servent.cli.base import hint, say
from servent.errors import UsageError

T = TypeVar("T")
NOT_DONE = 1  # the exit code when a person answers no
AUDIENCES = get_args(share.Audience)
KINDS = get_args(share.Kind)
_SIZES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def unless_doubtful(act: Callable[[bool], T], *, yes: bool, otherwise: str = "nothing was changed") -> T:
    """Call `act(confirm)`; when the node asks whether that is meant (409), ask the person, or take `yes` for it.

    Raises:
        ApiError: of kind "confirm" when nobody is there to ask, with `--yes` as the advice.
        click.exceptions.Exit: the person said no.
    """
    from servent.api.client import ApiError

    try:
        return act(yes)
    except ApiError as doubt:
        if doubt.kind != "confirm":
            raise
        if not sys.stdin.isatty():
            doubt.advice = f"{doubt.advice} `--yes` says that you mean it.".strip()
            raise
        say(str(doubt), err=True)
        if doubt.advice:
            hint(doubt.advice)
        if not click.confirm("Do it all the same?", err=True):
            hint(otherwise)
            raise click.exceptions.Exit(NOT_DONE) from None
        return act(True)


def on_this_machine(path: Path) -> str:
    """A path as the node takes it: absolute."""
    return str(path.expanduser().resolve())


def parse_size(text: str) -> int:
    """ "700M", "1.5GB", "64 KiB" -> bytes. Raises UsageError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?", text.strip().lower())
    if found is None or found[2] not in _SIZES:
        raise UsageError(f"{text!r} is no size", advice="Write 700MB, 1.5G, or 64KiB.")
    return max(1, int(float(found[1]) * _SIZES[found[2]]))
