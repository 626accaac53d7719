"""The command line: finds the command, runs it, and turns what went wrong into words and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the node is not running, 4 no such thing or peer, 5 refused,
6 unreachable or too late, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from servent.cli.base import Command, Session, hint, no_color, say
from servent.errors import NotFound, Refused, ServentError, Unreachable, UsageError

OK, FAILED, USAGE, NOT_RUNNING, NOT_FOUND, REFUSED, TOO_LATE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 130

# Where each command lives, and the first line of its help, so that `--help` imports none of them.
COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("node:up", "Start this machine's node; runs until Ctrl-C or `servent down`."),
    "down": ("node:down", "Stop the node."),
    "status": ("status:status", "One glance at the node."),
    "open": ("node:open_page", "Open the page in the browser."),
    "id": ("identity:identity", "Who this node is; back its key up, or restore it."),
    "ticket": ("trust:ticket", "Print a ticket: whoever holds it can connect to this node."),
    "join": ("trust:join", "Use a ticket or an invitation that somebody passed on to you."),
    "invite": ("networks:invite", "Invite somebody into a network of yours."),
    "network": (
        "networks:network",
        "Networks: make, list, show and switch them; their members and invitations.",
    ),
    "roles": ("roles:roles", "What this node does for others, and why or why not; say which it may."),
    "peers": ("peers:peers", "Who is connected, and how."),
    "contact": ("peers:contact", "Name, befriend, block or forget a peer."),
    "ping": ("peers:ping", "Measure the way to a peer."),
    "where": ("peers:where", "Where a peer is now, as your networks know it, or by its key alone."),
    "allow": ("peers:allow", "Say who may use which service of this node."),
    "friends": ("friends:friends", "Friends: who is here, who is away, who asks to be one."),
    "presence": (
        "friends:presence",
        "Show or say what friends see: available, away, or offline, which is not there at all.",
    ),
    "chat": ("chat:chat", "Write to a person or a room, read what they wrote, search what was said."),
    "room": ("rooms:room", "Rooms of your networks: talk with many, and keep order there."),
    "library": ("library:library", "Shared folders: list, add, change, pause and remove them."),
    "search": (
        "search:search",
        "Search the own library, connected peers and your networks; hits come as they are found.",
    ),
    "browse": ("search:browse", "Walk what a peer shares with you, folder by folder; `me` is this node."),
    "recommend": ("search:recommend", "What peers have who share much of what you have, and you have not."),
    "who-has": ("holders:who_has", "Who has what a link names; answers come as the networks give them."),
    "wish": ("wishes:wish", "The wish list: queries that keep watching, and may fetch by themselves."),
    "get": (
        "getting:get",
        "Fetch a hit, a path of a peer or a link; returns when all is verified and on disk.",
    ),
    "send": ("files:send", "Offer a folder or file; prints its link."),
    "receive": ("codes:receive", "Fetch what somebody offers under a code they told you."),
    "codes": ("codes:codes", "Hand-overs by code: those that wait, and those that ended lately."),
    "publish": (
        "feeds:publish",
        "Publish a file or folder under a name that always means its newest version; prints the link.",
    ),
    "follow": (
        "feeds:follow",
        "Follow somebody's feed: each new version is fetched, what did not change is not fetched again.",
    ),
    "feeds": (
        "feeds:feeds",
        "Feeds of yours, and those you follow; with the name of one, its versions, or what is to change.",
    ),
    "shares": ("files:shares", "What this node offers; `--remove` ends it."),
    "torrent": (
        "torrent:torrent",
        "BitTorrent: what is fetched from there and seeded to it, and .torrent files.",
    ),
    "grid": (
        "grid:grid",
        "Computing: lend this machine to projects you choose, or have others compute for yours.",
    ),
    "listen": (
        "listen:listen",
        "Search what a radio telescope recorded for signals: tones that drift, that come and go with the beam, pulses, triplets.",
    ),
    "transfers": ("files:transfers", "What moves, what waits and why."),
    "files": ("getting:files", "The files inside a transfer; choose which to fetch."),
    "priority": (
        "queue:priority",
        "Say how soon a transfer is to come: its priority, its place in the queue, its speed.",
    ),
    "move": ("queue:move", "Move or rename what is complete; others can go on fetching it from here."),
    "history": ("queue:history", "Transfers that ended, newest first."),
    "queue": ("queue:queue", "Show or set how transfers share this machine and its line."),
    "pause": ("files:pause", "Pause a transfer."),
    "resume": ("files:resume", "Let a paused transfer go on."),
    "cancel": ("files:cancel", "End a transfer and remove what was fetched so far."),
    "verify": ("files:verify", "Read a transfer again from the disk."),
    "limits": ("files:limits", "Show or set how fast this node may send and fetch."),
    "block": ("safety:block", "Never show, fetch or serve one content, or anything with a peer."),
    "unblock": ("safety:unblock", "End a block; `servent blocks` lists them with their ids."),
    "blocks": ("safety:blocks", "What is blocked."),
    "report": (
        "safety:report",
        "Report something bad: it is blocked here, and the admins of your common networks are told.",
    ),
    "filters": (
        "safety:filters",
        "What is never shown in hits, matches and recommendations; options add to it.",
    ),
    "doctor": ("doctor:doctor", "Look for what usually goes wrong, and say what to do about it."),
    "relay": ("node:relay", "Run a relay server, and nothing else."),
    "service": ("service:service", "Start the node at login: install, uninstall, status, logs."),
    "config": ("settings:config", "Read and change settings."),
    "token": ("settings:token", "Tokens for scripts and other programs."),
    "demo": ("node:demo", "Five nodes on this machine do the main job, and you may watch."),
    "completion": ("node:completion", "Print the completion script of a shell."),
    "openapi": ("node:openapi", "Print the local API's description, for programs that make clients."),
    "bugreport": ("doctor:bugreport", "Pack what helps to find a bug; holds no keys and no file contents."),
}


# The commands of `--help`, in the order in which people meet them.
GROUPS: dict[str, tuple[str, ...]] = {
    "The node": ("up", "down", "status", "open", "id", "doctor", "service", "config"),
    "People": ("ticket", "join", "invite", "network", "roles", "peers", "contact", "ping", "where", "allow"),
    "Talk": ("friends", "presence", "chat", "room"),
    "Share": ("library", "send", "shares", "publish", "feeds", "codes", "torrent"),
    "Find and get": ("search", "who-has", "browse", "get", "receive", "follow", "wish", "recommend"),
    "Compute": ("grid", "listen"),
    "Transfers": (
        "transfers", "files", "pause", "resume", "cancel", "priority", "verify", "move", "history", "queue", "limits",
    ),
    "Safety": ("block", "unblock", "blocks", "report", "filters"),
    "More": ("relay", "token", "demo", "completion", "openapi", "bugreport"),
}  # fmt: skip


class LazyGroup(click.Group):
    """Imports a command's module when that command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = COMMANDS.get(cmd_name)
        if found is None:
            return None
        from importlib import import_module

        module, _, attribute = found[0].partition(":")
        loaded = getattr(import_module(f"servent.cli.{module}"), attribute)
        assert isinstance(loaded, click.Command)
        return loaded

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, names in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name, COMMANDS[name][1]) for name in names], col_max=12)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            for line in (
                "servent up",
                "servent library add ~/Music",
                "servent search nina simone",
                "servent get 1",
                "servent send ~/Pictures/Crete",
                "servent get 'magnet:?xt=urn:btmh:1220…'",
            ):
                formatter.write_text(line)
        with formatter.section("Exit codes"):
            formatter.write_text(
                "0 done, 1 failed, 2 wrong usage, 3 the node is not running, 4 not found, 5 refused, "
                "6 unreachable or too late, 130 interrupted"
            )

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            raise click.UsageError(
                f"there is no command {args[0]!r}" + (f"; did you mean {near[0]!r}?" if near else ""), ctx
            )
        return super().resolve_command(ctx, args)


def _version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from servent import __version__

        click.echo(f"servent {__version__}")
        ctx.exit()


@click.command(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="SERVENT_DATA_DIR",
    help="Where the node keeps its key, database and settings; also SERVENT_DATA_DIR.",
)
@click.option("--json", is_flag=True, help="Print JSON for programs; may also stand after the command.")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print it."
)
@click.pass_context
def cli(ctx: click.Context, data_dir: Path | None, json: bool) -> None:
    """A computer as a full peer again: share files, machine to machine, without a server in between."""
    ctx.obj = Session(data_dir.expanduser().absolute() if data_dir else None, json)
    if no_color():
        ctx.color = False


def exit_code(error: BaseException) -> int:
    """The exit code that says whose move it is."""
    from servent.api.client import ApiError, NoAnswer, NodeDown

    if isinstance(error, ApiError):
        kinds = {
            "usage": USAGE,
            "confirm": USAGE,
            "not-found": NOT_FOUND,
            "refused": REFUSED,
            "unauthorized": REFUSED,
            "unreachable": TOO_LATE,
            "timeout": TOO_LATE,
        }
        return kinds.get(error.kind, FAILED)
    codes: list[tuple[type[BaseException], int]] = [
        (NodeDown, NOT_RUNNING),
        (NoAnswer, TOO_LATE),
        (NotFound, NOT_FOUND),
        (UsageError, USAGE),
        (Refused, REFUSED),
        (Unreachable, TOO_LATE),
        (TimeoutError, TOO_LATE),
    ]
    return next((code for kind, code in codes if isinstance(error, kind)), FAILED)


def run(arguments: Sequence[str]) -> int:
    """Run one command line; never raises but for bugs, which show their traceback."""
    session = Session()
    as_json = "--json" in arguments
    try:
        answer = cli.main(list(arguments), prog_name="servent", standalone_mode=False, obj=session)
        return answer if isinstance(answer, int) else OK
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except click.ClickException as wrong:
        if as_json:
            _say_json(wrong.format_message(), "", USAGE)
        else:
            wrong.show()
        return USAGE if isinstance(wrong, click.UsageError) else FAILED
    except ServentError as wrong:
        code = exit_code(wrong)
        if as_json:
            _say_json(str(wrong), wrong.advice, code)
        else:
            say(str(wrong), head=click.style("error: ", fg="red"), err=True)
            if wrong.advice:
                hint(wrong.advice)
        return code
    except BrokenPipeError:  # `servent peers | head`: nobody reads on, which is no failure
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def _say_json(message: str, advice: str, code: int) -> None:
    import msgspec

    click.echo(msgspec.json.encode({"error": message, "advice": advice, "exit": code}).decode(), err=True)


__all__ = ["COMMANDS", "Command", "cli", "exit_code", "run"]
