"""Who may have what of which project, and for whom the door stands open because of it. In memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from servent.errors import UsageError
from servent.grid.manifests import Project
from servent.identity import PeerId
from servent.trust.service import TrustService

OWN, LENT = "grid projects", "grid volunteers"  # names of passes


class Known(Protocol):
    """A project that this node computes for. `manifest`: None before its coordinator was met."""

    @property
    def project(self) -> bytes: ...
    @property
    def coordinators(self) -> Sequence[bytes]: ...
    @property
    def manifest(self) -> Project | None: ...


class Gates:
    """Keeps trust's passes in step with the projects of this node, and answers whose contents are whose.

    Strangers come in for the grid's services alone: anybody while there is an own project for everyone or for the invited, whoever
    volunteers for a project for everyone that this node computes for, and the coordinators of the projects it joined, which fetch results from it.

    Args:
        services: the grid's own, and that of blobs.
        own: manifests. joined: what is known of projects that this node computes for.
        invited: whether somebody came by an invitation to an own project. wants_strangers: whether anybody may come in.
    """

    def __init__(
        self,
        trust: TrustService,
        services: tuple[str, str],
        own: Callable[[], Iterable[Project]],
        joined: Callable[[], Iterable[Known]],
        invited: Callable[[bytes, PeerId], bool],
        wants_strangers: Callable[[], bool],
    ) -> None:
        self._trust, self._services = trust, services
        self._own, self._joined, self._invited = own, joined, invited
        self._wants_strangers = wants_strangers
        self._admitted: set[str] = set()
        self._left: dict[bytes, tuple[float, Known]] = {}

    def leave(self, joined: Known, until: float) -> None:
        """A project was left: its coordinators may have what is theirs until then (the loop's clock)."""
        self._left[joined.project] = until, joined

    def _lent(self) -> list[Known]:
        """Projects that this node computes for, or did until lately."""
        now = asyncio.get_running_loop().time()
        self._left = {project: kept for project, kept in self._left.items() if kept[0] > now}
        joined = list(self._joined())
        here = {one.project for one in joined}
        return [*joined, *(one for _, one in self._left.values() if one.project not in here)]

    def set(self) -> None:
        """Projects came, went or changed."""
        wanted: dict[str, tuple[PeerId | None, Sequence[str]]] = {}
        grid, blobs = self._services
        if self._wants_strangers():
            wanted[OWN] = None, (grid, blobs)
        for joined in self._lent():
            if joined.manifest is not None and joined.manifest.audience == "everyone":
                wanted[LENT] = None, (blobs,)
            for coordinator in joined.coordinators:
                if coordinator != self._trust.me:
                    wanted[f"grid coordinator {PeerId(coordinator)}"] = PeerId(coordinator), (blobs,)
        for name in self._admitted - set(wanted):
            self._trust.dismiss(name)
        for name in set(wanted) - self._admitted:
            try:
                self._trust.admit(name, *wanted[name])
            except UsageError:  # too many guests; those we know need no pass
                del wanted[name]
        self._admitted = set(wanted)

    def clear(self) -> None:
        for name in self._admitted:
            self._trust.dismiss(name)
        self._admitted = set()

    def allows(self, project: bytes, peer: PeerId) -> bool:
        """Whether `peer` may have contents of a project of ours, or that we compute for."""
        for one in self._own():
            if one.key == project:
                return self._within(one, peer) or self._invited(project, peer)
        for joined in self._lent():
            if joined.project == project:
                if peer in joined.coordinators:
                    return True
                return joined.manifest is not None and self._within(joined.manifest, peer)
        return False

    def _within(self, project: Project, peer: PeerId) -> bool:
        verdict = self._trust.verdict(peer)
        if project.audience == "everyone":
            return verdict.known
        if project.audience == "network" and project.network in verdict.networks:
            return True
        return project.audience != "invited" and verdict.friend
