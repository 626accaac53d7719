"""Sending and fetching, and what is under way."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path

import click

from servent.api import schema
from servent.api.client import Client, NoAnswer, NodeDown
from servent.cli.base import Session, command, hint, print_json, say, table
from servent.cli.progress import Progress
from servent.cli.text import duration, parse_duration, parse_rate, rate, size
from servent.errors import NotFound, ServentError, UsageError

VERIFY_WITHIN = 6 * 3600.0  # s
HASHING_POLL = 0.1  # s
FIRST_POLLS, FIRST_POLL, LATER_POLL = (
    50,
    0.1,
    0.25,
)  # the first 5 s are looked at closely: most small files end there


class TransferFailed(ServentError):
    """The transfer ended without all of its bytes."""


class TooSlow(NoAnswer):
    """The time that was given passed."""


@command("send", "servent send ~/Pictures/Crete", "servent send report.pdf --json")
@click.argument("path", type=click.Path(path_type=Path))
def send(session: Session, path: Path) -> None:
    """Offer a folder or file; prints its link.

    The files stay where they are. The link is good as long as this node runs and you offer them
    (`servent shares` lists them).
    """
    if not path.exists():
        raise NotFound(f"there is no {path}", advice="Paths are looked up on this machine.")
    client = session.client()
    share = client.add_share(str(path.expanduser().resolve()))
    try:
        with Progress(f"hashing {path.resolve().name}") as progress:
            while share.state == "hashing":
                progress.show(share.progress)
                time.sleep(HASHING_POLL)
                share = client.share(share.id)
    except KeyboardInterrupt:
        hint("the node goes on reading it; `servent shares` shows it, `servent shares --remove ID` ends it")
        raise
    if share.state == "failed":
        client.remove_share(share.id)  # said here; in the list it would only stand about
        raise TransferFailed(share.reason or "it could not be read")
    session.show(share, lambda: say(share.link))
    if not session.json:
        files = "1 file" if share.files == 1 else f"{share.files} files"
        hint(f"{share.name}: {files}, {size(share.size_bytes)}{'; ' if share.reason else ''}{share.reason}")
        hint(
            "Whoever knows this node (`servent ticket`) or shares a network with it runs: servent get 'LINK'"
        )


@command(
    "get",
    "servent get 'magnet:?xt=urn:btmh:1220…'",
    "servent get 'magnet:?…' --to ~/Downloads --json",
    "servent get - < link.txt",
)
@click.argument("link", required=False)
@click.option("--to", type=click.Path(file_okay=False, path_type=Path), help="Folder to put it in.")
@click.option("--detach", is_flag=True, help="Start it and return at once.")
@click.option(
    "--cancel-on-exit", is_flag=True, help="Ctrl-C ends the transfer, instead of leaving it to the node."
)
@click.option("--timeout", metavar="TIME", help="Give up waiting after 10m, 2h, …; the node goes on.")
def get(
    session: Session,
    link: str | None,
    to: Path | None,
    detach: bool,
    cancel_on_exit: bool,
    timeout: str | None,
) -> None:
    """Fetch a link; returns when everything is verified and on disk.

    Ctrl-C leaves it to the node, which goes on fetching. Progress goes to stderr.
    """
    if link is None or link == "-":
        link = sys.stdin.read(64 * 1024).strip() if link == "-" else os.environ.get("SERVENT_LINK", "")
    if not link.strip():
        raise UsageError("a link is missing", advice="`servent get LINK`, or `-` to read it from stdin.")
    limit = parse_duration(timeout) if timeout else None
    client = session.client()
    transfer = client.download(link, str(to.expanduser().resolve()) if to else None)
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
        raise TransferFailed(
            transfer.error or transfer.reason or f"the transfer is {transfer.state}",
            advice=f"{transfer.advice or ''} `servent resume {transfer.id[:12]}` goes on where it stopped.".strip()
            if transfer.state in ("failed", "paused")
            else transfer.advice or "",
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
            if transfer.reason and _gist(transfer.reason) != said and not moving:
                said = _gist(transfer.reason)
                progress.note(transfer.reason)
            time.sleep(FIRST_POLL if polls < FIRST_POLLS else LATER_POLL)
            polls += 1
            transfer = client.transfer(transfer.id)
        if transfer.state == "complete":
            took = max(0.001, (transfer.finished or time.time()) - (transfer.started or time.time()))
            progress.done(f"{size(transfer.size_bytes)} verified, {rate(transfer.size_bytes / took)}")
    return transfer


def _gist(reason: str) -> str:
    """A reason without its numbers: one that only counts down is said once."""
    return re.sub(r"\d+", "", reason)


@command("shares", "servent shares", "servent shares 1a2b3c", "servent shares --remove 1a2b3c")
@click.argument("share", required=False)
@click.option("--remove", metavar="ID", help="Offer it no longer; the files stay.")
def shares(session: Session, share: str | None, remove: str | None) -> None:
    """What this node offers; `--remove` ends it.

    With the id of one, or its beginning, it prints that one's link.
    """
    client = session.client()
    if remove is not None:
        client.remove_share(remove)
        session.show({"removed": remove}, lambda: say("offered no longer; the files stay"))
        return
    if share is not None:
        found = client.share(share)
        session.show(found, lambda: say(found.link or found.reason or f"it is {found.state}"))
        return
    known = client.shares()
    terminal = sys.stdout.isatty()  # there a link would be broken into lines, and could not be copied
    rows = [
        (
            one.id[:12],
            one.name,
            one.state,
            str(one.files),
            size(one.size_bytes),
            size(one.uploaded_bytes),
            one.path,
            one.reason if terminal else one.link or one.reason,
        )
        for one in known
    ]
    headers = ("id", "name", "is", "files", "size", "sent", "path", "note" if terminal else "link")
    session.show(known, lambda: table(headers, rows, empty="nothing; `servent send PATH`", right=(3, 4, 5)))
    if terminal and known and not session.json:
        hint("`servent shares ID` prints the link of one.")


def _rows(known: list[schema.Transfer]) -> list[tuple[str, ...]]:
    return [
        (
            entry.id[:12],
            entry.name,
            entry.direction,
            entry.state,
            f"{entry.done_bytes / entry.size_bytes:.0%}" if entry.size_bytes else "",
            size(entry.size_bytes) if entry.size_bytes else "",
            rate(entry.rate_bytes_per_s) if entry.rate_bytes_per_s else "",
            duration(entry.eta_s) if entry.eta_s is not None else "",
            entry.error or entry.reason,
        )
        for entry in known
    ]


_HEADERS = ("id", "name", "way", "is", "done", "size", "rate", "left", "why")


@command(
    "transfers",
    "servent transfers",
    "servent transfers --watch",
    "servent transfers --json --watch",
    "servent transfers --clear",
)
@click.option("--watch", is_flag=True, help="Keep showing it until Ctrl-C; with --json one object a change.")
@click.option("--clear", is_flag=True, help="Take the complete and cancelled ones off the list; files stay.")
def transfers(session: Session, watch: bool, clear: bool) -> None:
    """What moves, what waits and why."""
    client = session.client()
    if clear:
        ended = [
            one
            for one in client.transfers()
            if one.state in ("complete", "cancelled") and one.direction == "down"
        ]
        for one in ended:
            client.remove_transfer(one.id)
        count = len(ended)
        session.show(
            {"removed": count}, lambda: say(f"{count} taken off the list; files stay where they are")
        )
        return
    if watch:
        _watch(session, client)
        return
    known = client.transfers()
    session.show(known, lambda: table(_HEADERS, _rows(known), empty="nothing moves", right=(4, 5, 6, 7)))


def _watch(session: Session, client: Client) -> None:
    rows: dict[str, dict[str, object]] = {}
    for event in client.events("transfers"):
        if event.topic != "transfers":
            continue
        if session.json:
            print_json(event.data)
            continue
        items, gone = event.data.get("items", []), event.data.get("gone", [])
        assert isinstance(items, list) and isinstance(gone, list)
        if event.data.get("full"):
            rows.clear()
        for item in items:
            rows[item["id"]] = item
        for name in gone:
            rows.pop(name, None)
        import msgspec

        known = msgspec.convert(list(rows.values()), list[schema.Transfer])
        if sys.stdout.isatty():
            click.clear()
        table(_HEADERS, _rows(known), empty="nothing moves", right=(4, 5, 6, 7))


def _turn(session: Session, verb: str, wanted: tuple[str, ...], every: bool) -> None:
    client = session.client()
    if every:
        want = {"pause": ("active", "queued", "connecting", "metadata"), "resume": ("paused",)}[verb]
        wanted = tuple(
            entry.id for entry in client.transfers() if entry.state in want and entry.direction == "down"
        )
    elif not wanted:
        raise UsageError("say which transfer", advice="`servent transfers` lists them; --all takes all.")
    turned = [getattr(client, verb)(name) for name in wanted]

    def people() -> None:
        for entry in turned:
            say(f"{entry.name or entry.id[:12]} is {entry.state}")
        if not turned:
            say(f"nothing to {verb}")

    session.show(turned, people)


@command("pause", "servent pause 1a2b3c", "servent pause --all")
@click.argument("transfer", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All that move or wait.")
def pause(session: Session, transfer: tuple[str, ...], every: bool) -> None:
    """Pause a transfer."""
    _turn(session, "pause", transfer, every)


@command("resume", "servent resume 1a2b3c", "servent resume --all")
@click.argument("transfer", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All that are paused.")
def resume(session: Session, transfer: tuple[str, ...], every: bool) -> None:
    """Let a paused transfer go on."""
    _turn(session, "resume", transfer, every)


@command("verify", "servent verify 1a2b3c")
@click.argument("transfer", nargs=-1, required=True)
def verify(session: Session, transfer: tuple[str, ...]) -> None:
    """Read a transfer again from the disk.

    What is not right is fetched afresh. A complete one is only read, 1 GB in about a second, and the
    command ends with 2 when it was changed since.
    """
    client = session.client(timeout=VERIFY_WITHIN)
    turned = [client.verify(name) for name in transfer]

    def people() -> None:
        for entry in turned:
            what = "every byte is right" if entry.state == "complete" else f"it is {entry.state}"
            say(f"{entry.name or entry.id[:12]}: {what}")

    session.show(turned, people)


@command("cancel", "servent cancel 1a2b3c")
@click.argument("transfer", nargs=-1, required=True)
def cancel(session: Session, transfer: tuple[str, ...]) -> None:
    """End a transfer and remove what was fetched so far."""
    _turn(session, "cancel", transfer, False)


@command(
    "limits",
    "servent limits",
    "servent limits --up 10MB/s --down off",
    "servent limits --peer-up 2MB/s --slots 4",
)
@click.option("--up", metavar="RATE", help="To all peers together: 10MB/s, 800k, off.")
@click.option("--down", metavar="RATE", help="From all peers together.")
@click.option("--peer-up", metavar="RATE", help="To each peer.")
@click.option("--peer-down", metavar="RATE", help="From each peer.")
@click.option("--slots", type=click.IntRange(1, 256), help="Peers served at once; others wait in line.")
def limits(
    session: Session,
    up: str | None,
    down: str | None,
    peer_up: str | None,
    peer_down: str | None,
    slots: int | None,
) -> None:
    """Show or set how fast this node may send and fetch."""
    client = session.client()
    now = client.limits()
    wanted: dict[str, int | None] = {
        name: parse_rate(text)
        for name, text in (
            ("up_bytes_per_s", up),
            ("down_bytes_per_s", down),
            ("per_peer_up_bytes_per_s", peer_up),
            ("per_peer_down_bytes_per_s", peer_down),
        )
        if text is not None
    }
    if slots is not None:
        wanted["upload_slots"] = slots
    if wanted:
        import msgspec

        now = client.set_limits(msgspec.structs.replace(now, **wanted))

    def people() -> None:
        for label, value in (
            ("up", now.up_bytes_per_s),
            ("down", now.down_bytes_per_s),
            ("up to each peer", now.per_peer_up_bytes_per_s),
            ("down from each peer", now.per_peer_down_bytes_per_s),
        ):
            say(f"{label:21}{'no limit' if value is None else rate(value)}")
        say(f"{'peers served at once':21}{now.upload_slots or 'no limit'}")

    session.show(now, people)
