"""The first run: what the wizard suggests, and its end."""

from __future__ import annotations

import asyncio
from pathlib import Path

from servent.api import schema_getting as getting
from servent.api import settings
from servent.api.part import Part
from servent.errors import DiskTrouble, UsageError
from servent.node import Node


class SetupPart(Part):
    """`SetupFace` over a `Node`. Done is what config.toml calls `node.wizard = false`."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self._folder = str(suggested(Path.home()))

    def setup(self) -> getting.Setup:
        node = self._node
        return getting.Setup(
            done=not node.config.node.wizard,
            name=node.name,
            folder=self._folder,
            downloads=str(node.download_dir),
        )

    async def finish_setup(self, done: getting.SetupDone) -> getting.Setup:
        """In config.toml first: a wizard that comes back at the next start was not finished.

        Raises UsageError: a name that cannot be shown. DiskTrouble: config.toml cannot be written.
        """
        values: dict[str, settings.Value] = {"node.wizard": False}
        if done.name is not None:
            name = " ".join(done.name.split())
            if not name or not name.isprintable():
                raise UsageError("a name has letters that can be shown", advice="Take another.")
            values["node.name"] = name
        try:
            await asyncio.to_thread(settings.change, self._node.data_dir, values)
        except OSError as wrong:
            raise DiskTrouble(f"config.toml cannot be written: {wrong.strerror}") from wrong
        self._node.config.node.wizard = False
        if done.name is not None:
            self._node.config.node.name = str(values["node.name"])
        return self.setup()


def suggested(home: Path) -> Path:
    """A folder to share: music where there is some, else what is called public, else a new one of our own."""
    for name in ("Music", "Public"):
        try:
            if any(not one.name.startswith(".") for one in (home / name).iterdir()):
                return home / name
        except OSError:
            continue
    return home / "Servent"
