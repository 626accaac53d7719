"""What the coordinator knows, in the words that faces show. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from servent.grid import project_views as views
from servent.grid.coordinator_views import CopyLook, History, HostLook, Problem, UnitLook
from servent.grid.credit import cobblestones
from servent.grid.manifests import App
from servent.grid.project_views import UnitState, letters
from servent.grid.projects_rows import OwnApp


def unit_view(look: UnitLook, place: tuple[int, int, str] | None) -> views.UnitView:
    """`place`: batch, number and name of its input."""
    batch, number, name = place or (look.batch, 0, "")
    return views.UnitView(
        id=look.id,
        name=look.key.hex(),
        batch=batch,
        number=number,
        input=name,
        state=cast("UnitState", look.shown),
        copies=tuple(map(copy_view, look.copies)),
        fraction=look.fraction,
        operations=look.operations * 1e6,
        why=look.why or _trouble(look),
    )


def _trouble(look: UnitLook) -> str:
    """Why a unit waits that went wrong already: whoever failed with it does not get it again."""
    failed = [copy for copy in look.copies if copy.state == "failed"]
    if look.shown != "waiting" or not failed:
        return ""
    times = "once" if len(failed) == 1 else f"{len(failed)} times"
    last = next((copy.words for copy in reversed(failed) if copy.words), "")
    return f"it went wrong {times}{': ' + last if last else ''}; it waits for somebody who did not try it yet"


def copy_view(look: CopyLook) -> views.CopyView:
    return views.CopyView(
        peer=letters(look.identity) if look.identity is not None else "",
        state=look.state,
        leased=look.leased,
        until=look.until,
        seconds=look.seconds,
        fraction=look.fraction,
        words=look.words,
        credit=cobblestones(look.mflop),
    )


def volunteer(look: HostLook, app: Callable[[bytes], str], team: str, recent: float) -> views.Volunteer:
    """`recent`: MFLOP per day."""
    return views.Volunteer(
        peer=letters(look.identity),
        name=look.name,
        team=team,
        connected=look.connected,
        seen=look.seen,
        cores=look.cores,
        mflops=look.mflops,
        leased=look.leased,
        valid=look.valid,
        invalid=look.invalid,
        errors=look.errors,
        expired=look.expired,
        trusted=tuple(map(app, look.trusted)),
        left=look.left,
        credit=cobblestones(look.credit),
        recent=cobblestones(recent),
    )


def throughput(history: History) -> views.Throughput:
    return views.Throughput(step=history.step, done=tuple(history.done), errors=tuple(history.errors))


def problems(found: Sequence[Problem], app: Mapping[bytes, str]) -> list[views.ProblemCount]:
    """The most frequent first."""
    return [
        views.ProblemCount(
            outcome=one.outcome,
            words=one.words,
            count=one.count,
            last=one.last,
            app=app.get(one.app, one.app.hex()[:8]),
            hosts=one.hosts,
        )
        for one in sorted(found, key=lambda one: -one.count)
    ]


def app_view(id: bytes, app: App, kept: OwnApp) -> views.GridApp:
    return views.GridApp(
        id=id.hex(),
        name=app.name,
        version=app.version,
        abi=app.abi,
        compare=app.compare,
        quorum=app.quorum,
        operations=app.operations * 1e6,
        seconds=app.limits.seconds,
        memory_bytes=app.limits.memory_bytes,
        output_bytes=app.limits.output_bytes,
        checkpoint_bytes=app.limits.checkpoint_bytes,
        module_bytes=app.module.size,
        module=app.module.infohash.hex(),
        about=app.about,
        retired=kept.retired,
        created=app.created,
    )
