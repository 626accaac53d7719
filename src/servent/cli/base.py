"""What all commands share: the session, output for people and programs, examples in the help."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from servent.cli.text import clean
from servent.errors import ServentError, UsageError

if TYPE_CHECKING:
    from servent.api.client import Client

F = TypeVar("F", bound=Callable[..., Any])
TOUCH = 1.0  # s; a node that does not answer is not waited for twice


@dataclass
class Session:
    """What was said before the subcommand. `json`: print for programs. `quiet`: of a list, the ids alone."""

    data_dir: Path | None = None
    json: bool = False
    quiet: bool = False
    _touched: bool = False

    @property
    def folder(self) -> Path:
        if self.data_dir is not None:
            return self.data_dir
        from servent.api.client import default_data_dir

        return default_data_dir()

    def client(self, timeout: float = 30.0) -> Client:
        """Raises NodeDown when no node runs here. Whoever types at a terminal is there, and friends see it."""
        from servent.api.client import Client

        made = Client.from_data_dir(self.folder, timeout=timeout)
        if not self.json and not self._touched and sys.stdin.isatty() and sys.stdout.isatty():
            self._touched = True
            with contextlib.suppress(ServentError):
                Client.from_data_dir(self.folder, timeout=TOUCH).touch()
        return made

    def show(self, value: Any, people: Callable[[], None], ids: Iterable[str] = ()) -> None:
        """Print `value` (Structs, lists, plain values) as JSON, or let `people` draw it; `ids` for `--quiet`."""
        if self.json:
            print_json(value)
        elif self.quiet:
            for one in ids:
                say(one)
        else:
            people()


pass_session = click.make_pass_decorator(Session, ensure=True)


def print_json(value: Any) -> None:
    import msgspec

    click.echo(msgspec.json.encode(value).decode("utf-8"))


class WithExamples:
    """Puts examples at the end of a command's help."""

    examples: Sequence[str] = ()

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples:
                    formatter.write_text(line)


class Command(WithExamples, click.Command):
    pass


class WordsCommand(Command):
    """Takes words of a query: "-live" is one that leaves hits out, not options -l, -i, -v and -e."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = args[: args.index("--")] if "--" in args else args
        words = [arg for arg in given if len(arg) > 2 and arg[0] == "-" != arg[1]]
        if not words:
            return super().parse_args(ctx, args)
        options = [arg for arg in given if arg not in words]
        return super().parse_args(ctx, [*options, "--", *words, *args[len(given) + 1 :]])


class Group(WithExamples, click.Group):
    pass


def _json_after(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(Session).json = True


def json_option(function: F) -> F:
    return click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        callback=_json_after,
        help="Print JSON for programs.",
    )(function)


def _quiet_after(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(Session).quiet = True


def quiet_option(function: F) -> F:
    return click.option(
        "-q", "--quiet", is_flag=True, expose_value=False, callback=_quiet_after, help="Print ids alone."
    )(function)


def command(
    name: str,
    *examples: str,
    group: click.Group | None = None,
    quiet: bool = False,
    words: bool = False,
    **attributes: Any,
) -> Callable[[Callable[..., Any]], Command]:
    """A command that takes the session first and `--json` last. `quiet`: it prints a list, and takes `--quiet`.

    `words`: its arguments are words of a query, see `WordsCommand`.
    """

    def make(function: Callable[..., Any]) -> Command:
        inner = json_option(pass_session(function))
        kind = WordsCommand if words else Command
        made = click.command(name, cls=kind, **attributes)(quiet_option(inner) if quiet else inner)
        made.examples = examples
        if group is not None:
            group.add_command(made)
        return made

    return make


def group(name: str, *examples: str, **attributes: Any) -> Callable[[Callable[..., Any]], Group]:
    """A group of commands, such as `network`."""

    def make(function: Callable[..., Any]) -> Group:
        made = click.group(name, cls=Group, **attributes)(function)
        made.examples = examples
        return made

    return make


def table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str, right: Sequence[int] = ()
) -> None:
    """Rows for people on a terminal, drawn by rich; tab-separated and never shortened elsewhere."""
    if not sys.stdout.isatty():
        for row in rows:
            say("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row))
        return
    if not rows:
        say(empty)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for number, header in enumerate(headers):
        drawn.add_column(header, justify="right" if number in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(clean(cell)) for cell in row))
    Console(highlight=False, no_color=no_color()).print(drawn)


def no_color() -> bool:
    """https://no-color.org"""
    return bool(os.environ.get("NO_COLOR"))


def hint(text: str) -> None:
    """For people, not for pipes: goes to stderr."""
    say(text, err=True)


def say(text: str, *, head: str = "", err: bool = False) -> None:
    """Print `text`, which may hold others' words, without what a terminal would obey; `head` is ours."""
    click.echo(head + clean(text), err=err, color=False if no_color() else None)


def secret(given: str | None, variable: str, question: str, *, what: str, confirm: bool = False) -> str:
    """A secret from the argument ("-" is stdin), the environment, or a prompt that does not show it.

    Raises:
        UsageError: none of them, and nobody to ask.
    """
    if given == "-":
        text = sys.stdin.readline(16 * 1024)
    elif given is not None:
        text = given
    elif os.environ.get(variable):
        text = os.environ[variable]
    elif sys.stdin.isatty():
        text = click.prompt(question, hide_input=True, confirmation_prompt=confirm, err=True)
    else:
        raise UsageError(f"{what} is missing", advice=f"Give `-` to read it from stdin, or set {variable}.")
    text = text.strip()
    if not text:
        raise UsageError(f"{what} is empty", advice=f"Give `-` to read it from stdin, or set {variable}.")
    return text
