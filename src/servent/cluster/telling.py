"""What a scheduler tells its node of its workers and tasks. Pure; knows Dask's objects by their attributes alone.

Names, figures and sizes come from workers and from who submits, which other people's machines are. One that makes no sense is told as nothing: it must
not end the scheduler, nor be more than a node reads (`visits`).
"""

from __future__ import annotations

from typing import Any

from servent.cluster import addresses, visits
from servent.cluster.addresses import Place
from servent.cluster.model import ADDRESS_LENGTH
from servent.cluster.visits import Kind
from servent.errors import UsageError

GROUP = "group-"  # a worker of the group "lab" has the resource "group-lab", without end
MOST, MOST_NUMBER = 2**53, 1e15  # of a count, and of a number, as `visits` has them


def kind(prefix: Any) -> Kind:
    """Of distributed's `TaskPrefix`."""
    states = prefix.states
    return Kind(
        name=text(prefix.name, 200),
        waiting=sum(count(states.get(one, 0)) for one in ("waiting", "queued", "no-worker")),
        running=count(states.get("processing", 0)),
        done=count(prefix.state_counts.get("memory", 0)),
        failed=count(prefix.state_counts.get("erred", 0)),
        seconds=round(number(prefix.duration_average), 6),
    )


def worker(state: Any) -> visits.Worker:
    """Of distributed's `WorkerState`."""
    try:
        place = addresses.parse(state.address)
    except UsageError:
        place = ""
    metrics = state.metrics if isinstance(state.metrics, dict) else {}
    spilled = metrics.get("spilled_bytes")
    resources = state.resources if isinstance(state.resources, dict) else {}
    groups = [one for one in resources if isinstance(one, str) and one.startswith(GROUP)]
    return visits.Worker(
        name=text(state.name, 200),
        address=text(state.address, ADDRESS_LENGTH),
        node=bytes(place.node) if isinstance(place, Place) else b"",
        status=text(state.status.name, 64),
        threads=count(state.nthreads),
        memory_limit_bytes=count(state.memory_limit),
        memory_bytes=count(metrics.get("memory")),
        spilled_bytes=count(spilled.get("disk")) if isinstance(spilled, dict) else 0,
        cpu=round(number(metrics.get("cpu")), 1),
        running=len(state.executing),
        waiting=count(len(state.processing) - len(state.executing)),
        kept=len(state.has_what),
        groups=[text(one.removeprefix(GROUP), 64) for one in groups[:16]],
    )


def number(value: Any) -> float:
    """Not below 0, and finite; 0 for what is no number."""
    try:
        return min(
            MOST_NUMBER, max(0.0, float(value))
        )  # of two, `max` takes the first where the other is no number
    except (TypeError, ValueError, OverflowError):
        return 0.0


def count(value: Any) -> int:
    """As `number`, and whole."""
    try:
        return min(MOST, max(0, int(value)))
    except (TypeError, ValueError, OverflowError):
        return 0


def text(value: Any, most: int) -> str:
    """What is no text is told as Python writes it; half characters, which no message can have, as "?"."""
    return str(value)[:most].encode("utf-8", "replace").decode()
