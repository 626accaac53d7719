"""The library: which folders are shared, with whom, and how far they are hashed."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from servent.api import schema_share as share
from servent.cli.asking import AUDIENCES, NOT_DONE, on_this_machine, unless_doubtful
from servent.cli.base import (
    Session,
    command,
    group,
    hint,
    json_option,
    pass_session,
    quiet_option,
    say,
    table,
)
from servent.cli.progress import Progress
from servent.cli.text import duration, size
from servent.errors import NotFound, UsageError, WorldError

if TYPE_CHECKING:
    from servent.api.client import Client


POLL = 0.25  # s


@group(
    "library",
    "servent library",
    "servent library add ~/Music --for friends",
    "servent library change Music --for network",
    invoke_without_command=True,
)
@quiet_option
@json_option
@pass_session
@click.pass_context
def library(ctx: click.Context, session: Session) -> None:
    """Shared folders: list, add, change, pause and remove them."""
    if ctx.invoked_subcommand is None:
        _list(session)


def _list(session: Session) -> None:
    client = session.client()
    known = client.folders()
    rows = [
        (
            folder.name,
            _whom(folder),
            folder.state,
            _part(folder),
            str(folder.files),
            size(folder.size_bytes),
            folder.path,
            "; ".join(filter(None, (folder.reason, *_left_out(folder)))),
        )
        for folder in known
    ]
    headers = ("name", "for", "is", "hashed", "files", "size", "path", "note")
    session.show(
        known,
        lambda: table(
            headers, rows, empty="nothing is shared; `servent library add FOLDER`", right=(3, 4, 5)
        ),
        [folder.id for folder in known],
    )


def _whom(folder: share.Folder) -> str:
    named = ", ".join(peer[:12] for peer in folder.peers)
    return (
        named or "peers" if folder.audience == "peers" else folder.audience + (f", {named}" if named else "")
    )


def _shared(folder: share.Folder) -> str:
    """The same as a sentence."""
    words = {
        "nobody": "is shared with nobody",
        "friends": "is shared with your friends",
        "network": "is shared with your friends and the members of your networks",
        "peers": f"is shared with {_whom(folder)}",
    }
    return f"{folder.name} {words[folder.audience]}"


def _part(folder: share.Folder) -> str:
    whole = folder.size_bytes or folder.files
    done = folder.hashed_bytes if folder.size_bytes else folder.hashed_files
    left = (
        f", {duration(folder.eta_s)} left" if folder.eta_s is not None and folder.state == "hashing" else ""
    )
    return f"{done / whole:.0%}{left}" if whole else ""


def _left_out(folder: share.Folder) -> list[str]:
    if not folder.skipped:
        return []
    return [f"left out {folder.skipped} ({'; '.join(folder.skipped_why[:3])})"]


@command("list", "servent library list", "servent library list --quiet", group=library, quiet=True)
def list_(session: Session) -> None:
    """List shared folders, and how far they are hashed."""
    _list(session)


@command(
    "add",
    "servent library add ~/Music",
    "servent library add ~/Pictures --for friends --exclude '*.tmp' --exclude 'raw/*'",
    "servent library add ~/Work --for peers --peer ann --name work",
    "servent library add ~/Live --torrent",
    group=library,
)
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--for", "audience", type=click.Choice(AUDIENCES), default="network", show_default=True,
              help="Who may see and fetch it; network: friends and members of your networks.")  # fmt: skip
@click.option("--peer", "peers", multiple=True, metavar="PEER", help="For `--for peers`; may be repeated.")
@click.option("--name", default="", metavar="NAME", help="What others see; the folder's own name if missing.")
@click.option("--include", multiple=True, metavar="PATTERN", help="Only what matches; may be repeated.")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="All but what matches; may be repeated.")
@click.option("--hidden", is_flag=True, help="Hidden files as well.")
@click.option(
    "--yes",
    is_flag=True,
    help="Share it although it holds what people rarely mean to share, or seed it to all.",
)
@click.option("--wait", is_flag=True, help="Return when all of it is hashed, and can be found and fetched.")
@click.option(
    "--torrent",
    is_flag=True,
    help="Seed it to BitTorrent, too, once it is hashed: everybody can fetch it there.",
)
def add(
    session: Session,
    path: Path,
    audience: share.Audience,
    peers: tuple[str, ...],
    name: str,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    hidden: bool,
    yes: bool,
    wait: bool,
    torrent: bool,
) -> None:
    """Share a folder: it is watched, hashed in the background, and can be searched and browsed.

    A folder that holds keys, hidden files of programs, or a whole home directory asks first.
    With `--torrent` it is seeded as it is now; `servent torrent seed` does the same later. No folder is shared with everybody, so
    both ask first.
    """
    if not path.expanduser().is_dir():
        raise NotFound(f"there is no folder {path}", advice="Paths are looked up on this machine.")
    if torrent and not yes:
        _ask_for_everybody(session, audience)
    client = session.client()

    def act(confirm: bool) -> share.Folder:
        return client.add_folder(
            share.NewFolder(
                path=on_this_machine(path), name=name, audience=audience, peers=list(peers), include=list(include),
                exclude=list(exclude), hidden=hidden, confirm=confirm,
            )
        )  # fmt: skip

    made = unless_doubtful(act, yes=yes, otherwise="not shared")
    if wait or torrent:
        made = _hashed(client, made)
    if torrent:
        from servent.api.schema_torrent import TorrentSeed
        from servent.cli.torrent import seeded

        seeded(session, client, TorrentSeed(what=made.path, confirm=True))
        return
    session.show(made, lambda: say(_shared(made)), [made.id])
    if not session.json and not wait:
        hint("It is hashed in the background; `servent library` shows how far.")


def _ask_for_everybody(session: Session, audience: share.Audience) -> None:
    """Before anything is shared. Raises UsageError: nobody is there to ask."""
    what = f"--torrent shows it to everybody, and --for {audience} to fewer"
    if session.json or not sys.stdin.isatty():
        raise UsageError(what, advice="--yes does both.")
    hint(f"{what}. On BitTorrent it cannot be taken back.")
    if not click.confirm("Do both?", err=True):
        hint("not shared")
        raise click.exceptions.Exit(NOT_DONE)


def _hashed(client: Client, folder: share.Folder) -> share.Folder:
    """Follow a folder until it is hashed; Ctrl-C leaves it to the node. Raises WorldError: it failed."""
    try:
        with Progress(f"hashing {folder.name}") as progress:
            while folder.state in ("scanning", "hashing") or (
                folder.state == "watching" and folder.scanned is None  # not looked at yet
            ):
                whole = folder.size_bytes or 1
                part = folder.hashed_bytes / whole if folder.state == "hashing" else 0.0
                progress.show(part, f"{folder.files} files, {size(folder.size_bytes)}")
                time.sleep(POLL)
                folder = client.folder(folder.id)
    except KeyboardInterrupt:
        hint("the node goes on hashing; `servent library` shows how far")
        raise
    if folder.state == "failed":
        raise WorldError(
            folder.reason or "it could not be read", advice="`servent library rescan` tries again."
        )
    return folder


@command(
    "change",
    "servent library change Music --for friends",
    "servent library change Music --name 'My music' --exclude '*.tmp'",
    "servent library change Music --exclude ''",
    group=library,
)
@click.argument("folder")
@click.option("--for", "audience", type=click.Choice(AUDIENCES), help="Who may see and fetch it.")
@click.option(
    "--peer", "peers", multiple=True, metavar="PEER", help="The peers of `--for peers`, all of them."
)
@click.option("--name", metavar="NAME", help="What others see.")
@click.option("--include", multiple=True, metavar="PATTERN", help="All patterns anew; '' for none.")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="All patterns anew; '' for none.")
@click.option("--hidden/--no-hidden", default=None, help="Hidden files as well, or not.")
@click.option("--yes", is_flag=True, help="Do it although it would show what people rarely mean to share.")
def change(
    session: Session,
    folder: str,
    audience: share.Audience | None,
    peers: tuple[str, ...],
    name: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    hidden: bool | None,
    yes: bool,
) -> None:
    """Change who may see a folder, and what belongs to it."""
    client = session.client()
    wanted = client.folder(_named(client, folder))
    if audience is None and name is None and hidden is None and not (peers or include or exclude or yes):
        raise UsageError("nothing to change", advice="See `servent library change --help`.")

    def act(confirm: bool) -> share.Folder:
        return client.change_folder(
            wanted.id,
            share.FolderChange(
                name=name, audience=audience, hidden=hidden, confirm=confirm,
                peers=_anew(peers), include=_anew(include), exclude=_anew(exclude),
            ),
        )  # fmt: skip

    made = unless_doubtful(act, yes=yes)
    session.show(made, lambda: say(_shared(made)), [made.id])


def _anew(given: tuple[str, ...]) -> list[str] | None:
    """None: not given. One empty text: none of them."""
    return [text for text in given if text] if given else None


def _named(client: Client, folder: str) -> str:
    """What the node knows a folder by: its id or name as they are, or the id of the one at a path."""
    if "/" not in folder and "\\" not in folder:
        return folder
    wanted = on_this_machine(Path(folder))
    for one in client.folders():
        if one.path == wanted:
            return one.id
    raise NotFound(f"{folder} is not shared", advice="`servent library` lists what is.")


@command("remove", "servent library remove Music", group=library)
@click.argument("folder")
def remove(session: Session, folder: str) -> None:
    """Share a folder no longer; the files stay."""
    client = session.client()
    gone = client.folder(_named(client, folder))
    client.remove_folder(gone.id)
    session.show({"removed": gone.id}, lambda: say(f"{gone.name} is shared no longer; the files stay"))


def _turned(session: Session, folder: str, paused: bool) -> None:
    client = session.client()
    now = client.pause_folder(_named(client, folder), paused)
    session.show(now, lambda: say(f"{now.name} is {now.state}"))


@command("pause", "servent library pause Music", group=library)
@click.argument("folder")
def pause(session: Session, folder: str) -> None:
    """Stop scanning and hashing for now; what is hashed stays shared."""
    _turned(session, folder, True)


@command("resume", "servent library resume Music", group=library)
@click.argument("folder")
def resume(session: Session, folder: str) -> None:
    """Go on scanning and hashing."""
    _turned(session, folder, False)


@command("rescan", "servent library rescan Music", group=library)
@click.argument("folder")
def rescan(session: Session, folder: str) -> None:
    """Look at all of a folder again, now."""
    client = session.client()
    now = client.rescan_folder(_named(client, folder))
    session.show(now, lambda: say(f"{now.name} is looked through"))
