"""Who has something: asks the networks, and shows who answers."""

from __future__ import annotations

import sys

import click

from servent.api import schema_network as api
from servent.cli.base import Session, command, hint, print_json, say
from servent.cli.progress import Standing
from servent.cli.text import size


@command(
    "who-has",
    "servent who-has 'magnet:?xt=urn:btmh:1220…'",
    "servent who-has CONTENT --network home",
    "servent who-has CONTENT --json",
    quiet=True,
)
@click.argument("link")
@click.option("--network", default="", metavar="NAME", help="Ask in this network only.")
@click.option(
    "--limit", type=click.IntRange(1, 5000), default=200, show_default=True, help="At most so many."
)
@click.option(
    "--wait",
    type=click.FloatRange(0.1, 60),
    default=8.0,
    show_default=True,
    help="Seconds for the network to answer.",
)
def who_has(session: Session, link: str, network: str, limit: int, wait: float) -> None:
    """Who has what a link names; answers come as the networks give them.

    LINK is a magnet link, or the name by hash that `servent search --json` calls content. With --json it prints
    one object per line: holders, how far each network is asked, and the end.
    """
    done = api.HolderEvent(kind="done")
    standing = Standing(not session.json and not session.quiet)
    try:
        for event in session.client().who_has(link, network_name=network, limit=limit, wait=wait):
            if session.json:
                print_json(event)
            elif event.holder is not None:
                standing.clear()
                _say_holder(session, event.holder)
            elif event.kind == "network":
                standing.show(asked(event.network, event.asked, event.answered, event.messages))
            if event.kind == "done":
                done = event
    finally:
        standing.clear()
    if not session.json and not session.quiet:
        _say_end(done)


def asked(network: str, supernodes: int, answered: int, messages: int) -> str:
    """How far a network is asked, as words; all of them for ""."""
    if supernodes:
        whom = f"{answered} of {supernodes} supernode{'' if supernodes == 1 else 's'} answered"
        said = f"{whom}, {messages} message{'' if messages == 1 else 's'}"
    else:
        said = "answered here, without a message" if not messages else f"{messages} messages"
    return f"{network}: {said}" if network else said


def _say_holder(session: Session, one: api.Holder) -> None:
    if session.quiet:
        say(one.peer)
        return
    name = "this node" if one.mine else one.name or one.peer[:8]
    state = (
        "connected"
        if one.connected
        else "reachable"
        if one.reachable
        else "away"
        if one.reachable is False
        else "not known whether it is there"
    )
    if not sys.stdout.isatty():
        say("\t".join((one.peer, name, one.network, state, str(one.size_bytes), one.file)))
        return
    say(f"{name:20}  {state:12}  {one.network:16}  {size(one.size_bytes):>8}  {one.file}")


def _say_end(done: api.HolderEvent) -> None:
    what = f"{done.found} have it" if done.found != 1 else "1 has it"
    took = f", {done.took_ms / 1000:.1f} s" if done.took_ms else ""
    hint(
        f"{what if done.found else 'nobody is known to have it'}; {asked('', done.asked, done.answered, done.messages)}{took}"
    )
    if done.reason:
        hint(done.reason)
    if done.more:
        hint("More have it than are listed: raise --limit.")
