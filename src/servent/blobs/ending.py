"""How what was fetched goes to its place: one rename where it can be, and nothing that is there is ever changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from servent.blobs import info, names
from servent.blobs.files import Parts, move_new, put
from servent.blobs.seed import holds


class Ending:
    """Moves files out of a download's own folder. Every method may raise OSError; what was not moved stays.

    Args:
        folder: the download's own, with the files under `data/`.
        paths: of all files of the collection below `data/`.
        wanted: indexes of those that are to go to their place; all of them are there.
    """

    def __init__(
        self, collection: info.Collection, folder: Path, paths: Sequence[Parts], wanted: Sequence[int]
    ) -> None:
        self._collection, self._folder, self._paths, self._wanted = collection, folder, paths, wanted
        self._data = folder / "data"
        self._whole = len(wanted) == len(collection.files)

    def move(self, to: Path, top: str) -> Path:
        """All at once, as `to`/`top`, or "top (2)" when something else is called that."""
        source = self._data / self._paths[0][0]
        if not self._whole:
            self._leave_out(source)
        number = 1
        while True:
            target = to / (top if number == 1 else names.numbered(top, number))
            put(self._folder / "final", target.name.encode())
            if move_new(source, target) or self._same(target):
                return target
            number += 1

    def _same(self, target: Path) -> bool:
        renamed = [(target.name, *path[1:]) for path in self._paths]
        return holds(self._collection, target.parent, renamed, self._wanted)

    def _leave_out(self, top: Path) -> None:
        """Delete what came of files that are not wanted, and the folders that are empty then."""
        keep = {self._data.joinpath(*self._paths[index]) for index in self._wanted}
        for place, _, files in os.walk(top, topdown=False):
            for name in files:
                if (path := Path(place, name)) not in keep:
                    path.unlink()
            if not os.listdir(place) and Path(place) != top:
                os.rmdir(place)

    def join(self, into: Path) -> Path:
        """One by one, to where other files of the collection lie already. What was moved before a kill stays so."""
        home = into.resolve()
        for index in self._wanted:
            source = self._data.joinpath(*self._paths[index])
            target = into.joinpath(*self._paths[index][1:])
            if not os.path.lexists(source):
                continue  # moved before we were interrupted
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.parent.resolve().is_relative_to(home):
                raise NotADirectoryError(f"{target.parent} leads out of {into}")
            number, free = 1, target
            while not move_new(source, free):
                renamed = list(self._paths)
                renamed[index] = (*free.relative_to(into).parts,)
                if holds(self._collection, into, renamed, (index,)):
                    break
                number += 1
                free = target.with_name(names.numbered(target.name, number))
        shutil.rmtree(self._data / self._paths[0][0], ignore_errors=True)
        return into
