"""What the real node does for others, and what it is in its networks, in the API's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from servent.api import schema
from servent.query.words import shown

if TYPE_CHECKING:
    from servent.node import Node

NAME = 64  # characters of a name that somebody gave to something
SENTENCE = 300  # characters of a reason


def roles_of(node: Node) -> list[schema.Role]:
    """The roles of a node in the API's words."""
    names: dict[str, schema.RoleName] = {name: name for name in get_args(schema.RoleName)}
    return [
        schema.Role(name=names[role.name], wish=role.wish, active=role.active, why=shown(role.why, SENTENCE))
        for role in node.overlay.roles()
        if role.name in names
    ]


def network_roles_of(node: Node) -> list[schema.NetworkRole]:
    """What a node is in each of its networks."""
    return [
        schema.NetworkRole(
            network=shown(shape.name, NAME),
            mode=shape.mode,
            index=shape.index,
            why=shown(shape.why, SENTENCE),
        )
        for shape in node.overlay.shapes()
    ]
