"""What this machine computes for others: the projects it joined, work fetched ahead, run in the sandbox, returned, credited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol

from servent.grid import views
from servent.grid.manifests import Content
from servent.grid.sandbox.jobs import Ended, Job, Moving, Saved
from servent.grid.settings import Settings
from servent.grid.wire import Answer, Membership, Question
from servent.identity import Identity, PeerId
from servent.net.links import Stream
from servent.store import Store

Topic = Literal["lending", "joined"]  # the state of this machine; what is known of joined projects


class Sandbox(Protocol):
    """What is asked of `sandbox.slots_service.Slots`."""

    async def run(
        self,
        job: Job,
        on_moving: Callable[[Moving], None] | None = None,
        on_saved: Callable[[Saved], None] | None = None,
    ) -> Ended: ...

    def suspend(self, number: int) -> None: ...


class Keeping(Protocol):
    """What is asked of `contents_service.Contents`."""

    async def fetch(self, content: Content, contacts: Sequence[bytes] = ()) -> Path: ...

    async def publish(self, path: Path, name: str) -> Content: ...


class Visit(Protocol):
    """A coordinator in this process; see `coordinator_service`."""

    async def answer(self, question: Question) -> Answer: ...

    def close(self) -> None: ...


class Lending:
    """The volunteer's side of every project this node joined.

    Args:
        folder: checkpoints, and outputs that wait to be returned; made when missing.
        settings: the section `grid` of the configuration, read again each time.
        open_stream: a stream to `wire.SERVICE` of a peer: `Peers.open`.
        local: a visit to a project that this very node coordinates, or None.
        membership: our signed membership in a team, by its key.
        engaged: why nothing may run now ("a match is on", "a call is on"), "" where nothing speaks against it.
    """

    def __init__(
        self,
        identity: Identity,
        store: Store,
        folder: Path,
        settings: Callable[[], Settings],
        slots: Sandbox,
        contents: Keeping,
        open_stream: Callable[[PeerId, str], Awaitable[Stream]],
        *,
        local: Callable[[bytes], Visit | None],
        name: Callable[[], str] = lambda: "",
        membership: Callable[[bytes], Membership | None] = lambda team: None,
        engaged: Callable[[], str] = lambda: "",
        wall: Callable[[], float],
    ) -> None:
        raise NotImplementedError

    # -- life

    async def open(self) -> None:
        """Read what was leased and how far it is. Before `run`; the store is open."""
        raise NotImplementedError

    async def run(self) -> None:
        """Contact, compute and return, until cancelled."""
        raise NotImplementedError

    async def close(self) -> None:
        """Stop computing; what runs is saved where it can be, and stays leased: the next start goes on."""
        raise NotImplementedError

    def on_change(self, callback: Callable[[Topic], None]) -> None:
        raise NotImplementedError

    # -- what faces ask for

    def view(self) -> views.Lending:
        raise NotImplementedError

    def joined(self) -> list[views.JoinedProject]:
        raise NotImplementedError

    async def log(
        self, before: int = 0, limit: int = 100, project: bytes | None = None
    ) -> list[views.GridLogEntry]:
        """Newest first; `before`: a `seq`, 0 for the newest."""
        raise NotImplementedError

    async def join(
        self,
        project: bytes,
        coordinators: Sequence[bytes],
        *,
        name: str = "",
        link: str = "",
        invitation: bytes = b"",
        share: float = 100.0,
        team: bytes | None = None,
    ) -> views.JoinedProject:
        """Compute for a project from now on; again: changes what is given. Returns at once, the contact is made behind.

        Whoever calls has told `Peers` where the coordinators are.
        """
        raise NotImplementedError

    async def change(
        self,
        project: bytes,
        *,
        share: float | None = None,
        team: bytes | None = None,
        paused: bool | None = None,
    ) -> views.JoinedProject:
        """Only what is given; `team` b"" leaves it. Raises NotFound."""
        raise NotImplementedError

    async def leave(self, project: bytes) -> None:
        """What was leased goes back, but for what is nearly done. Raises NotFound."""
        raise NotImplementedError

    async def pause(self, seconds: float | None = None) -> None:
        """By the person: None until `resume`. Kept over a restart."""
        raise NotImplementedError

    async def resume(self) -> None:
        raise NotImplementedError

    def settings_changed(self) -> None:
        """Somebody changed the section `grid`: it holds at once."""
        raise NotImplementedError
