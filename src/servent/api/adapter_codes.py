"""Hand-overs by spoken code, in the API's words."""

from __future__ import annotations

from pathlib import Path

from servent.api import schema_share as share
from servent.api.part import Part
from servent.node import Node
from servent.share.handover import HandOver


class CodesPart(Part):
    """`CodeFace` over a `Node`."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self._codes = node.share.codes

    def codes(self) -> list[share.Code]:
        return [_code(view) for view in self._codes.views()]

    async def make_code(self, new: share.NewCode) -> share.Code:
        return _code(self._codes.send(Path(new.path), contact=new.contact, lifetime=new.lifetime))

    async def receive(self, request: share.ReceiveRequest) -> share.Code:
        to = None if request.to is None else Path(request.to)
        return _code(self._codes.receive(request.code, to, contact=request.contact))

    async def cancel_code(self, code: str) -> None:
        await self._codes.cancel(code)


def _code(view: HandOver) -> share.Code:
    return share.Code(
        id=view.id,
        sending=view.sending,
        code=view.code,
        state=view.state,
        reason=view.reason,
        name=view.name,
        size_bytes=view.size_bytes,
        files=view.files,
        transfer=view.transfer,
        peer="" if view.peer is None else str(view.peer),
        peer_name=view.peer_name,
        expires=view.expires,
        started=view.started,
        path=view.path,
    )
