"""Writes docs/cli.md from the commands themselves: `python -m servent.cli.reference > docs/cli.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from servent.cli.base import WithExamples
from servent.cli.main import COMMANDS, cli

HEAD = """# The command line

Made from the commands' own help; `python -m servent.cli.reference > docs/cli.md` writes it anew.

What is asked for goes to stdout, progress and hints to stderr. Every command takes `--json` (also before the
command) and then prints one JSON object or list; an error is an object with `error`, `advice` and `exit` on
stderr. On a pipe, tables are tab-separated and nothing is shortened. `NO_COLOR` switches colours off.
Secrets are never needed as arguments: give `-` and they are read from stdin, or set the variable named in the
command's help; on a terminal you are asked.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | failed |
| 2 | wrong usage |
| 3 | the node is not running |
| 4 | no such thing, or nobody of that name |
| 5 | refused |
| 6 | unreachable, or too late |
| 130 | interrupted |

| before the command | meaning |
|---|---|
| `--data-dir DIR` | where the node keeps its key, database and settings; also `SERVENT_DATA_DIR` |
| `--json` | print JSON for programs |
| `--version` | print the version |
"""


def walk(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """A command and everything under it."""
    yield words, command
    if isinstance(command, click.Group):
        for name, below in sorted(command.commands.items()):
            yield from walk(below, (*words, name))


def every_command() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command as its words, in the order of the help."""
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        yield from walk(command, (name,))


def render() -> str:
    parts = [HEAD]
    for words, command in every_command():
        context = click.Context(command, info_name=" ".join(words))
        usage = " ".join(["servent", *words, *command.collect_usage_pieces(context)])
        parts.append(f"{'#' * (1 + len(words))} {' '.join(words)}\n\n`{usage}`\n\n{_text(command)}\n")
        rows = [
            record for option in command.get_params(context) if (record := option.get_help_record(context))
        ]
        rows = [(names, what) for names, what in rows if "--help" not in names]
        if rows:
            lines = [
                f"| `{names.replace('|', chr(92) + '|')}` | {what.replace('|', chr(92) + '|')} |"
                for names, what in rows
            ]
            parts.append("| option | meaning |\n|---|---|\n" + "\n".join(lines) + "\n")
        if isinstance(command, WithExamples) and command.examples:
            parts.append("```\n" + "\n".join(command.examples) + "\n```\n")
    return "\n".join(parts)


def _text(command: click.Command) -> str:
    return "\n".join(line.strip() for line in (command.help or "").strip().splitlines())


if __name__ == "__main__":
    sys.stdout.write(render())
