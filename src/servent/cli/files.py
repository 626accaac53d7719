"""Sending and fetching, and what is under way."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from servent.api import schema
from servent.api import schema_getting as getting
from servent.api.client import Client
from servent.cli.base import Session, command, hint, print_json, say, table
from servent.cli.getting import TransferFailed
from servent.cli.progress import Progress
from servent.cli.text import duration, parse_rate, rate, size
from servent.errors import NotFound, UsageError

VERIFY_WITHIN = 6 * 3600.0  # s
HASHING_POLL = 0.1  # s


@command(
    "send",
    "servent send ~/Pictures/Crete",
    "servent send report.pdf --json",
    "servent send ~/Pictures/Crete --code",
    "servent send ~/Films/Mine.mkv --torrent",
)
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--code", is_flag=True, help="Print a code to say aloud instead, for one who is no peer yet.")
@click.option(
    "--for", "lifetime", metavar="TIME", help="With --code: how long it is good for; 1h if missing."
)
@click.option("--contact", is_flag=True, help="With --code: both become contacts.")
@click.option("--detach", is_flag=True, help="With --code: print it and return at once.")
@click.option("--torrent", is_flag=True, help="Seed it to BitTorrent, too: everybody can fetch it there.")
@click.option(
    "--hybrid", is_flag=True, help="With --torrent: for clients of version 1 as well; reads every file twice."
)
@click.option("--yes", is_flag=True, help="With --torrent: although not everybody was meant to see it.")
def send(
    session: Session,
    path: Path,
    code: bool,
    lifetime: str | None,
    contact: bool,
    detach: bool,
    torrent: bool,
    hybrid: bool,
    yes: bool,
) -> None:
    """Offer a folder or file; prints its link.

    The files stay where they are. The link is good as long as this node runs and you offer them
    (`servent shares` lists them). With `--code` it waits until somebody used the code; with `--json` it prints
    one object when there is a code, and one at the end.
    """
    if not code and (lifetime or contact or detach):
        raise UsageError("--for, --contact and --detach go with --code")
    if (hybrid or yes) and not torrent:
        raise UsageError("--hybrid and --yes go with --torrent")
    if torrent and code:
        raise UsageError(
            "a code is for one person, and --torrent for everybody", advice="Choose one of them."
        )
    if not path.exists():
        raise NotFound(f"there is no {path}", advice="Paths are looked up on this machine.")
    if code:
        from servent.cli.codes import offer

        offer(session, path, contact=contact, lifetime=lifetime, detach=detach)
        return
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
    if torrent:
        from servent.api.schema_torrent import TorrentSeed
        from servent.cli.torrent import seeded

        seeded(session, client, TorrentSeed(what=share.id, hybrid=hybrid, confirm=yes))
        return
    session.show(share, lambda: say(share.link))
    if not session.json:
        files = "1 file" if share.files == 1 else f"{share.files} files"
        hint(f"{share.name}: {files}, {size(share.size_bytes)}{'; ' if share.reason else ''}{share.reason}")
        hint(
            "Whoever knows this node (`servent ticket`) or shares a network with it runs: servent get 'LINK'"
        )


@command("shares", "servent shares", "servent shares 1a2b3c", "servent shares --remove 1a2b3c", quiet=True)
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
    session.show(
        known,
        lambda: table(headers, rows, empty="nothing; `servent send PATH`", right=(3, 4, 5)),
        [one.id for one in known],
    )
    if terminal and known and not session.json and not session.quiet:
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
    quiet=True,
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
    session.show(
        known,
        lambda: table(_HEADERS, _rows(known), empty="nothing moves", right=(4, 5, 6, 7)),
        [one.id for one in known],
    )


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
    "servent limits --peer ann --up 1MB/s --down off",
)
@click.option("--up", metavar="RATE", help="To all peers together: 10MB/s, 800k, off.")
@click.option("--down", metavar="RATE", help="From all peers together.")
@click.option("--peer-up", metavar="RATE", help="To each peer.")
@click.option("--peer-down", metavar="RATE", help="From each peer.")
@click.option("--slots", type=click.IntRange(1, 256), help="Peers served at once; others wait in line.")
@click.option("--peer", metavar="PEER", help="--up and --down are for this peer alone.")
def limits(
    session: Session,
    up: str | None,
    down: str | None,
    peer_up: str | None,
    peer_down: str | None,
    slots: int | None,
    peer: str | None,
) -> None:
    """Show or set how fast this node may send and fetch."""
    client = session.client()
    if peer is not None:
        if peer_up is not None or peer_down is not None or slots is not None:
            raise UsageError("--peer goes with --up and --down alone")
        _limit_one(session, client, peer, up, down)
        return
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


def _limit_one(session: Session, client: Client, peer: str, up: str | None, down: str | None) -> None:
    """Show or set the limits of one peer; without any limit left it is as all others."""
    import msgspec

    whom = _known(client, peer)
    queue = client.queue()
    now = next((one for one in queue.peers if one.peer == whom), getting.PeerLimit(peer=whom))
    if up is not None or down is not None:
        wanted = getting.PeerLimit(
            peer=whom,
            up_bytes_per_s=now.up_bytes_per_s if up is None else parse_rate(up),
            down_bytes_per_s=now.down_bytes_per_s if down is None else parse_rate(down),
        )
        others = [one for one in queue.peers if one.peer != whom]
        if wanted != getting.PeerLimit(peer=whom):
            others.append(wanted)
        client.set_queue(msgspec.structs.replace(queue, peers=others))
        now = wanted

    def people() -> None:
        for label, value in (("up to", now.up_bytes_per_s), ("down from", now.down_bytes_per_s)):
            say(f"{label + ' ' + peer[:12]:24}{'as all others' if value is None else rate(value)}")

    session.show(now, people)


def _known(client: Client, peer: str) -> str:
    """The id of a peer by its id, short id or a name only one of them has. Raises NotFound."""
    found = {
        one.id for one in client.peers() if peer in (one.id, one.short_id, one.petname) or peer == one.name
    }
    if len(found) != 1:
        raise NotFound(
            f"{'several are' if found else 'nobody here is'} called {peer!r}",
            advice="`servent peers` lists who there is; give the id.",
        )
    return found.pop()
