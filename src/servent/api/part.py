"""What every part of the node's face stands on."""

from __future__ import annotations

from servent.node import Node


class Part:
    """One part of `Face` over a `Node`; `NodeFace` is all of them."""

    def __init__(self, node: Node) -> None:
        self._node = node
