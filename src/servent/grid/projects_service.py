"""Own projects: their keys, manifests and apps."""

from __future__ import annotations

from pathlib import Path

from servent.grid import project_views as views
from servent.grid.manifests import Abi, Audience, Compare
from servent.net.links import PeerAddress


class Projects:
    """Owns the projects of this node. `project` is what a person types: a name, a key, or a link; `key_of` finds it."""

    async def create(
        self,
        name: str,
        *,
        about: str = "",
        url: str = "",
        audience: Audience = "friends",
        network: str = "",
        bonus: float = 0.0,
        budget: float | None = None,
        local: bool = False,
    ) -> views.MyProject:
        """`network`: name or id of one of ours. `budget`: cobblestones. `local`: this machine computes for it, too."""
        raise NotImplementedError

    async def change(
        self,
        key: bytes,
        *,
        about: str | None = None,
        url: str | None = None,
        audience: Audience | None = None,
        network: str | None = None,
        bonus: float | None = None,
        budget: float | None = None,
        paused: bool | None = None,
        closed: bool | None = None,
    ) -> views.MyProject:
        """Only what is given changes. `closed` for good. Raises NotFound, UsageError."""
        raise NotImplementedError

    async def remove(self, key: bytes) -> None:
        """Forget a closed project with its units; its published ledger stays. Raises NotFound, UsageError."""
        raise NotImplementedError

    def key_of(self, project: str) -> bytes:
        """An own project by name, key or link; "" where there is only one. Raises NotFound, UsageError."""
        raise NotImplementedError

    def all(self) -> list[views.MyProject]:
        """The newest last."""
        raise NotImplementedError

    def view(self, key: bytes) -> views.MyProject:
        raise NotImplementedError

    def link(self, key: bytes, here: PeerAddress | None = None, invitation: bytes = b"") -> str:
        """A line to join with."""
        raise NotImplementedError

    async def invite(self, key: bytes, uses: int) -> str:
        """A line that lets `uses` volunteers in, whatever the audience."""
        raise NotImplementedError

    async def add_app(
        self,
        key: bytes,
        name: str,
        module: Path,
        *,
        abi: Abi = "command",
        operations: float | None = None,
        sample: Path | None = None,
        seconds: float = 3600.0,
        memory_bytes: int = 256 * 1024**2,
        output_bytes: int = 1024**2,
        checkpoint_bytes: int = 64 * 1024**2,
        quorum: int = 2,
        compare: Compare = "bits",
        comparer: Path | None = None,
        canonical_nans: bool = False,
        about: str = "",
    ) -> views.GridApp:
        """The same name again is the next version. `operations` in FLOP, None measures it with `sample` on stdin.

        Raises:
            NotFound, UsageError: the module is none that a volunteer would run; it says why.
        """
        raise NotImplementedError

    def app_of(self, key: bytes, app: str) -> views.GridApp:
        """By "name" (its newest version that is not retired) or "name/version". Raises NotFound."""
        raise NotImplementedError

    async def retire_app(self, key: bytes, app: str) -> None:
        raise NotImplementedError

    async def try_module(
        self,
        module: Path,
        *,
        abi: Abi = "command",
        args: tuple[str, ...] = (),
        input: Path | None = None,
        seconds: float = 60.0,
        memory_bytes: int = 256 * 1024**2,
    ) -> views.TryOut:
        """Check a module as a volunteer would, and run it once in the sandbox."""
        raise NotImplementedError

    # what faces show of the coordinator's work

    async def units(
        self, key: bytes, *, batch: int = 0, state: str = "", after: int = 0, limit: int = 100
    ) -> views.UnitPage:
        raise NotImplementedError

    async def volunteers(self, key: bytes) -> list[views.Volunteer]:
        raise NotImplementedError

    def throughput(self, key: bytes) -> views.Throughput:
        raise NotImplementedError

    async def problems(self, key: bytes) -> list[views.ProblemCount]:
        raise NotImplementedError
