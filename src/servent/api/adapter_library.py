"""The real node's library in the API's words."""

from __future__ import annotations

from pathlib import Path

from servent.api import schema_share as share
from servent.api.part import Part
from servent.api.who import meant
from servent.errors import NotFound
from servent.share.library_views import FolderView


class LibraryPart(Part):
    """`LibraryFace` over a `Node`."""

    def library(self) -> share.Library:
        view = self._node.share.library.view()
        return share.Library(
            folders=view.folders,
            files=view.files,
            size_bytes=view.size_bytes,
            hashed_files=view.hashed_files,
            hashed_bytes=view.hashed_bytes,
            kinds=dict(view.kinds),
            state=view.state,
            reason=view.reason,
        )

    def folders(self) -> list[share.Folder]:
        return [_folder(view) for view in self._node.share.library.folders()]

    async def add_folder(self, new: share.NewFolder) -> share.Folder:
        """Raises Doubtful (409) when the folder holds what people rarely mean to share and `confirm` is missing."""
        view = await self._node.share.library.add(
            Path(new.path),
            name=new.name,
            audience=new.audience,
            peers=[meant(self._node, text) for text in new.peers],
            include=new.include,
            exclude=new.exclude,
            hidden=new.hidden,
            confirm=new.confirm,
        )
        return _folder(view)

    async def change_folder(self, folder: str, change: share.FolderChange) -> share.Folder:
        view = await self._node.share.library.change(
            _number(folder),
            name=change.name,
            audience=change.audience,
            peers=None if change.peers is None else [meant(self._node, text) for text in change.peers],
            include=change.include,
            exclude=change.exclude,
            hidden=change.hidden,
            confirm=change.confirm,
        )
        return _folder(view)

    async def remove_folder(self, folder: str) -> None:
        await self._node.share.library.remove(_number(folder))

    async def pause_folder(self, folder: str, paused: bool) -> share.Folder:
        return _folder(await self._node.share.library.pause(_number(folder), paused))

    async def rescan_folder(self, folder: str) -> share.Folder:
        return _folder(await self._node.share.library.rescan(_number(folder)))


def _number(folder: str) -> int:
    if not folder.isascii() or not folder.isdigit() or len(folder) > 18:
        raise NotFound("there is no such shared folder", advice="`servent library list` lists them.")
    return int(folder)


def _folder(view: FolderView) -> share.Folder:
    settings = view.settings
    return share.Folder(
        id=str(view.id),
        path=settings.path,
        name=settings.name,
        audience=settings.audience,
        peers=list(settings.peers),
        include=list(settings.include),
        exclude=list(settings.exclude),
        hidden=settings.hidden,
        state=view.state,
        reason=view.reason,
        files=view.files,
        size_bytes=view.size_bytes,
        hashed_files=view.hashed_files,
        hashed_bytes=view.hashed_bytes,
        rate_bytes_per_s=round(view.rate_bytes_per_s),
        eta_s=None if view.eta is None else round(view.eta, 1),
        skipped=view.skipped,
        skipped_why=list(view.skipped_why),
        scanned=view.scanned,
    )
