"""What this node does for others, and why or why not."""

from __future__ import annotations

from typing import get_args

import click

from servent.api import schema
from servent.cli.base import Session, command, hint, say, table
from servent.errors import UsageError

MEANINGS: dict[schema.RoleName, str] = {
    "index": "keeps the index of networks and answers searches",
    "relay": "carries packets of those who reach each other no other way",
    "observer": "tells others from which address they are seen",
    "store": "keeps content for others",
    "compute": "computes for others",
}


@command(
    "roles",
    "servent roles",
    "servent roles index off",
    "servent roles index auto",
    "servent roles --json",
    quiet=True,
)
@click.argument("name", required=False, type=click.Choice(get_args(schema.RoleName)))
@click.argument("wish", required=False, type=click.Choice(get_args(schema.RoleWish)))
def roles(session: Session, name: schema.RoleName | None, wish: schema.RoleWish | None) -> None:
    """What this node does for others, and why or why not; say which it may.

    auto: when it is of use and this machine can. on: whenever it can. off: never.
    """
    client = session.client()
    if wish is not None:
        if name is None:
            raise UsageError("say which role")
        known = client.set_role(name, wish)
    else:
        known = client.roles()
    chosen = [role for role in known if name in (None, role.name)]

    def people() -> None:
        table(
            ("role", "wish", "now", "why"),
            [(role.name, role.wish, "active" if role.active else "-", role.why) for role in chosen],
            empty="this node has no roles",
        )
        for role in chosen if name is not None else ():
            hint(f"{role.name}: {MEANINGS[role.name]}.")

    session.show(chosen, people, [role.name for role in chosen if role.active])
    if wish is not None and not session.json:
        say(f"{name} is {wish} from now on", err=True)
