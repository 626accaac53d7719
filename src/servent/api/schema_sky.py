"""The stable surface, what is about results that are signals: a sky of candidates. The same rules as in `schema_grid`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

SignalKind = Literal["spike", "gaussian", "pulse", "triplet"]


class SkyQuery(Struct, frozen=True, kw_only=True):
    """`most`: candidates."""

    most: Annotated[int, Meta(ge=1, le=500)] = 100


class SeenAs(Struct, frozen=True, kw_only=True):
    """What another detector made of the same sender, at its strongest. The fields as those of a candidate."""

    kind: SignalKind
    score: float
    power: float
    time: float
    period: float = 0.0
    chi: float = 0.0
    plot: list[float] = []
    model: list[float] = []
    marks: list[float] = []
    left: float = 0.0
    right: float = 1.0
    along: str = "s"


class Candidate(Struct, frozen=True, kw_only=True):
    """What may be one sender, as the detector sees it that sees it best; `also`: others that do. `score`: over the threshold; `power`: over the mean of the noise. `frequency`: Hz, on the sky where the recording says its centre, else from its centre, when it began; `drift`: Hz/s; `time`: s from its begin;
    `period`: s between pulses; `chi`: of a fit; `length`: samples of a spectrum, `bandwidth`: Hz of a bin. `unit`: the part that it is strongest in; `seen`: signals that may be the same, in `parts` parts.
    `near`: its recording has none of its kind above the threshold, and this comes closest.

    `plot`: values of a curve, the first at `left`, the last at `right` (in `along`, "Hz" or "s"); `model`: what was fitted, as long as `plot`, or nothing; `marks`: places on it that matter.
    """

    kind: SignalKind
    score: float
    power: float
    frequency: float
    drift: float
    time: float
    period: float = 0.0
    chi: float = 0.0
    length: int = 0
    bandwidth: float = 0.0
    unit: int = 0
    seen: int = 1
    parts: int = 1
    near: bool = False
    recording: str = ""
    plot: list[float] = []
    model: list[float] = []
    marks: list[float] = []
    left: float = 0.0
    right: float = 1.0
    along: str = "s"
    also: list[SeenAs] = []


class Sky(Struct, frozen=True, kw_only=True):
    """What was found in the results of a batch: `parts` of `units` are read, `unread` results are none. `signals`: above a threshold; `candidates`: what they are of, strongest first, those that are `near` last.

    `recordings`: how many, `seconds` of listening together; `operations` done. `full`: parts that heard more signals of a kind than a result has room for (32): their weaker ones are missing.
    """

    parts: int = 0
    units: int = 0
    signals: int = 0
    recordings: int = 0
    seconds: float = 0.0
    operations: float = 0.0
    full: int = 0
    unread: int = 0
    candidates: list[Candidate] = []
