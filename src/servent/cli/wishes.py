"""The wish list: queries that keep watching."""

from __future__ import annotations

import time
from pathlib import Path

import click

from servent.api import schema_share as share
from servent.cli import numbers
from servent.cli.asking import on_this_machine, parse_size
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
from servent.cli.text import duration, size
from servent.errors import UsageError


@group(
    "wish",
    "servent wish add nina simone type:audio",
    "servent wish list",
    "servent wish matches 1a2b3c",
    invoke_without_command=True,
)
@quiet_option
@json_option
@pass_session
@click.pass_context
def wish(ctx: click.Context, session: Session) -> None:
    """The wish list: queries that keep watching, and may fetch by themselves.

    Each is watched for in the own library, by connected peers, and as a standing question with the supernodes of your
    networks, who tell at once when somebody offers something new; the note says where.
    """
    if ctx.invoked_subcommand is None:
        _list(session)


def _list(session: Session) -> None:
    known = session.client().wishes()
    rows = [
        (
            one.id[:12],
            one.q,
            "paused" if one.paused else f"fetches up to {one.most}" if one.auto else "tells",
            str(one.matches),
            str(one.new),
            f"{duration(time.time() - one.last_match)} ago" if one.last_match else "",
            one.reason,
        )
        for one in known
    ]
    session.show(
        known,
        lambda: table(
            ("id", "wish", "and", "found", "new", "last", "note"),
            rows,
            empty="none; `servent wish add WORDS`",
            right=(3, 4),
        ),
        [one.id for one in known],
    )


@command("list", "servent wish list", "servent wish list --json", group=wish, quiet=True)
def list_(session: Session) -> None:
    """List wishes, and what they found."""
    _list(session)


@command(
    "add",
    "servent wish add nina simone type:audio",
    "servent wish add 'artist:\"nick drake\" ext:flac' --auto --most 5 --max-size 200MB --to ~/Music",
    "servent wish add holiday --peer ann --auto",
    group=wish,
    words=True,
)
@click.argument("words", nargs=-1, required=True)
@click.option("--auto", is_flag=True, help="Fetch what matches, without asking.")
@click.option(
    "--most",
    type=click.IntRange(1, 10_000),
    default=10,
    show_default=True,
    help="With --auto: at most so many in all.",
)
@click.option("--max-size", metavar="SIZE", help="With --auto: nothing larger, as 200MB.")
@click.option("--peer", "peers", multiple=True, metavar="PEER", help="Only from these; may be repeated.")
@click.option(
    "--to", type=click.Path(file_okay=False, path_type=Path), help="With --auto: folder to put it in."
)
def add(
    session: Session,
    words: tuple[str, ...],
    auto: bool,
    most: int,
    max_size: str | None,
    peers: tuple[str, ...],
    to: Path | None,
) -> None:
    """Watch for something, among all peers that come; words are as for `servent search`."""
    made = session.client().add_wish(
        share.NewWish(
            q=" ".join(words), auto=auto, most=most, max_bytes=parse_size(max_size) if max_size else None,
            peers=list(peers), to=on_this_machine(to) if to else None,
        )
    )  # fmt: skip
    session.show(made, lambda: say(f"watching for {made.q}"), [made.id])
    if not session.json:
        hint(
            f"`servent wish matches {made.id[:12]}` shows what it finds."
            + (f" Now: {made.reason}" if made.reason else "")
        )


@command("matches", "servent wish matches 1a2b3c", group=wish, quiet=True)
@click.argument("wish")
@click.option(
    "--limit",
    type=click.IntRange(1, share.MOST_PAGE),
    default=100,
    show_default=True,
    help="At most so many.",
)
@click.option("--keep-new", is_flag=True, help="Do not mark them as seen.")
def matches(session: Session, wish: str, limit: int, keep_new: bool) -> None:
    """Show what a wish found, newest first; numbered for `servent get N`."""
    client = session.client()
    known = client.wish_matches(wish, share.Page(limit=limit))
    numbers.keep(session.folder, [numbers.of_hit(one.hit) for one in known])
    rows = [
        (
            str(number),
            "" if one.seen else "new",
            one.hit.name,
            size(one.hit.size_bytes),
            ", ".join(source.name or source.peer[:8] for source in one.hit.sources),
            "fetched" if one.transfer else "",
        )
        for number, one in enumerate(known, 1)
    ]
    session.show(
        known,
        lambda: table(("", "", "name", "size", "from", ""), rows, empty="nothing yet", right=(0, 3)),
        [one.hit.content for one in known],
    )
    if not keep_new and any(not one.seen for one in known):
        client.change_wish(wish, share.WishChange(seen=True))


@command(
    "change", "servent wish change 1a2b3c --auto --most 3", "servent wish change 1a2b3c --pause", group=wish
)
@click.argument("wish")
@click.option("--words", metavar="WORDS", help="Other words.")
@click.option("--auto/--no-auto", default=None, help="Fetch what matches, or only tell.")
@click.option("--most", type=click.IntRange(1, 10_000), help="At most so many in all.")
@click.option("--max-size", metavar="SIZE", help="Nothing larger, as 200MB.")
@click.option(
    "--peer", "peers", multiple=True, metavar="PEER", help="Only from these, all of them anew; '' for all."
)
@click.option("--to", type=click.Path(file_okay=False, path_type=Path), help="Folder to put it in.")
@click.option("--pause/--resume", "paused", default=None, help="Stop watching for now, or go on.")
def change(
    session: Session,
    wish: str,
    words: str | None,
    auto: bool | None,
    most: int | None,
    max_size: str | None,
    peers: tuple[str, ...],
    to: Path | None,
    paused: bool | None,
) -> None:
    """Change or pause a wish."""
    changed = share.WishChange(
        q=words, auto=auto, most=most, max_bytes=parse_size(max_size) if max_size else None, paused=paused,
        peers=[peer for peer in peers if peer] if peers else None, to=on_this_machine(to) if to else None,
    )  # fmt: skip
    if changed == share.WishChange():
        raise UsageError("nothing to change", advice="See `servent wish change --help`.")
    now = session.client().change_wish(wish, changed)
    session.show(now, lambda: say(f"{now.q}: {'paused' if now.paused else now.reason or 'watching'}"))


@command("remove", "servent wish remove 1a2b3c", group=wish)
@click.argument("wish")
def remove(session: Session, wish: str) -> None:
    """Watch for it no longer; what was fetched stays."""
    session.client().remove_wish(wish)
    session.show({"removed": wish}, lambda: say("no longer watched for; what was fetched stays"))
