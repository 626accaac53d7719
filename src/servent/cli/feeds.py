"""Feeds: publish something under a name that always means its newest version, follow those of others."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from servent.api import schema_share as share
from servent.cli.asking import on_this_machine, unless_doubtful
from servent.cli.base import Session, command, hint, say, table
from servent.cli.text import duration, size
from servent.errors import NotFound, UsageError


@command(
    "publish",
    "servent publish site ~/Site",
    "servent publish mixes ~/Music/Mixes --no-watch",
    "servent publish site",
)
@click.argument("name")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option(
    "--watch/--no-watch", default=True, show_default=True, help="Publish a version whenever it changes."
)
def publish(session: Session, name: str, path: Path | None, watch: bool) -> None:
    """Publish a file or folder under a name that always means its newest version; prints the link.

    Without PATH, it looks at what is published under the name already, and publishes a version if it changed.
    """
    client = session.client()
    if path is None:
        feed = client.publish_again(name)
    else:
        if not path.expanduser().exists():
            raise NotFound(f"there is no {path}", advice="Paths are looked up on this machine.")
        where = on_this_machine(path)
        feed = unless_doubtful(
            lambda _: client.publish(share.NewFeed(name=name, path=where, watch=watch)), yes=False
        )
    session.show(feed, lambda: say(feed.link or feed.reason), [feed.id])
    if not session.json:
        hint(
            f"{feed.name}: {feed.state}"
            + (f", version {feed.sequence}" if feed.sequence else "")
            + (f"; {feed.reason}" if feed.reason else "")
        )
        hint("Whoever may reach this node runs: servent follow 'LINK'")


@command(
    "follow",
    "servent follow 'magnet:?xs=urn:btpk:…'",
    "servent follow 'magnet:?xs=urn:btpk:…' --to ~/Mixes --keep 2",
    "servent follow - < link.txt",
)
@click.argument("link")
@click.option("--to", type=click.Path(file_okay=False, path_type=Path), help="Folder to put it in.")
@click.option(
    "--auto/--no-auto", default=True, show_default=True, help="Fetch each new version, or only tell."
)
@click.option(
    "--keep",
    type=click.IntRange(0, 100),
    default=0,
    show_default=True,
    help="How many old versions stay on disk.",
)
def follow(session: Session, link: str, to: Path | None, auto: bool, keep: int) -> None:
    """Follow somebody's feed: each new version is fetched, what did not change is not fetched again."""
    if link == "-":
        link = sys.stdin.read(64 * 1024)
    if not link.strip():
        raise UsageError("a link is missing", advice="`servent follow LINK`, or `-` to read it from stdin.")
    request = share.FollowRequest(
        link=link.strip(), to=on_this_machine(to) if to else None, auto=auto, keep=keep
    )
    feed = session.client().follow(request)
    session.show(
        feed,
        lambda: say(f"following {feed.name}" + (f" of {feed.publisher_name}" if feed.publisher_name else "")),
        [feed.id],
    )
    if feed.reason and not session.json:
        hint(feed.reason)


@command(
    "feeds",
    "servent feeds",
    "servent feeds weekly-mix",
    "servent feeds weekly-mix --check",
    "servent feeds weekly-mix --pause",
    "servent feeds site --remove",
    quiet=True,
)
@click.argument("feed", required=False)
@click.option("--check", is_flag=True, help="Ask for a newer version, now.")
@click.option("--remove", is_flag=True, help="Publish or follow it no longer; the files stay.")
@click.option("--pause/--resume", "paused", default=None, help="Leave it alone for now, or go on.")
@click.option("--auto/--no-auto", default=None, help="Fetch each new version, or only tell.")
@click.option(
    "--watch/--no-watch", default=None, help="Publish a version whenever it changes, or only when told."
)
@click.option("--keep", type=click.IntRange(0, 100), help="How many old versions stay on disk.")
def feeds(
    session: Session,
    feed: str | None,
    check: bool,
    remove: bool,
    paused: bool | None,
    auto: bool | None,
    watch: bool | None,
    keep: int | None,
) -> None:
    """Feeds of yours, and those you follow; with the name of one, its versions, or what is to change."""
    client = session.client()
    change = share.FeedChange(auto=auto, watch=watch, paused=paused, keep=keep)
    if feed is None:
        if check or remove or change != share.FeedChange():
            raise UsageError("say which feed", advice="`servent feeds` lists them.")
        _list(session, client.feeds())
        return
    if remove:
        client.remove_feed(feed)
        session.show({"removed": feed}, lambda: say(f"{feed} is left; the files stay"))
        return
    if change != share.FeedChange():
        now = client.change_feed(feed, change)
    elif check:
        now = client.check_feed(feed)
    else:
        found = [one for one in client.feeds() if feed in (one.id, one.name) or one.id.startswith(feed)]
        if len(found) != 1:
            raise NotFound(
                f"{'several feeds match' if found else 'there is no feed'} {feed!r}",
                advice="`servent feeds` lists them.",
            )
        now = found[0]
    session.show(now, lambda: _one(now), [now.id])


def _one(feed: share.Feed) -> None:
    owner = "yours" if feed.mine else f"of {feed.publisher_name or feed.publisher[:8]}"
    say(f"{feed.name}, {owner}: {feed.state}{'; ' if feed.reason else ''}{feed.reason}")
    if feed.path:
        say(f"at {feed.path}")
    if feed.link:
        say(feed.link)
    rows = [
        (
            str(one.sequence),
            time.strftime("%Y-%m-%d %H:%M", time.localtime(one.published)),
            str(one.files),
            size(one.size_bytes),
            one.note,
        )
        for one in feed.versions
    ]
    table(("version", "of", "files", "size", "note"), rows, empty="no version yet", right=(0, 2, 3))


def _list(session: Session, known: list[share.Feed]) -> None:
    rows = [
        (
            one.id[:12],
            one.name,
            "you" if one.mine else one.publisher_name or one.publisher[:8],
            one.state,
            f"{one.have} of {one.sequence}" if one.have != one.sequence else str(one.sequence),
            size(one.size_bytes),
            f"{duration(time.time() - one.updated)} ago" if one.updated else "",
            one.reason,
        )
        for one in known
    ]
    headers = ("id", "name", "by", "is", "version", "size", "changed", "note")
    session.show(
        known,
        lambda: table(
            headers, rows, empty="none; `servent publish NAME PATH`, `servent follow LINK`", right=(4, 5)
        ),
        [one.id for one in known],
    )
