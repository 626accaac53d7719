"""The library of whole nodes: who may see which folder, through the API's words, over a restart."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from servent.api import schema_share as share
from servent.api.adapter_library import LibraryPart
from servent.errors import Doubtful, NotFound
from servent.testing.loop import run
from servent.testing.nodes import gather_in_network, nodes
from servent.testing.simnet import SimNet


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (time.time() - 60, time.time() - 60.25))


def test_each_folder_is_seen_by_whom_it_is_for(tmp_path: Path) -> None:
    names = ("nobody", "friends", "network", "peers")
    for name in names:
        put(tmp_path / name / f"{name}.txt", name.encode())

    async def main() -> None:
        async with nodes(3, tmp_path / "n", SimNet(seed=1)) as (ann, bob, cat):
            await gather_in_network([ann, bob, cat])
            await ann.trust.add_contact(bob.peer, friend=True)
            part = LibraryPart(ann)
            made = {}
            for name in names:
                new = share.NewFolder(
                    path=str(tmp_path / name), audience=name, peers=[str(cat.peer)] if name == "peers" else []
                )
                made[name] = int((await part.add_folder(new)).id)
            library = ann.share.library
            await library.settled()
            assert library.folders_for(bob.peer) == {made["friends"], made["network"]}
            assert library.folders_for(cat.peer) == {made["network"], made["peers"]}
            assert library.folders_for(ann.peer) == set(made.values())
            await part.change_folder(str(made["network"]), share.FolderChange(audience="nobody"))
            await ann.trust.block(bob.peer)
            assert library.folders_for(cat.peer) == {made["peers"]}
            assert library.folders_for(bob.peer) == frozenset()
            await part.remove_folder(str(made["peers"]))
            assert library.folders_for(cat.peer) == frozenset()
            total = part.library()
            assert (total.folders, total.files, total.hashed_files, total.state) == (3, 3, 3, "ready")
            with pytest.raises(NotFound):
                await part.remove_folder("nonsense")

    run(main())


def test_what_is_doubtful_asks_and_the_rest_is_in_the_apis_words(tmp_path: Path) -> None:
    put(tmp_path / "s" / "id_ed25519", b"key")
    put(tmp_path / "s" / "a.mp3", b"a")

    async def main() -> None:
        async with nodes(1, tmp_path / "n", SimNet(seed=1)) as (ann,):
            part = LibraryPart(ann)
            told: list[bool] = []
            ann.share.library.on_change(lambda: told.append(True))
            with pytest.raises(Doubtful, match="id_ed25519"):
                await part.add_folder(share.NewFolder(path=str(tmp_path / "s")))
            folder = await part.add_folder(
                share.NewFolder(path=str(tmp_path / "s"), name="Mine", exclude=["id_*"])
            )
            await ann.share.library.settled()
            (folder,) = part.folders()
            assert (folder.name, folder.files, folder.hashed_files, folder.exclude) == (
                "Mine",
                1,
                1,
                ["id_*"],
            )
            assert told
            assert (await part.pause_folder(folder.id, True)).state == "paused"
            assert (await part.change_folder(folder.id, share.FolderChange(name="Yours"))).name == "Yours"
            assert (await part.rescan_folder(folder.id)).id == folder.id
        async with nodes(1, tmp_path / "n", SimNet(seed=2)) as (ann,):
            (again,) = LibraryPart(ann).folders()
            assert (again.id, again.name, again.state, again.hashed_files) == (
                folder.id,
                "Yours",
                "paused",
                1,
            )

    run(main())
