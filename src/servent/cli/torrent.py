"""BitTorrent: what is fetched from there, what is seeded to it, and .torrent files."""

from __future__ import annotations

import sys
from base64 import b64decode
from pathlib import Path

import click

from servent.api import schema
from servent.api import schema_torrent as bt
from servent.api.client import ApiError, Client
from servent.cli import base
from servent.cli.base import Session, command, hint, say, table
from servent.cli.text import rate, size
from servent.errors import NotFound, UsageError, WorldError

MAX_FILE = 16 * 1024 * 1024  # bytes of a .torrent


@base.group(
    "torrent",
    "servent torrent status",
    "servent torrent seed ~/Music/Live --tracker udp://tracker.example:6969",
    "servent torrent add debian.torrent",
)
def torrent() -> None:
    """BitTorrent: what is fetched from there and seeded to it, and .torrent files."""


@command("status", "servent torrent status", "servent torrent status --json", group=torrent)
def status(session: Session) -> None:
    """Whether the door to BitTorrent is open, the DHT entered, and what moves."""
    now = session.client().torrent_status()

    def people() -> None:
        if not now.installed:
            say("libtorrent is not installed: no BitTorrent and no DHT")
            hint("`pip install 'servent[torrent]'`, then start the node again")
            return
        say(f"{'door':10}{'open' if now.door else 'closed'}" + (f" on port {now.port}" if now.port else ""))
        off = f"off: {now.dht_why}" if now.dht_why else "off"
        dht = f"{now.dht_nodes} nodes known" if now.dht_nodes else "on" if now.dht else off
        say(f"{'DHT':10}{dht}" + (f", we are stored on {now.stored_on} nodes" if now.stored_on else ""))
        if now.proxy != "none":
            say(f"{'proxy':10}{now.proxy}")
        say(f"{'torrents':10}{now.fetching} fetched, {now.seeding} seeded")
        say(f"{'peers':10}{now.peers}")
        say(f"{'up':10}{rate(now.up_bytes_per_s)}, {size(now.sent_bytes)} in all")
        say(f"{'down':10}{rate(now.down_bytes_per_s)}, {size(now.received_bytes)} in all")
        if now.why:
            say(now.why)

    session.show(now, people)


@command("ls", "servent torrent ls", "servent torrent ls --json", group=torrent, quiet=True)
def ls(session: Session) -> None:
    """What comes from BitTorrent, and what is seeded to it."""
    known = session.client().torrents()
    rows = [
        (
            one.id[:12],
            one.name,
            one.version,
            one.state,
            size(one.size_bytes),
            f"{one.done_bytes / one.size_bytes:.0%}" if one.size_bytes else "",
            str(one.peers),
            rate(one.up_bytes_per_s) if one.up_bytes_per_s else "",
            rate(one.down_bytes_per_s) if one.down_bytes_per_s else "",
            size(one.sent_bytes) if one.sent_bytes else "",
            one.reason,
        )
        for one in known
    ]
    headers = ("id", "name", "kind", "state", "size", "here", "peers", "up", "down", "sent", "why")
    session.show(
        known,
        lambda: table(headers, rows, empty="no torrents", right=(4, 5, 6, 7, 8, 9)),
        [one.id for one in known],
    )


@command(
    "seed",
    "servent torrent seed ~/Music/Live",
    "servent torrent seed b2bf9732 --tracker udp://tracker.example:6969",
    "servent torrent seed Live --hybrid --yes",
    group=torrent,
)
@click.argument("what", metavar="SHARE|PATH")
@click.option("--hybrid", is_flag=True, help="For clients of version 1 as well; reads every file once.")
@click.option(
    "--tracker", "trackers", multiple=True, metavar="URL", help="Announce it there, too; may be repeated."
)
@click.option(
    "--web-seed", "web_seeds", multiple=True, metavar="URL", help="Where the same files lie on a web server."
)
@click.option("--yes", is_flag=True, help="Although not everybody was meant to see it.")
def seed(
    session: Session,
    what: str,
    hybrid: bool,
    trackers: tuple[str, ...],
    web_seeds: tuple[str, ...],
    yes: bool,
) -> None:
    """Seed something to BitTorrent, from where it lies.

    SHARE is what `servent shares` lists, by id or name; PATH a file or folder of the library. Nothing is copied, and
    nothing hashed again; the infohash is that of its servent link. With `--hybrid`, programs that know BitTorrent's
    version 1 alone can fetch it, too: then it has an infohash and link of its own. Everybody can see and fetch what is
    seeded, and sees this machine's address: what was shared with fewer, as every folder of the library is, asks first.
    """
    client = session.client()
    path = Path(what).expanduser()
    if path.exists() and not _is_share(client, what):
        what = str(path.resolve())
    seeded(session, client, bt.TorrentSeed(
        what=what, hybrid=hybrid, confirm=yes, trackers=list(trackers), web_seeds=list(web_seeds)
    ))  # fmt: skip


def _is_share(client: Client, what: str) -> bool:
    return any(what in (one.id, one.infohash, one.name) for one in client.shares())


def seeded(session: Session, client: Client, wish: bt.TorrentSeed) -> None:
    """Seed it and say so; where it asks first, ask whoever sits there."""
    import msgspec

    try:
        made = client.seed_torrent(wish)
    except ApiError as wrong:
        if wrong.kind != "confirm" or session.json or not sys.stdin.isatty():
            raise
        say(f"{wrong}. {wrong.advice}".replace(" Say it again with --yes.", ""))
        if not click.confirm("Seed it all the same?", err=True):
            raise click.Abort from None
        made = client.seed_torrent(msgspec.structs.replace(wish, confirm=True))

    def people() -> None:
        say(f"{made.name} is seeded to BitTorrent ({made.version})")
        if made.infohash_v1:
            say(f"infohash v1  {made.infohash_v1}")
        say(f"infohash v2  {made.infohash_v2}")
        say(made.magnet)

    session.show(made, people, [made.id])


@command("unseed", "servent torrent unseed b2bf9732", group=torrent)
@click.argument("what", metavar="TORRENT")
def unseed(session: Session, what: str) -> None:
    """Seed it to BitTorrent no more; the files and the share stay."""
    ended = session.client().unseed_torrent(what)
    session.show(ended, lambda: say(f"{ended.name} is seeded no longer"), [ended.id])


@command(
    "export",
    "servent torrent export b2bf9732",
    "servent torrent export Live -o ~/live.torrent",
    group=torrent,
)
@click.argument("what", metavar="SHARE|TRANSFER|TORRENT")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="The file; `-` prints it. Else NAME.torrent here."
)
@click.option("--force", is_flag=True, help="Although the file is there already.")
def export(session: Session, what: str, output: Path | None, force: bool) -> None:
    """Write the .torrent of something shared, fetched or seeded."""
    client = session.client()
    made = client.torrent_file(what)
    data = b64decode(made.data)
    if str(output) == "-":
        sys.stdout.buffer.write(data)
        return
    path = output.expanduser() if output is not None else Path(made.name)
    path = path / made.name if path.is_dir() else path
    try:
        with path.open("wb" if force else "xb") as file:
            file.write(data)
    except FileExistsError:
        raise UsageError(f"{path} is there already", advice="--force writes over it.") from None
    except OSError as wrong:
        raise WorldError(f"{path} cannot be written: {wrong.strerror}") from wrong
    session.show({"path": str(path), "size_bytes": len(data)}, lambda: say(str(path)))


@command(
    "add",
    "servent torrent add debian.torrent",
    "servent torrent add debian.torrent --to ~/Downloads",
    group=torrent,
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--to", "to", metavar="FOLDER", help="Where to put it; else the download folder.")
def add(session: Session, file: Path, to: str | None) -> None:
    """Fetch what a .torrent file names, and return at once; `servent get FILE` waits until it is there."""
    begun = by_file(session.client(), file, to)
    session.show(
        begun, lambda: say(f"{begun.name} is being fetched; `servent transfers` shows it"), [begun.id]
    )


def by_file(client: Client, file: Path, to: str | None) -> schema.Transfer:
    """Begin to fetch by a .torrent on this machine.

    Raises:
        NotFound, WorldError: it is not there, or cannot be read. UsageError: it is too large for a .torrent.
    """
    try:
        with file.expanduser().open("rb") as opened:
            data = opened.read(MAX_FILE + 1)
    except FileNotFoundError:
        raise NotFound(f"there is no {file}", advice="Paths are looked up on this machine.") from None
    except OSError as wrong:
        raise WorldError(f"{file} cannot be read: {wrong.strerror}") from wrong
    if len(data) > MAX_FILE:
        raise UsageError(f"{file} is larger than {size(MAX_FILE)}, which no .torrent is")
    return client.fetch_torrent(data, str(Path(to).expanduser().absolute()) if to is not None else None)


@command("peers", "servent torrent peers b2bf9732", group=torrent, quiet=True)
@click.argument("what", metavar="TORRENT")
def peers(session: Session, what: str) -> None:
    """The BitTorrent peers of one torrent."""
    known = session.client().torrent_peers(what)
    rows = [
        (
            one.address,
            one.client,
            one.transport,
            "out" if one.outgoing else "in",
            f"{one.progress:.0%}",
            rate(one.up_bytes_per_s),
            rate(one.down_bytes_per_s),
        )
        for one in known
    ]
    headers = ("address", "program", "by", "way", "has", "up", "down")
    session.show(
        known, lambda: table(headers, rows, empty="no peers", right=(4, 5, 6)), [one.address for one in known]
    )
