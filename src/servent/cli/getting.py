"""Fetching: a link, what a search or a listing showed, or a path of a peer; choosing files; following it to its end."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click
import msgspec

from servent.api import schema
from servent.api import schema_getting as getting
from servent.api import schema_share as share
from servent.api.client import ApiError, Client, NoAnswer, NodeDown
from servent.cli import numbers
from servent.cli.asking import on_this_machine
from servent.cli.base import Session, command, hint, say, table
from servent.cli.progress import Progress
from servent.cli.text import duration, parse_duration, rate, size
from servent.errors import ServentError, UsageError

FIRST_POLLS, FIRST_POLL, LATER_POLL = (
    50,
    0.1,
    0.25,
)  # the first 5 s are looked at closely: most small files end there

SAID_AFTER = 5  # polls; what passes sooner is not worth a line that stays

Priority = Literal["low", "normal", "high"]


class TransferFailed(ServentError):
    """The transfer ended without all of its bytes."""


class TooSlow(NoAnswer):
    """The time that was given passed."""


@command(
    "get",
    "servent get 'magnet:?xt=urn:btmh:1220…'",
    "servent get 3",
    "servent get ann:Music/Albums --to ~/Music",
    "servent get 'magnet:?…' --files '*.flac' --priority high --json",
    "servent get debian.torrent",
    "servent get - < link.txt",
)
@click.argument("link", required=False, metavar="LINK|N|PEER:PATH|FILE")
@click.option("--to", type=click.Path(file_okay=False, path_type=Path), help="Folder to put it in.")
@click.option(
    "--files",
    "patterns",
    multiple=True,
    metavar="PATTERN",
    help="Only files inside that match; may be repeated.",
)
@click.option(
    "--priority",
    type=click.Choice(["low", "normal", "high"]),
    default="normal",
    help="Its place in the queue.",
)
@click.option(
    "--preview", is_flag=True, help="Only to look at: in order, into the cache, and it leaves by itself."
)
@click.option("--detach", is_flag=True, help="Start it and return at once.")
@click.option(
    "--cancel-on-exit", is_flag=True, help="Ctrl-C ends the transfer, instead of leaving it to the node."
)
@click.option("--timeout", metavar="TIME", help="Give up waiting after 10m, 2h, …; the node goes on.")
def get(
    session: Session,
    link: str | None,
    to: Path | None,
    patterns: tuple[str, ...],
    priority: Priority,
    preview: bool,
    detach: bool,
    cancel_on_exit: bool,
    timeout: str | None,
) -> None:
    """Fetch a hit, a path of a peer or a link; returns when all is verified and on disk.

    N is the number of a hit of the last search or listing, PEER:PATH a file or folder of a peer, FILE a .torrent. Ctrl-C leaves it to the node, which goes on fetching. Progress goes to stderr.
    """
    if link is None or link == "-":
        link = sys.stdin.read(64 * 1024).strip() if link == "-" else os.environ.get("SERVENT_LINK", "")
    link = link.strip()
    if not link:
        raise UsageError("a link is missing", advice="`servent get LINK`, or `-` to read it from stdin.")
    limit = parse_duration(timeout) if timeout else None
    client = session.client()
    wish = _named(session, client, link)
    if wish is None and link.lower().endswith(".torrent") and "?" not in link:
        from servent.cli.torrent import by_file

        transfer = by_file(client, Path(link), on_this_machine(to) if to else None)
        if priority != "normal":
            transfer = client.change_transfer(transfer.id, getting.TransferChange(priority=priority))
        if patterns:
            choose(client, transfer, patterns)
    elif wish is not None:
        transfer = client.get(ordered(wish, to, preview=preview, priority=priority, files=patterns))
    elif preview:
        raise UsageError("a link has no preview", advice="Leave --preview away, or give a hit's number.")
    else:
        transfer = client.download(link, on_this_machine(to) if to else None, patterns)
        if priority != "normal":
            transfer = client.change_transfer(transfer.id, getting.TransferChange(priority=priority))
    if patterns and transfer.files and transfer.wanted_files is None:  # it was being fetched already
        choose(client, transfer, patterns)
    follow(session, client, transfer, detach=detach, cancel_on_exit=cancel_on_exit, limit=limit)


def _named(session: Session, client: Client, text: str) -> getting.NewGet | None:
    """What a number or PEER:PATH means; None for a link. Raises NotFound."""
    if text.isascii() and text.isdigit():
        return numbers.find(session.folder, int(text))
    peer, colon, path = text.partition(":")
    if text.lower().endswith(".torrent") and os.path.exists(os.path.expanduser(text)):
        return None
    if not colon or peer.lower() in ("magnet", "servent", "http", "https") or peer.startswith("servent-"):
        return None
    return numbers.found_at(client, peer, path)


def ordered(
    wish: getting.NewGet,
    to: Path | None = None,
    *,
    preview: bool = False,
    priority: Priority = "normal",
    files: Sequence[str] = (),
) -> getting.NewGet:
    """A wish with what was said on the command line."""
    where = on_this_machine(to) if to else None
    return msgspec.structs.replace(wish, to=where, preview=preview, priority=priority, files=list(files))


def follow(
    session: Session,
    client: Client,
    transfer: schema.Transfer,
    *,
    detach: bool = False,
    cancel_on_exit: bool = False,
    limit: float | None = None,
) -> None:
    """Wait for a transfer's end and say where it is; Ctrl-C leaves it to the node.

    Raises:
        TransferFailed: it ended otherwise. NodeDown: the node did. TooSlow: after `limit` s.
    """
    if detach:
        session.show(transfer, lambda: say(transfer.id))
        return
    try:
        transfer = _wait(client, transfer, limit)
    except KeyboardInterrupt:
        if cancel_on_exit:
            client.cancel(transfer.id)
            hint("cancelled; what was fetched so far is removed")
        else:
            hint(
                f"detached; the node goes on. `servent transfers` shows it, `servent cancel {transfer.id[:12]}` ends it"
            )
        raise
    except NodeDown as gone:
        raise NodeDown(
            "the node stopped while it was fetching",
            advice="Nothing verified is lost: `servent up`, and it goes on by itself.",
        ) from gone
    if transfer.state != "complete":
        advice, verbs = transfer.advice or "", {"failed": "tries again", "paused": "goes on where it stopped"}
        if transfer.state in verbs:
            advice += f" `servent resume {transfer.id[:12]}` {verbs[transfer.state]}."
        raise TransferFailed(
            transfer.error or transfer.reason or f"the transfer is {transfer.state}", advice=advice.strip()
        )
    session.show(transfer, lambda: say(transfer.path or transfer.name))


def _wait(client: Client, transfer: schema.Transfer, limit: float | None) -> schema.Transfer:
    """Follow a transfer to its end."""
    begun, polls, said = time.monotonic(), 0, ""
    with Progress(transfer.name or "fetching") as progress:
        while transfer.state not in schema.ENDED:
            if limit is not None and time.monotonic() - begun > limit:
                raise TooSlow(
                    f"not complete after {duration(limit)}",
                    advice=f"The node goes on; `servent transfers` shows it, `servent cancel {transfer.id[:12]}` ends it.",
                )
            if (
                transfer.state == "paused" and transfer.error
            ):  # the disk, not a person: it will not go on by itself
                break
            moving = transfer.state in ("active", "checking")
            part = transfer.done_bytes / transfer.size_bytes if transfer.size_bytes else 0.0
            if transfer.checking is not None:
                part = transfer.checking
            sources = transfer.peers or len(transfer.sources)
            detail = f"{size(transfer.done_bytes)} of {size(transfer.size_bytes)}, {rate(transfer.rate_bytes_per_s)}"
            detail += f" from {sources} source{'' if sources == 1 else 's'}" if sources else ""
            if transfer.state == "active" and not sources and transfer.reason:
                detail = f"{size(transfer.done_bytes)} of {size(transfer.size_bytes)}, {transfer.reason}"
            if transfer.eta_s is not None:
                detail += f", {duration(transfer.eta_s)} left"
            progress.show(part, detail if moving else transfer.reason or transfer.state, name=transfer.name)
            if transfer.reason and polls >= SAID_AFTER and _gist(transfer.reason) != said and not moving:
                said = _gist(transfer.reason)
                progress.note(transfer.reason)
            time.sleep(FIRST_POLL if polls < FIRST_POLLS else LATER_POLL)
            polls += 1
            transfer = client.transfer(transfer.id)
        if transfer.state == "complete":
            took = max(0.001, (transfer.finished or time.time()) - (transfer.started or time.time()))
            some, of = transfer.wanted_files, transfer.files
            part_of = f"{some} of {of} files, " if some is not None and some < of else ""
            progress.done(
                f"{part_of}{size(transfer.size_bytes)} verified, {rate(transfer.size_bytes / took)}"
            )
    return transfer


def _gist(reason: str) -> str:
    """A reason without its numbers: one that only counts down is said once."""
    return re.sub(r"\d+", "", reason)


# files inside a collection


def all_files(client: Client, transfer: str) -> list[getting.TransferFile]:
    """Every file of a transfer, page by page."""
    found: list[getting.TransferFile] = []
    while True:
        page = client.transfer_files(transfer, share.Page(offset=len(found), limit=share.MOST_PAGE))
        found += page
        if len(page) < share.MOST_PAGE:
            return found


def choose(
    client: Client, transfer: schema.Transfer, patterns: tuple[str, ...]
) -> list[getting.TransferFile]:
    """Fetch only the files that match one of `patterns`; waits until it is known which files there are.

    Raises:
        NotFound: none matches. TransferFailed: it ended before.
    """
    while transfer.state in ("connecting", "metadata") or not transfer.files:
        if transfer.state == "paused":
            break  # the node remembers the patterns
        if transfer.state in ("failed", "cancelled"):
            raise TransferFailed(
                transfer.error or f"the transfer is {transfer.state}", advice=transfer.advice or ""
            )
        time.sleep(FIRST_POLL)
        transfer = client.transfer(transfer.id)
    return client.choose_files(transfer.id, getting.FileChoice(files=list(patterns)))


@command(
    "files",
    "servent files 1a2b3c",
    "servent files 1a2b3c --only '*.flac' --only cover.jpg",
    "servent files 1a2b3c --all",
)
@click.argument("transfer")
@click.option("--only", multiple=True, metavar="PATTERN", help="Fetch only what matches; may be repeated.")
@click.option("--all", "every", is_flag=True, help="Fetch all of them again.")
def files(session: Session, transfer: str, only: tuple[str, ...], every: bool) -> None:
    """The files inside a transfer; choose which to fetch."""
    client = session.client()
    if only and every:
        raise UsageError("--only and --all contradict each other")
    found = client.transfer(transfer)
    if only:
        choose(client, found, only)
    elif every:
        client.choose_files(found.id, getting.FileChoice())
    known = all_files(client, found.id)
    if only and not known and not session.json:
        hint("Nobody has said yet what is in it; once it goes on, only what matches is fetched.")
    rows = [
        (
            str(file.index),
            "yes" if file.wanted else "no",
            f"{file.done_bytes / file.size_bytes:.0%}" if file.size_bytes else "100%",
            size(file.size_bytes),
            file.path,
        )
        for file in known
    ]
    session.show(
        known,
        lambda: table(("", "wanted", "done", "size", "path"), rows, empty="not known yet", right=(0, 2, 3)),
    )


__all__ = [
    "ApiError",
    "TooSlow",
    "TransferFailed",
    "all_files",
    "choose",
    "files",
    "follow",
    "get",
    "ordered",
]
