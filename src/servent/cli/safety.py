"""What this node will have nothing to do with: blocks, reports, filters."""

from __future__ import annotations

import re
import time

import click
import msgspec

from servent.api import schema_share as share
from servent.cli import numbers
from servent.cli.asking import KINDS, parse_size
from servent.cli.base import Session, command, hint, say, table
from servent.cli.text import size
from servent.errors import UsageError

REASONS = ("malware", "illegal", "mislabelled", "spam", "abuse", "other")


def _meant(session: Session, what: str, *, holder: bool = False) -> tuple[str | None, str | None, str]:
    """Content, peer and name of what was named: 64 hex digits, the number of a hit, or a peer.

    `holder`: of a hit also who has it, since the admins of a network with them are told.
    """
    if re.fullmatch(r"[0-9a-f]{64}", what):
        return what, None, ""
    if what.isascii() and what.isdigit():
        hit = numbers.find(session.folder, int(what))
        if hit.content is None:
            raise UsageError(f"number {what} is a folder", advice="Name a file in it, or the peer.")
        return hit.content, _told_of(session, hit.peers) if holder else None, hit.name
    return None, what, ""


def _told_of(session: Session, peers: list[str]) -> str | None:
    """One in a network of ours before others: only a network has somebody to tell."""
    members = {peer.id for peer in session.client().peers() if peer.networks}
    return next((peer for peer in peers if peer in members), next(iter(peers), None))


@command("block", "servent block spammer", "servent block 3 --note 'not what it says'")
@click.argument("what", metavar="PEER|N|CONTENT")
@click.option("--note", default="", help="Why, for yourself.")
def block(session: Session, what: str, note: str) -> None:
    """Never show, fetch or serve one content, or anything with a peer.

    Named by peer, by the number of a hit of the last search, or by content (64 hex digits).
    """
    content, peer, name = _meant(session, what)
    made = session.client().block(share.NewBlock(content=content, peer=peer, name=name, note=note))
    session.show(made, lambda: say(f"{made.name or made.peer or made.content} is blocked"), [made.id])


@command("unblock", "servent unblock spammer", "servent unblock 8046cb7ade9a")
@click.argument("what", metavar="ID|PEER|CONTENT")
def unblock(session: Session, what: str) -> None:
    """End a block; `servent blocks` lists them with their ids."""
    session.client().unblock(what)
    session.show({"unblocked": what}, lambda: say(f"{what} is blocked no longer"))


@command("blocks", "servent blocks", "servent blocks --json", quiet=True)
def blocks(session: Session) -> None:
    """What is blocked."""
    known = session.client().blocks()
    rows = [
        (
            one.id[:12],
            "peer" if one.peer else "content",
            one.name,
            one.note,
            _day(one.since),
            one.peer or one.content,
        )
        for one in known
    ]
    session.show(
        known,
        lambda: table(("id", "what", "name", "note", "since", "of"), rows, empty="nothing is blocked"),
        [one.id for one in known],
    )


def _day(when: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(when)) if when else ""


@command(
    "report",
    "servent report 3 --reason malware",
    "servent report spammer --reason spam --note 'sends adverts'",
    "servent report",
    quiet=True,
)
@click.argument("what", required=False, metavar="PEER|N|CONTENT")
@click.option(
    "--reason", type=click.Choice(REASONS), default="other", show_default=True, help="What is wrong with it."
)
@click.option("--note", default="", help="More, for those who read it.")
def report(session: Session, what: str | None, reason: str, note: str) -> None:
    """Report something bad: it is blocked here, and the admins of your common networks are told.

    Without arguments it lists reports of yours, and those told to you as an admin.
    """
    client = session.client()
    if what is None:
        known = client.reports()
        rows = [
            (
                _day(one.time),
                "you" if one.mine else one.by[:12],
                one.reason,
                one.name,
                one.note,
                one.peer or one.content,
            )
            for one in known
        ]
        headers = ("on", "by", "for", "name", "note", "of")
        session.show(known, lambda: table(headers, rows, empty="no reports"), [one.id for one in known])
        return
    content, peer, name = _meant(session, what, holder=True)
    wish = msgspec.convert(
        {"content": content, "peer": peer, "name": name, "reason": reason, "note": note}, share.NewReport
    )
    made = client.report(wish)
    session.show(made, lambda: say(f"{name or what} is blocked here; {_told(made.told)}"), [made.id])


def _told(count: int) -> str:
    if not count:
        return "no admin of a network of yours could be told"
    return f"{count} admin{'' if count == 1 else 's'} of your networks told"


@command(
    "filters",
    "servent filters",
    "servent filters --word casino --ext exe --kind program",
    "servent filters --max-size 4GB",
    "servent filters --clear --word casino",
)
@click.option(
    "--word", "words", multiple=True, metavar="WORD", help="Hide names that hold it; may be repeated."
)
@click.option("--ext", "exts", multiple=True, metavar="EXT", help="Hide these endings; may be repeated.")
@click.option(
    "--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Hide this kind; may be repeated."
)
@click.option("--min-size", metavar="SIZE", help="Hide what is smaller; off for none.")
@click.option("--max-size", metavar="SIZE", help="Hide what is larger; off for none.")
@click.option("--clear", is_flag=True, help="Begin with none; what is given beside it holds.")
def filters(
    session: Session,
    words: tuple[str, ...],
    exts: tuple[str, ...],
    kinds: tuple[share.Kind, ...],
    min_size: str | None,
    max_size: str | None,
    clear: bool,
) -> None:
    """What is never shown in hits, matches and recommendations; options add to it."""
    client = session.client()
    before = client.filters()
    now = share.Filters() if clear else before
    now = share.Filters(
        words=sorted({*now.words, *words}),
        exts=sorted({*now.exts, *(ext.lower().lstrip(".") for ext in exts)}),
        kinds=sorted({*now.kinds, *kinds}),
        min_bytes=now.min_bytes if min_size is None else _size(min_size),
        max_bytes=now.max_bytes if max_size is None else _size(max_size),
    )
    if clear or words or exts or kinds or min_size or max_size:
        now = client.set_filters(now)

    def people() -> None:
        for label, value in (
            ("words", ", ".join(now.words)),
            ("endings", ", ".join(now.exts)),
            ("kinds", ", ".join(now.kinds)),
            ("smaller than", size(now.min_bytes) if now.min_bytes else ""),
            ("larger than", size(now.max_bytes) if now.max_bytes else ""),
        ):
            say(f"{label:14}{value or '-'}")

    session.show(now, people)
    if not session.json and now == share.Filters():
        hint("Nothing is filtered; `servent filters --ext exe` hides programs for Windows.")


def _size(text: str) -> int | None:
    return None if text.lower() in ("off", "none") else parse_size(text)
