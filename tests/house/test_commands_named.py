"""Advice that names a command names one that exists, with options it has."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from servent.cli.main import cli

ROOT = Path(__file__).resolve().parents[2]
TEXTS = sorted(
    path
    for pattern in ("README.md", "docs/*.md", "src/**/*.py", "src/**/*.js", "examples/*.py")
    for path in ROOT.glob(pattern)
)
NAMED = re.compile(r"`servent ([^`\n]+)`")


def mistake(line: str) -> str | None:
    """What is wrong with `servent LINE`; None: nothing."""
    line = re.sub(r"\{[^{}]*\}", "X", line)  # filled in by an f-string
    if line.startswith("…") or "[" in line:
        return None  # commands in general, or a usage line made by click
    try:
        words = shlex.split(line.replace("…", "X"))
    except ValueError:
        return f"{line!r} is no command line"
    command: click.Command = cli
    context = click.Context(cli)
    while words and isinstance(command, click.Group):
        if words[0].startswith("-"):
            if not words[0].startswith("--data-dir"):
                break
            words = words[2:]
            continue
        try:
            _, below, words = command.resolve_command(context, words)
        except click.UsageError as wrong:
            return wrong.message
        assert below is not None
        command = below
    known = {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)}
    for word in words:
        flag = word.partition("=")[0]
        if flag.startswith("--") and flag not in known | {"--help"}:
            return f"`{command.name}` has no {flag}"
    return None


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_is_named_exists(path: Path) -> None:
    wrong = [
        f"{line}: {why}"
        for line in NAMED.findall(path.read_text(encoding="utf-8"))
        if (why := mistake(line)) is not None
    ]
    assert wrong == []


@pytest.mark.parametrize("line", ["id --restore FILE", "grant servent.blobs", "get LINK --nowhere"])
def test_what_does_not_exist_is_found(line: str) -> None:
    assert mistake(line) is not None


def test_every_picture_that_is_shown_exists() -> None:
    for page in (ROOT / "README.md", *ROOT.glob("docs/*.md")):
        for target in re.findall(r"!\[[^\]]*\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).is_file(), f"{page.name} shows {target}"
