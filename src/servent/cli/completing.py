"""Names for the shell's Tab: friends, peers, rooms, conversations and projects of the node that runs. Nothing where none does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

from servent.cli.base import Session
from servent.cli.people import one_line
from servent.errors import ServentError

if TYPE_CHECKING:
    from servent.api.client import Client

PATIENCE = 2.0  # s; whoever presses Tab waits no longer


def _names(ctx: click.Context, begun: str, ask: Callable[[Client], Iterable[str]]) -> list[str]:
    given = ctx.find_root().params.get("data_dir")
    session = Session(given.expanduser().absolute() if given else None)
    try:
        names = [one_line(name) for name in ask(session.client(timeout=PATIENCE))]
    except (ServentError, OSError):
        return []
    return [name for name in dict.fromkeys(names) if name and name.casefold().startswith(begun.casefold())]


def complete_friends(ctx: click.Context, _parameter: click.Parameter | None, begun: str) -> list[str]:
    return _names(ctx, begun, lambda client: [one.person.shown for one in client.friends()])


def complete_peers(ctx: click.Context, _parameter: click.Parameter | None, begun: str) -> list[str]:
    return _names(ctx, begun, lambda client: [one.petname or one.short_id for one in client.peers()])


def complete_rooms(ctx: click.Context, _parameter: click.Parameter | None, begun: str) -> list[str]:
    return _names(ctx, begun, lambda client: [one.name for one in client.rooms()])


def complete_conversations(ctx: click.Context, _parameter: click.Parameter | None, begun: str) -> list[str]:
    def both(client: Client) -> list[str]:
        rooms = [one.name for one in client.rooms() if one.joined]
        return [one.person.shown for one in client.friends() if one.bond == "friend"] + rooms

    return _names(ctx, begun, both)


def complete_my_projects(ctx: click.Context, _parameter: click.Parameter | None, begun: str) -> list[str]:
    return _names(ctx, begun, lambda client: [one.name for one in client.my_projects()])


def complete_clusters(ctx: click.Context, _parameter: click.Parameter | None, begun: str) -> list[str]:
    return _names(ctx, begun, lambda client: [one.name for one in client.clusters()])


def complete_joined(ctx: click.Context, _parameter: click.Parameter | None, begun: str) -> list[str]:
    return _names(ctx, begun, lambda client: [one.name for one in client.joined_projects()])


def complete_projects(ctx: click.Context, _parameter: click.Parameter | None, begun: str) -> list[str]:
    def both(client: Client) -> list[str]:
        mine = [one.name for one in client.my_projects()]
        return mine + [one.name for one in client.joined_projects()]

    return _names(ctx, begun, both)


def complete_apps(ctx: click.Context, _parameter: click.Parameter | None, begun: str) -> list[str]:
    def known(client: Client) -> list[str]:
        return [app.name for one in client.my_projects() for app in one.apps if not app.retired]

    return _names(ctx, begun, known)


def complete_batches(ctx: click.Context, _parameter: click.Parameter | None, begun: str) -> list[str]:
    return _names(ctx, begun, lambda client: [one.id for one in client.batches()])


def complete_teams(ctx: click.Context, _parameter: click.Parameter | None, begun: str) -> list[str]:
    return _names(ctx, begun, lambda client: [one.name for one in client.teams()])
