"""The kernel, built once, and run in the sandbox as a volunteer runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from servent.grid.manifests import Limits
from servent.grid.sandbox.cc import compile_c
from servent.grid.sandbox.jobs import Ended
from servent.listen import kernel
from servent.listen.plan import Search
from servent.listen.signals import Result, read_result
from tests.grid.sandbox.rig import Rig

LIMITS = Limits(
    seconds=300.0,
    memory_bytes=kernel.MEMORY_BYTES,
    output_bytes=kernel.OUTPUT_BYTES,
    checkpoint_bytes=kernel.CHECKPOINT_BYTES,
)
TINY = Search(bits=14, rate=9765.625 / 64, drift=0.02, fast_drift=0.1)
# Listens as long as a whole unit does, to a sixteenth of the band; noise may make one alarm in 250 units.
SMALL = Search(bits=16, rate=9765.625 / 16, drift=0.03, fast_drift=0.12, alarms=0.001)


class Desk:
    def __init__(self, rig: Rig, folder: Path) -> None:
        self.rig = rig
        self.code = compile_c(
            [kernel.SOURCE], folder / "listen.wasm", abi="slice", library=False
        ).read_bytes()

    def ended(self, unit: bytes, **wanted: Any) -> Ended:
        path = self.rig.folder / "unit"
        path.write_bytes(unit)
        job = self.rig.job(self.code, "slice", stdin_path=str(path), limits=LIMITS, budget=300.0, **wanted)
        return self.rig.do(self.rig.slots.run(job, self.rig.moving.append, self.rig.saved.append), 280.0)

    def result(self, unit: bytes) -> Result:
        ended = self.ended(unit)
        assert ended.outcome == "done", ended.words
        long = Path(ended.output_path).read_bytes() if ended.output_path else b""
        return read_result(ended.output or long)
