"""Handing something over by a short spoken code, to people who are no peers yet."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from servent.api import schema_share as share
from servent.cli.asking import on_this_machine
from servent.cli.base import Session, command, hint, say, table
from servent.cli.progress import Progress
from servent.cli.text import duration, parse_duration, size
from servent.errors import Refused, UsageError

if TYPE_CHECKING:
    from servent.api.client import Client

POLL = 0.25  # s
ENDED = ("done", "failed", "cancelled")
MOST_CODE = 200


class HandOverFailed(Refused):
    """The code was not used by anybody, or not rightly."""


def offer(session: Session, path: Path, *, contact: bool, lifetime: str | None, detach: bool) -> None:
    """`servent send PATH --code`: prints the code at once, and stays until it was used; as JSON two objects.

    Raises:
        HandOverFailed: nobody used it in time, or rightly.
    """
    client = session.client()
    made = client.make_code(
        share.NewCode(
            path=on_this_machine(path),
            contact=contact,
            lifetime=(parse_duration(lifetime) if lifetime else None) or 3600.0,
        )
    )
    session.show(made, lambda: say(made.code))
    if not session.json:
        until = f", for {duration(made.expires - time.time())}" if made.expires else ""
        hint(f"They run: servent receive {made.code}")
        hint(f"It is good for one person{until}. Say it, do not post it.")
    if detach:
        return
    done = _wait(client, made)
    whom = done.peer_name or done.peer[:8] or "they"
    session.show(done, lambda: say(f"{whom} took {done.name}", err=True))


def _wait(client: Client, code: share.Code) -> share.Code:
    """Follow a hand-over to its end; Ctrl-C leaves it to the node."""
    said = ""
    try:
        with Progress(code.name or "code") as progress:
            while code.state not in ENDED:
                transfer = None
                if code.transfer and code.state == "moving":
                    transfer = next((one for one in client.transfers() if one.id == code.transfer), None)
                part = transfer.done_bytes / transfer.size_bytes if transfer and transfer.size_bytes else 0.0
                progress.show(part, code.reason, name=code.name)
                if code.reason and code.state != said:
                    said = code.state
                    progress.note(code.reason)
                time.sleep(POLL)
                found = [one for one in client.codes() if one.id == code.id]
                if not found:
                    raise HandOverFailed(
                        "the hand-over is gone from the node's list", advice="`servent codes` lists them."
                    )
                code = found[0]
    except KeyboardInterrupt:
        hint(
            f"detached; the node goes on. `servent codes` shows it, `servent codes --cancel {code.id[:12]}` ends it"
        )
        raise
    if code.state != "done":
        raise HandOverFailed(
            code.reason or f"it is {code.state}", advice="Make a fresh code: each one is good for one try."
        )
    return code


@command(
    "receive",
    "servent receive",
    "servent receive 4711-walnut-octopus --to ~/Downloads",
    "SERVENT_CODE=4711-walnut-octopus servent receive",
)
@click.argument("code", nargs=-1)
@click.option("--to", type=click.Path(file_okay=False, path_type=Path), help="Folder to put it in.")
@click.option("--no-contact", is_flag=True, help="Do not keep them as a contact, though they would keep you.")
@click.option("--detach", is_flag=True, help="Start it and return at once.")
def receive(session: Session, code: tuple[str, ...], to: Path | None, no_contact: bool, detach: bool) -> None:
    """Fetch what somebody offers under a code they told you.

    Without a code it asks, and completes words with Tab. On a machine you share with others, leave it away or
    set SERVENT_CODE: they can see what you type as an argument.
    """
    client = session.client()
    text = "-".join(" ".join(code).split()) or os.environ.get("SERVENT_CODE", "").strip()
    if code and others_may_look() and not session.json:
        hint(
            "Others on this machine could have read the code from your command line; next time leave it away."
        )
    if not text:
        text = ask(client.complete_code)
    if len(text) > MOST_CODE:
        raise UsageError("this is too long for a code", advice="It looks like 4711-walnut-octopus.")
    begun = client.receive(
        share.ReceiveRequest(code=text, to=on_this_machine(to) if to else None, contact=not no_contact)
    )
    if detach:
        session.show(begun, lambda: say(begun.id))
        return
    done = _wait(client, begun)
    session.show(done, lambda: say(done.path or done.name))
    if not session.json:
        hint(
            f"{done.name}: {size(done.size_bytes)} from {done.peer_name or done.peer[:8] or 'them'}, verified"
        )


def ask(complete: Callable[[str], list[str]]) -> str:
    """A code from a prompt; Tab completes its words. Raises UsageError when nobody is there to ask."""
    if not sys.stdin.isatty():
        text = sys.stdin.readline(1024).strip()
        if not text:
            raise UsageError(
                "a code is missing", advice="`servent receive CODE`, SERVENT_CODE, or a line on stdin."
            )
        return text
    try:
        import readline
    except ImportError:  # Windows: without completion
        return str(click.prompt("Code", err=True)).strip()
    found: list[str] = []

    def completer(text: str, state: int) -> str | None:
        if state == 0:
            found[:] = complete(text)
        return found[state] if state < len(found) else None

    readline.set_completer(completer)
    readline.set_completer_delims("")
    readline.parse_and_bind("tab: complete")
    try:
        return input("Code: ").strip()
    except EOFError:
        raise click.Abort from None
    finally:
        readline.set_completer(None)


def others_may_look() -> bool:
    """Whether people other than this user have accounts here, and so may list its processes' arguments."""
    if os.name != "posix":
        return False
    import pwd

    shells = [
        entry
        for entry in pwd.getpwall()
        if 1000 <= entry.pw_uid < 60_000 and not entry.pw_shell.endswith(("nologin", "false"))
    ]
    return any(entry.pw_uid != os.getuid() for entry in shells)


@command("codes", "servent codes", "servent codes --cancel 1a2b3c", quiet=True)
@click.option("--cancel", metavar="ID", help="End one: its code is worth nothing any more.")
def codes(session: Session, cancel: str | None) -> None:
    """Hand-overs by code: those that wait, and those that ended lately."""
    client = session.client()
    if cancel is not None:
        client.cancel_code(cancel)
        session.show({"cancelled": cancel}, lambda: say("the code is worth nothing any more"))
        return
    known = client.codes()
    rows = [
        (
            one.id[:12],
            "send" if one.sending else "receive",
            one.state,
            one.code,
            one.name,
            size(one.size_bytes) if one.size_bytes else "",
            one.peer_name,
            one.reason,
        )
        for one in known
    ]
    headers = ("id", "way", "is", "code", "name", "size", "with", "note")
    session.show(
        known,
        lambda: table(headers, rows, empty="none; `servent send PATH --code`", right=(5,)),
        [one.id for one in known],
    )
