"""What faces are shown of lending: values in, frozen views out."""

from __future__ import annotations

from collections.abc import Sequence

from servent.grid import links, views
from servent.grid.credit import cobblestones, decayed
from servent.grid.held import Held
from servent.grid.joined_service import Joined
from servent.grid.lending_log import Log
from servent.grid.lending_rows import LogRow
from servent.grid.policy import Conditions, Pause, Verdict
from servent.grid.settings import Preset
from servent.grid.work_service import Work
from servent.identity import PeerId


def letters(key: bytes) -> str:
    """A key as people see it, "" for none."""
    return str(PeerId(key)) if key else ""


def lending(
    policy: views.Policy,
    preset: Preset,
    machine: Conditions,
    verdict: Verdict,
    pause: Pause | None,
    projects: Sequence[Joined],
    work: Work,
    log: Log,
    *,
    disk_used: int,
    mflops: float,
    now: float,
    wall: float,
) -> views.Lending:
    """`now`: monotonic."""
    units, credit, transferred = log.today()
    running = work.running()
    waiting = [held for held in work.store.all() if held.state in ("getting", "ready")]
    state: views.LendState
    if not verdict.on:
        state = "off"
    elif not verdict.allowed:
        state = "paused"
    else:
        state = "working" if running else "idle"
    names = {joined.key: joined.kept.name for joined in projects}
    return views.Lending(
        on=verdict.on,
        state=state,
        why=verdict.why or _doing(running, waiting, names, projects, verdict),
        by_person=verdict.by_person,
        paused_until=pause.until if pause is not None and verdict.by_person else None,
        preset=preset,
        policy=policy,
        machine_cores=machine.cores,
        machine_memory_bytes=machine.memory_bytes,
        slots=_slots(running, names, verdict, policy, now),
        queued=len(waiting),
        queued_seconds=sum(held.estimate for held in waiting),
        to_return=sum(len(joined.outbox) for joined in projects),
        disk_used_bytes=disk_used,
        transferred_today_bytes=transferred,
        mflops=mflops,
        today=cobblestones(credit),
        recent=cobblestones(sum(decayed(one.kept.recent, wall - one.kept.recent_at) for one in projects)),
        total=cobblestones(sum(one.kept.credit for one in projects)),
        units_today=units,
    )


def _doing(
    running: Sequence[Held],
    waiting: Sequence[Held],
    names: dict[bytes, str],
    projects: Sequence[Joined],
    verdict: Verdict,
) -> str:
    """What is computed, or why nothing is, in one line."""
    if running:
        whom = sorted({names.get(held.project, "a project") for held in running})
        others = f" and {len(whom) - 2} more" if len(whom) > 2 else ""
        return f"computing for {' and '.join(whom[:2]) if not others else ', '.join(whom[:2])}{others}"
    if not projects:
        return "no project was joined yet"
    if waiting:
        return "fetching what the next units need"
    if verdict.fetch:
        return f"no new work is fetched: {verdict.fetch}"
    if all(joined.kept.paused for joined in projects):
        return "every project is paused"
    words = [joined.contact.why for joined in projects if joined.contact.why]
    return words[0] if len(projects) == 1 and words else "no project has work for this machine now"


def _slots(
    running: Sequence[Held], names: dict[bytes, str], verdict: Verdict, policy: views.Policy, now: float
) -> tuple[views.Slot, ...]:
    cores = max(verdict.cores, policy.cores)
    by_place = {held.slot: held for held in running if held.slot < cores}
    return tuple(
        _slot(number, by_place[number], names, verdict, now)
        if number in by_place
        else views.Slot(number=number + 1, state="empty" if verdict.allowed else "paused")
        for number in range(cores)
    )


def _slot(number: int, held: Held, names: dict[bytes, str], verdict: Verdict, now: float) -> views.Slot:
    moving, app = held.moving, held.app
    return views.Slot(
        number=number + 1,
        state="paused" if not verdict.allowed else "running" if moving is not None else "starting",
        project=letters(held.project),
        project_name=names.get(held.project, ""),
        app="" if app is None else f"{app.name}/{app.version}",
        unit=held.task.unit.hex()[:16],
        fraction=held.fraction_now,
        slices=moving.slices if moving is not None else held.slices,
        seconds=held.seconds + (moving.seconds if moving is not None else 0.0),
        eta=held.left(verdict.cpu_percent) if verdict.allowed else None,
        memory_bytes=moving.memory_bytes if moving is not None else 0,
        checkpoint_age=None if held.saved_at is None else max(0.0, now - held.saved_at),
        pictures=moving is not None and moving.pictures,
    )


def joined(
    one: Joined,
    log: Log,
    *,
    running: bool,
    mine: bool,
    allowed: Verdict,
    again: float,
    wall: float,
    against: str = "",
) -> views.JoinedProject:
    """`again`: seconds until it may be asked for work, where that is ahead."""
    kept, contact, manifest = one.kept, one.contact, one.contact.manifest
    held = one.held()
    state, why = contact.state, contact.why
    if manifest is not None and manifest.closed:
        state, why = "closed", "it hands out nothing any more"
    elif kept.paused:
        state, why = "paused", "paused by you"
    elif against:
        state, why = "refused", against
    elif running:
        state, why = "working", ""
    elif contact.in_contact:
        state = "waiting"
        why = why or allowed.why or allowed.fetch
        if again > 1 and allowed.allowed:
            why = f"{why or 'it has no work for us now'}; asks again in {_duration(again)}"
    elif why and again > 1:
        why = f"{why}; tries again in {_duration(again)}"
    _, credit, _ = log.today(kept.project)
    return views.JoinedProject(
        key=letters(kept.project),
        name=kept.name,
        about=manifest.about if manifest is not None else "",
        url=manifest.url if manifest is not None else "",
        link=links.without_invitation(kept.link),
        owner=letters(manifest.owner) if manifest is not None else "",
        state=state,
        why=why,
        share=kept.share,
        team=letters(kept.team),
        mine=mine,
        bonus=manifest.bonus if manifest is not None else 0.0,
        units=kept.units,
        done=kept.done,
        eta=kept.eta,
        leased=len(held),
        returned=kept.returned,
        valid=kept.valid,
        invalid=kept.invalid,
        errors=kept.errors,
        today=cobblestones(credit),
        recent=cobblestones(decayed(kept.recent, wall - kept.recent_at)),
        total=cobblestones(kept.credit),
        ledger=kept.ledger.hex(),
    )


def _duration(seconds: float) -> str:
    if seconds >= 5400:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def entry(row: LogRow) -> views.GridLogEntry:
    """A line of the log."""
    return views.GridLogEntry(
        seq=row.seq,
        at=row.at,
        kind=row.kind,  # type: ignore[arg-type]
        project=letters(row.project),
        project_name=row.name,
        app=row.app,
        unit=row.unit,
        outcome=row.outcome,
        seconds=row.seconds,
        credit=cobblestones(row.credit),
        words=row.words,
    )
