"""What the parts about computing share: views as Structs of the schema, keys as names, and which project is meant."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from servent.api.part import Part
from servent.blobs import magnet
from servent.errors import NotFound
from servent.grid import links
from servent.grid.service import Grid
from servent.identity import PeerId

T = TypeVar("T")
UNKNOWN = "`servent grid list` shows your own projects, `servent grid projects` those that were joined."


def as_struct(kind: type[T], view: object, **other: Any) -> T:
    """A view as the Struct with the same fields, but for `other`."""
    fields = msgspec.to_builtins(view) | other
    return msgspec.convert(fields, kind, strict=False)


def ledger_link(infohash: bytes | str, name: str = "") -> str:
    """A published ledger as a link; "" for none."""
    raw = bytes.fromhex(infohash) if isinstance(infohash, str) else infohash
    return magnet.encode(magnet.Magnet(raw, name)) if raw else ""


class GridBase(Part):
    """The room, and what it does not know: people's names."""

    @property
    def _grid(self) -> Grid:
        return self._node.grid

    def _called(self, key: bytes | str) -> str:
        """Our name for a peer, else what they call themselves while they are connected; "" for strangers."""
        if not key:
            return ""
        peer = PeerId.parse(key) if isinstance(key, str) else PeerId(key)
        if peer == self._node.peer:
            return self._node.name
        contact = self._node.trust.contact(peer)
        if contact is not None and contact.petname:
            return contact.petname
        session = self._node.peers.session(peer)
        return "" if session is None else session.profile.name

    def _own(self, project: str) -> bytes:
        """An own project by name, key or link. Raises NotFound, UsageError."""
        return self._grid.projects.key_of(project.strip())

    def _joined(self, project: str) -> bytes:
        """A project this machine computes for, by name, key or link. Raises NotFound, UsageError."""
        text = project.strip()
        views = self._grid.lending.joined()
        key = links.key_of(text)
        found = [one for one in views if key is not None and bytes(PeerId.parse(one.key)) == key]
        found = found or [one for one in views if one.name == text]
        found = found or [one for one in views if len(text) >= 6 and one.key.startswith(text)]
        if len(found) != 1:
            said = (
                f"several projects are called {text[:80]!r}"
                if found
                else f"no project that was joined is called {text[:80]!r}"
            )
            raise NotFound(said, advice="`servent grid projects --json` lists them with their keys.")
        return bytes(PeerId.parse(found[0].key))

    def _any(self, project: str) -> bytes:
        """An own or joined project. Raises NotFound, UsageError."""
        try:
            return self._own(project)
        except NotFound:
            try:
                return self._joined(project)
            except NotFound:
                raise NotFound(f"no project here is called {project[:80]!r}", advice=UNKNOWN) from None
