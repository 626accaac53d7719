"""Getting what was found, choosing files, and reading them while they come, in the API's words."""

from __future__ import annotations

from pathlib import Path

from servent.api import schema
from servent.api import schema_getting as getting
from servent.api import schema_share as share
from servent.api.adapter_files import transfer_of
from servent.api.face_share import Readable
from servent.api.part import Part
from servent.api.who import meant
from servent.errors import UsageError
from servent.query.kinds import kind_of
from servent.share.getting_service import FileView


class GettingPart(Part):
    """`GettingFace` over a `Node`."""

    async def get(self, new: getting.NewGet) -> schema.Transfer:
        """See `GettingFace`."""
        part = self._node.share.getting
        to = None if new.to is None else Path(new.to)
        if new.content is not None:
            view = await part.content(
                bytes.fromhex(new.content),
                new.size_bytes,
                new.name,
                [meant(self._node, text) for text in new.peers],
                to,
                priority=new.priority,
                paused=new.paused,
                preview=new.preview,
            )
        elif new.peer is not None:
            if new.preview:
                raise UsageError("a folder has no preview", advice="Look at one of its files.")
            view = await part.folder(
                meant(self._node, new.peer),
                new.path,
                to,
                priority=new.priority,
                paused=new.paused,
                files=new.files,
            )
        else:
            raise UsageError("say what to fetch", advice="A content, or a folder of a peer.")
        return transfer_of(view)

    async def transfer_files(self, transfer: str, page: share.Page) -> list[getting.TransferFile]:
        """See `GettingFace`."""
        return [_file(one) for one in await self._node.share.getting.files(transfer, page.offset, page.limit)]

    async def choose_files(self, transfer: str, choice: getting.FileChoice) -> list[getting.TransferFile]:
        """See `GettingFace`."""
        await self._node.share.getting.choose(transfer, choice.wanted, choice.files)
        return await self.transfer_files(transfer, share.Page(limit=share.MOST_PAGE))

    async def read_transfer(self, transfer: str, index: int) -> Readable:
        """See `GettingFace`."""
        return await self._node.share.getting.read_transfer(transfer, index)

    async def read_content(self, content: str) -> Readable:
        """See `GettingFace`."""
        return await self._node.share.getting.read_content(bytes.fromhex(content))


def _file(view: FileView) -> getting.TransferFile:
    return getting.TransferFile(
        index=view.index,
        path=view.path,
        size_bytes=view.size_bytes,
        done_bytes=view.done_bytes,
        wanted=view.wanted,
        kind=kind_of(view.path),
    )
