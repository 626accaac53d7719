"""From what a node knows of a cluster to what is shown of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from servent.cluster.live import Live
from servent.cluster.views import ClusterView, GroupView, MachineView, State
from servent.cluster.visits import Report, Versions


def unfit(theirs: Versions, ours: Versions) -> str:
    """Why a machine's processes will not be let in, in words for the owner; "" where they will be, or nothing is known."""
    if not theirs.python:
        return ""
    if not theirs.distributed:
        return "Dask is not installed there"
    wrong = []
    if theirs.python.split(".")[:2] != ours.python.split(".")[:2]:
        wrong.append(f"Python {theirs.python}, here {ours.python}")
    wrong += [
        f"{name} {getattr(theirs, name)}, here {getattr(ours, name) or 'none'}"
        for name in ("dask", "distributed")
        if getattr(theirs, name) != getattr(ours, name)
    ]
    return "; ".join(wrong)


def state_of(live: Live) -> State:
    if live.refused:
        return "refused"
    if live.scheduler:
        return "up"
    if live.mine:
        return "starting" if live.kept.up else "down"
    return "down" if live.roster is not None and not live.why.startswith("its owner") else "away"


def view(
    live: Live,
    me: bytes,
    mine: Report,
    *,
    link: str,
    dashboard: bool,
    logs: Sequence[str],
    called: dict[bytes, str],
) -> ClusterView:
    """`mine`: what this machine says of itself. `called`: our names for nodes."""
    roster, kept, seen = live.roster, live.kept, live.seen
    nodes = (
        []
        if roster is None
        else [roster.owner, *(one.node for one in roster.members if one.node != roster.owner)]
    )
    machines = []
    for node in nodes:
        assert roster is not None
        member = roster.member(node)
        assert member is not None
        machine = live.machines.get(node)
        report = mine if node == me else Report() if machine is None else machine.report
        machines.append(
            MachineView(
                node=node,
                name=called.get(node) or report.name,
                mine=node == me,
                owner=node == roster.owner,
                work=member.work,
                submit=member.submit,
                groups=list(member.groups),
                here=node == me or (machine is not None and machine.here),
                at=0.0 if machine is None else machine.at,
                why=report.why,
                lends=report.lends,
                cores=report.cores,
                memory_bytes=report.memory_bytes,
                hardware=report.hardware,
                versions=report.versions,
                unfit=unfit(report.versions, mine.versions),
                parts=list(report.parts),
            )
        )
    own = None if roster is None else roster.member(me)
    return ClusterView(
        id=kept.id.hex(),
        name=kept.called,
        owner=kept.owner,
        mine=live.mine,
        state=state_of(live),
        why=live.why,
        address=f"servent://{kept.called}",
        link=link,
        number=0 if roster is None else roster.number,
        up=kept.up,
        work=kept.work,
        submit=own is not None and own.submit,
        cores=kept.cores,
        machines=machines,
        groups=[]
        if roster is None
        else [
            GroupView(
                name=one.name,
                hours=list(one.hours),
                machines=sum(one.name in member.groups for member in roster.members),
            )
            for one in roster.groups
        ],
        workers=list(seen.workers),
        kinds=list(seen.kinds),
        waiting=seen.waiting,
        running=seen.running,
        done=seen.done,
        failed=seen.failed,
        kept_bytes=seen.kept_bytes,
        per_minute=seen.per_minute,
        clients=seen.clients,
        restarts=live.restarts,
        dashboard=dashboard,
        logs=list(logs),
    )
