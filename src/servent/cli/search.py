"""Finding: search the own library and all peers, walk what a peer shares, look at what might please."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from servent.api import schema_getting as getting
from servent.api import schema_share as share
from servent.api.client import read_api_file
from servent.cli import numbers
from servent.cli.asking import KINDS
from servent.cli.base import Session, command, hint, print_json, say, table
from servent.cli.getting import follow, ordered
from servent.cli.holders import asked
from servent.cli.progress import Standing
from servent.cli.text import duration, size
from servent.errors import UsageError

if TYPE_CHECKING:
    from servent.api.client import Client

PAGE = 200  # rows of a listing at once


@command(
    "search",
    "servent search nina simone",
    "servent search 'nina sim*' -live --kind audio",
    "servent search holiday --peer ann --get 1 --to ~/Pictures",
    "servent search lecture --network club",
    "servent search lecture --scope networks",
    "servent search report --mine --json",
    quiet=True,
    words=True,
)
@click.argument("words", nargs=-1)
@click.option("--kind", type=click.Choice(KINDS), help="Only files of this kind.")
@click.option("--peer", default="", metavar="PEER", help="Only what this peer has.")
@click.option("--network", default="", metavar="NAME", help="Only what is found in this network.")
@click.option("--mine", is_flag=True, help="Only the own library.")
@click.option(
    "--scope",
    type=click.Choice(["all", "library", "peers", "networks"]),
    help="Where to look: everywhere, the own library, all others, or what your networks know.  [default: all]",
)
@click.option(
    "--limit", type=click.IntRange(1, 5000), default=200, show_default=True, help="At most so many."
)
@click.option(
    "--wait",
    type=click.FloatRange(0.1, 60),
    default=8.0,
    show_default=True,
    help="Seconds for peers to answer.",
)
@click.option(
    "--get",
    "wanted",
    type=click.IntRange(1),
    multiple=True,
    metavar="N",
    help="Fetch these of the hits, by number.",
)
@click.option(
    "--to", type=click.Path(file_okay=False, path_type=Path), help="With --get: folder to put them in."
)
def search(
    session: Session,
    words: tuple[str, ...],
    kind: share.Kind | None,
    peer: str,
    network: str,
    mine: bool,
    scope: Literal["all", "library", "peers", "networks"] | None,
    limit: int,
    wait: float,
    wanted: tuple[int, ...],
    to: Path | None,
) -> None:
    """Search the own library, connected peers and your networks; hits come as they are found.

    Words are all to be there; "a phrase", begin*, -without, type:audio, size:>10M, ext:flac, artist:, album:,
    title: and peer: narrow it. With --json it prints one object per line: hits, who answered, how far each network was
    asked, and the end.
    """
    if not words and kind is None:
        raise UsageError("no words to look for", advice="`servent search nina simone`, or --kind audio.")
    if mine and scope not in (None, "library"):
        raise UsageError(f"--mine does not go with --scope {scope}")
    scope = "library" if mine else scope or "all"
    if network and (peer or scope == "library"):
        raise UsageError("--network does not go with --peer or the own library")
    if peer and scope == "networks":
        raise UsageError("--scope networks does not go with --peer", advice="A peer is asked itself.")
    client = session.client()
    query = " ".join([*words, *([f"type:{kind}"] if kind else [])])
    me = read_api_file(session.folder).id
    order: dict[str, share.Hit] = {}
    done = share.SearchEvent(kind="done")
    answered: list[share.SearchEvent] = []
    networks: dict[str, share.SearchEvent] = {}
    standing = Standing(not session.json and not session.quiet)
    try:
        for event in client.search(query, scope=scope, peer=peer, network=network, limit=limit, wait=wait):
            if session.json and not wanted:
                print_json(event)
            if event.hit is not None:
                new = event.hit.content not in order
                order[event.hit.content] = event.hit
                if new and not session.json:
                    standing.clear()
                    _say_hit(session, len(order), event.hit)
            if event.kind == "network":
                networks[event.network] = event
                standing.show("; ".join(_how_far(one) for one in networks.values()))
            if event.kind == "peer" and event.peer != me:
                answered.append(event)
            if event.kind == "done":
                done = event
    finally:
        standing.clear()
        numbers.keep(session.folder, [numbers.of_hit(hit) for hit in order.values()])
    if not session.json and not session.quiet:
        _say_end(done, len(order), answered, list(networks.values()))
    for number in wanted:
        _fetch(session, client, numbers.find(session.folder, number), to)


def _say_hit(session: Session, number: int, hit: share.Hit) -> None:
    if session.quiet:
        say(hit.content)
        return
    others = [_place(one) for one in hit.sources if not one.mine]
    where = ", ".join(["here", *others] if hit.here else others)
    more = " ".join(filter(None, (_about(hit.tags), "(blocked)" if hit.blocked else "")))
    if not sys.stdout.isatty():
        say("\t".join((str(number), hit.content, str(hit.size_bytes), hit.name, where, more)))
        return
    say(f"{number:4}  {size(hit.size_bytes):>8}  {hit.name}" + (f"  {more}" if more else "") + f"  [{where}]")


def _place(one: share.HitSource) -> str:
    """Who has it; in which network that was found, where they did not say so themselves."""
    name = one.name or one.peer[:8]
    if not one.network:
        return name
    return f"{name} in {one.network}" + (", away" if one.reachable is False else "")


def _how_far(event: share.SearchEvent) -> str:
    far = asked(event.network, event.asked, event.answered, event.messages)
    more = "; only a sample, it is everywhere" if event.sampled else ""
    return far + more + (f" ({event.reason})" if event.reason else "")


def _about(tags: dict[str, share.Tag]) -> str:
    """The tags that help to choose, in one line."""
    said = " – ".join(str(tags[name]) for name in ("artist", "album") if tags.get(name))
    length = tags.get("duration_s")
    wide, high = tags.get("width"), tags.get("height")
    parts = [
        said,
        duration(float(length)) if isinstance(length, int | float) else "",
        f"{tags['bitrate_kbps']} kbps" if tags.get("bitrate_kbps") else "",
        f"{wide}×{high}" if wide and high else "",
    ]
    return ", ".join(part for part in parts if part)


def _say_end(
    done: share.SearchEvent,
    found: int,
    answered: list[share.SearchEvent],
    networks: list[share.SearchEvent],
) -> None:
    well = sum(not one.reason for one in answered)
    peers = f"{well} of {len(answered)} peers answered" if answered else ""
    whom = peers or ("no peer was asked" if not networks else "")
    what = f"{found} found" if found else "nothing found"
    facts = ", ".join(fact for fact in (whom, f"{done.took_ms / 1000:.1f} s") if fact)
    hint(f"{what}; {facts}" + (f"; {done.reason}" if done.reason else ""))
    for one in networks:
        hint(_how_far(one))
    for one in answered:
        if one.reason:
            hint(f"{one.name or one.peer[:8]}: {one.reason}")
    if done.more:
        hint("There was more: narrow the search, or raise --limit.")
    hint("`servent get N` fetches one." if found else "`servent wish add WORDS` keeps looking.")


def _fetch(session: Session, client: Client, wish: getting.NewGet, to: Path | None = None) -> None:
    follow(session, client, client.get(ordered(wish, to)))


@command(
    "browse",
    "servent browse ann",
    "servent browse ann Music/Albums --sort size --down",
    "servent browse ann Music/Albums --get",
    "servent browse me --all --json",
    quiet=True,
)
@click.argument("peer")
@click.argument("path", default="")
@click.option(
    "--sort",
    type=click.Choice(["name", "size", "modified"]),
    default="name",
    show_default=True,
    help="Folders come first.",
)
@click.option("--down", is_flag=True, help="The other way round.")
@click.option("--filter", "filter_", default="", metavar="TEXT", help="Only names that hold it.")
@click.option(
    "--page",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help=f"Which {PAGE} rows of a long folder.",
)
@click.option("--all", "every", is_flag=True, help="All rows, however many.")
@click.option("--get", "fetch", is_flag=True, help="Fetch the folder or file itself, with its structure.")
@click.option(
    "--to", type=click.Path(file_okay=False, path_type=Path), help="With --get: folder to put it in."
)
def browse(
    session: Session,
    peer: str,
    path: str,
    sort: Literal["name", "size", "modified"],
    down: bool,
    filter_: str,
    page: int,
    every: bool,
    fetch: bool,
    to: Path | None,
) -> None:
    """Walk what a peer shares with you, folder by folder; `me` is this node.

    Rows are numbered: `servent get N` fetches one.
    """
    client = session.client()
    if not path and ":" in peer:
        peer, _, path = peer.partition(":")
    path = path.strip("/")
    if fetch:
        _fetch(session, client, numbers.found_at(client, peer, path), to)
        return
    query = share.BrowseQuery(
        path=path, sort=sort, down=down, filter=filter_, offset=(page - 1) * PAGE, limit=PAGE
    )
    listing = client.browse(peer, query)
    rows = list(listing.entries)
    while every and len(rows) < listing.total - query.offset:
        more = client.browse(
            peer,
            share.BrowseQuery(path=path, sort=sort, down=down, filter=filter_,
                              offset=query.offset + len(rows), limit=share.MOST_PAGE),
        )  # fmt: skip
        if not more.entries:
            break
        rows += more.entries
    numbers.keep(session.folder, [numbers.of_entry(listing.peer, path, entry) for entry in rows])
    shown = share.Listing(
        peer=listing.peer, name=listing.name, path=listing.path, entries=rows, offset=query.offset,
        total=listing.total, files=listing.files, size_bytes=listing.size_bytes, partial=listing.partial,
    )  # fmt: skip
    session.show(shown, lambda: _draw(shown), ["/".join(filter(None, (path, entry.name))) for entry in rows])
    if not session.json and not session.quiet:
        _say_more(shown, page, every)


def _draw(listing: share.Listing) -> None:
    table(
        ("", "name", "size", "files", "about"),
        [
            (
                str(number),
                entry.name + ("/" if entry.folder else ""),
                size(entry.size_bytes),
                str(entry.files) if entry.folder else "",
                ", ".join(filter(None, ("here" if entry.here else "", entry.blocked, _about(entry.tags)))),
            )
            for number, entry in enumerate(listing.entries, 1)
        ],
        empty="nothing here",
        right=(0, 2, 3),
    )


def _say_more(listing: share.Listing, page: int, every: bool) -> None:
    shown = len(listing.entries)
    hint(
        f"{listing.name or listing.peer[:8]}:{listing.path or '/'} holds {listing.files} files, {size(listing.size_bytes)}"
        + ("; they are still being hashed" if listing.partial else "")
    )
    if not every and listing.offset + shown < listing.total:
        hint(
            f"rows {listing.offset + 1} to {listing.offset + shown} of {listing.total}; `--page {page + 1}` goes on"
        )


@command("recommend", "servent recommend", "servent recommend --json", quiet=True)
@click.option(
    "--limit", type=click.IntRange(1, share.MOST_PAGE), default=30, show_default=True, help="At most so many."
)
def recommend(session: Session, limit: int) -> None:
    """What peers have who share much of what you have, and you have not.

    Made from what connected peers let you browse, and from nothing else. Rows are numbered: `servent get N`.
    """
    known = session.client().recommendations(share.Page(limit=limit))
    numbers.keep(session.folder, [numbers.of_hit(one.hit) for one in known])
    rows = [
        (str(number), one.hit.name, size(one.hit.size_bytes), _about(one.hit.tags), one.because)
        for number, one in enumerate(known, 1)
    ]
    session.show(
        known,
        lambda: table(
            ("", "name", "size", "about", "because"),
            rows,
            empty="nothing yet: it takes peers who share some of what you share, and more",
            right=(0, 2),
        ),
        [one.hit.content for one in known],
    )
