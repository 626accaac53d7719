"""The sandbox as the node sees it: one process for each lent core, jobs that go in, and what comes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec import Struct

from servent.grid.manifests import Abi, Limits
from servent.grid.sandbox.jobs import Ended, Job, Moving, Saved


class SlotsView(Struct, frozen=True):
    """`cores`: processes that may run; `running`: jobs under way; `waiting`: for a free one. `percent`: of each core, 0 while all hold still.

    `belts`: what the operating system holds the processes by, in words. `restarts`: processes that died or had to be killed.
    """

    cores: int
    running: int
    waiting: int
    percent: int
    belts: list[str] = []
    restarts: int = 0


class Slots:
    """Processes that run foreign modules, one job at a time each. `async with` starts and ends them; they start when the first job comes.

    A job that kills its process, or makes it fall silent, ends with a reason; the others go on, and the process is started anew.

    Args:
        folder: private; for the compiled modules. Created where it is missing.
        reads: folders that jobs may name files in (modules, inputs, snapshots, and `Job.folder`, which is also written to). The
            processes can open nothing else where the system lets us say so.
        cores: how many processes. percent: of each core's time that they may take, 0 holds them still at once.
        silence: s without a word from a process that computes, after which it is killed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        reads: Sequence[Path] = (),
        cores: int = 1,
        percent: int = 100,
        silence: float = 30.0,
    ) -> None:
        self._folder = folder

    async def __aenter__(self) -> Self:
        raise NotImplementedError

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kills what runs. `suspend_all` first, where snapshots are wanted."""
        raise NotImplementedError

    def number(self) -> int:
        """A fresh number for a job."""
        raise NotImplementedError

    async def run(
        self,
        job: Job,
        on_moving: Callable[[Moving], None] | None = None,
        on_saved: Callable[[Saved], None] | None = None,
    ) -> Ended:
        """Waits for a free process, runs `job` in it and gives what came of it; never raises for what a module does.

        `on_moving` is called about once a second, `on_saved` for each snapshot; whoever calls deletes older snapshots, and `output_path`.
        A cancelled call stops the job at once. `Ended.suspended`: `suspend` ended it; the last `Saved` is what to go on from (a job
        that cannot have one begins again).

        Raises:
            UsageError: the number is that of a job that is not over.
            ConnectionLost: the slots are closing.
        """
        raise NotImplementedError

    async def suspend(self, number: int) -> None:
        """Asks a job to end after its slice, with a snapshot; killed where it takes longer than `GRACE` s. Returns when it is over. An unknown one is over."""
        raise NotImplementedError

    async def suspend_all(self) -> None:
        raise NotImplementedError

    def resize(self, cores: int) -> None:
        """From now on so many processes; 0 for none. Those too many are suspended, and what they ran ends as `suspended`."""
        raise NotImplementedError

    def pace(self, percent: int) -> None:
        """So much of each core's time from now on; 0 holds everything still within some hundredths of a second, with all state kept in memory."""
        raise NotImplementedError

    async def check(
        self, module: Path, digest: bytes, abi: Abi, limits: Limits, *, canonical_nans: bool = False
    ) -> str:
        """Compiles a module in a sandbox process. Words that say what is wrong with it; empty where it may run."""
        raise NotImplementedError

    async def measure(self) -> float:
        """MFLOP/s of one core in the sandbox (multiply and add in 128-bit vectors), measured in 0.3 s."""
        raise NotImplementedError

    def view(self) -> SlotsView:
        raise NotImplementedError
