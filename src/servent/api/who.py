"""Whom a person means by what was typed, where it matters who that is."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from servent.errors import NotFound, UsageError
from servent.identity import PeerId
from servent.node import Node


def meant(node: Node, text: str) -> PeerId:
    """By petname, id, or its beginning. What peers call themselves does not count: anyone could take a name.

    Raises:
        NotFound: nobody. UsageError: several, or somebody who only calls themselves so; the advice names the id.
    """
    view = node.peers.view()
    try:
        return node.trust.resolve(text, [peer.id for peer in view])
    except NotFound:
        found = [peer.id for peer in view if peer.name == text]
        if found:
            raise unnamed(text, found) from None
        raise


def unnamed(text: str, found: Sequence[PeerId]) -> UsageError:
    """The error where somebody only calls themselves `text`."""
    advice = f"Anyone can. Use the id: {', '.join(str(peer) for peer in found[:3])}"
    if len(found) == 1:
        advice += f"\nOr name them yourself: servent contact {found[0]} --name {shlex.quote(text)}"
    return UsageError(f"{text!r} is only what they call themselves", advice=advice)
