"""The demo's search for signals from elsewhere: compiled here, in a recording that we made ourselves, so that the truth is known."""

from __future__ import annotations

import random
from importlib.util import find_spec

from servent.api import schema_grid as grid
from servent.api import wasm_build
from servent.demo.report import Failed
from servent.demo.stage import Actor
from servent.listen import kernel, signals, units
from servent.listen.making import Injected, anywhere, make
from servent.listen.plan import Search

PARTS = 120  # of a whole unit of 2^20 samples: some ten seconds of a core each
TAKEN = (46, 71)  # those that are searched, beside the long one
LONG_PARTS, LONG_TAKEN = 60, 29  # twice as long, and near the middle
KINDS: tuple[signals.Kind, ...] = ("gaussian", "pulse", "spike")


class Listening:
    """What ann wants to know: whether there is anything in what she recorded. One app for the short parts, one for the long one."""

    def __init__(self, ann: Actor, project: str) -> None:
        self.ann, self.project = ann, project
        self.search = Search()
        short = self.search.split(PARTS)
        self.parts = [short[TAKEN[0]], short[TAKEN[1]], self.search.split(LONG_PARTS)[LONG_TAKEN]]
        dice = random.Random("a demo")
        self.truth: list[Injected] = [
            anywhere(self.search, kind, dice, 8.0, (first + last) / 2 * self.search.step)
            for kind, (first, last) in zip(KINDS, self.parts, strict=True)
        ]
        self.batches: list[str] = []

    @staticmethod
    def possible() -> bool:
        """Whether there is a compiler."""
        return find_spec("ziglang") is not None

    def build(self) -> tuple[None, str]:
        folder = self.ann.folder / "listen"
        folder.mkdir()
        module = wasm_build.build([kernel.SOURCE], folder / "listen.wasm")
        for name, (first, last) in (("listen", self.parts[0]), ("listen-long", self.parts[2])):
            app = grid.NewApp(
                name=name,
                module=str(module),
                abi="slice",
                operations=float(self.search.operations(first, last)),
                seconds=1200,
                memory_bytes=kernel.MEMORY_BYTES,
                output_bytes=kernel.OUTPUT_BYTES,
                checkpoint_bytes=kernel.CHECKPOINT_BYTES,
                quorum=1,
                about="Searches what a radio telescope recorded",
            )
            self.ann.client.add_app(self.project, app)
        samples = make(self.search, self.truth, random.Random(1))
        for number, steps in enumerate(self.parts):
            (folder / f"part-{number}").write_bytes(units.pack(self.search, samples, steps))
        lines = kernel.SOURCE.read_text().count("\n")
        return (
            None,
            f"{lines} lines of C in {module.stat().st_size} bytes; {self.search.seconds:.0f} s of noise, three signals in it",
        )

    def submit(self, deadline: float) -> str:
        """The batch of the long part."""
        folder = self.ann.folder / "listen"
        short = [str(folder / "part-0"), str(folder / "part-1")]
        submit = self.ann.client.submit
        long_one = grid.NewBatch(
            app="listen-long", paths=[str(folder / "part-2")], title="a long part", deadline=deadline
        )
        self.batches = [
            submit(self.project, long_one).id,
            submit(self.project, grid.NewBatch(app="listen", paths=short, title="two parts of the sky")).id,
        ]
        return self.batches[0]

    def done(self) -> bool:
        """Raises Failed where a part cannot be searched."""
        found = [self.ann.client.batch(batch) for batch in self.batches]
        if any(one.errors for one in found):
            raise Failed("a part of the recording could not be searched")
        return all(one.state == "done" for one in found)

    def found(self) -> str:
        """Every signal is where it was put, and there is nothing else. Raises Failed."""
        client = self.ann.client
        files = [
            client.result_file(self.batches[1], 0),
            client.result_file(self.batches[1], 1),
            client.result_file(self.batches[0], 0),
        ]
        results = [signals.read_result(file) for file in files]
        said = []
        for truth, result in zip(self.truth, results, strict=True):
            mine = [one for one in result.found if one.kind == truth.kind]
            if not mine:
                raise Failed(f"the {truth.kind} at {truth.frequency:+.1f} Hz was not found")
            best = max(mine, key=lambda one: one.score)
            off = best.at(best.time) - truth.frequency - truth.drift * best.time
            if abs(off) > self.search.rate / best.length:
                raise Failed(f"the {truth.kind} was found {off:+.2f} Hz from where it is")
            said.append(
                f"{truth.kind} {truth.frequency:+.1f} Hz, {truth.drift:+.2f} Hz/s (score {best.score:.1f})"
            )
        return "; ".join(said)
