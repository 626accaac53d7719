"""Computing, the volunteer's commands: lend, pause and resume; projects joined and left; what this machine did."""

from __future__ import annotations

import click

from servent.api import schema_grid as schema
from servent.cli.asking import parse_size
from servent.cli.base import Session, command, hint, say, table
from servent.cli.completing import complete_joined, complete_teams
from servent.cli.grid_group import grid
from servent.cli.grid_text import being_quick, count, credit, flops, left, share_of, standing
from servent.cli.people import moment, one_line
from servent.cli.text import duration, many, parse_duration, sentence, size
from servent.errors import NotFound, UsageError

# -- lending

_PRESETS = ("quiet", "when-idle", "everything", "own")


@command(
    "lend",
    "servent grid lend",
    "servent grid lend --preset quiet",
    "servent grid lend --cores 4 --hours 'weekdays 22:00-07:00' --exclusive blender",
    "servent grid lend --off",
    group=grid,
)
@click.option(
    "--on/--off", "on", default=None, help="Lend, or no longer.  [default: on, unless rules are given]"
)
@click.option(
    "--preset",
    type=click.Choice(_PRESETS),
    help="How much: quiet, when-idle, everything, or own for your own rules.",
)
@click.option("--cores", type=click.IntRange(0, 4096), help="So many at most; 0 for all but one.")
@click.option("--cpu", type=click.IntRange(1, 100), metavar="PERCENT", help="Of each lent core.")
@click.option(
    "--idle", metavar="TIME", help="Begin when nobody used keyboard or mouse for so long: 5m; 0 for always."
)
@click.option("--battery/--no-battery", "battery", default=None, help="Compute on battery, too.")
@click.option(
    "--hours",
    multiple=True,
    metavar="TEXT",
    help="Only then: 'weekdays 22:00-07:00'; may be repeated; '' for always.",
)
@click.option("--memory", type=click.IntRange(1, 100), metavar="PERCENT", help="Of the machine's memory.")
@click.option("--disk", metavar="SIZE", help="For modules, inputs and checkpoints: 10GB.")
@click.option("--transfer", metavar="SIZE", help="A day at most, up and down: 2GB; 0 for no limit.")
@click.option(
    "--exclusive",
    multiple=True,
    metavar="PROGRAM",
    help="Nothing is computed while it runs; may be repeated; '' for none.",
)
@click.option("--ahead", metavar="TIME", help="Keep so much work in store for each core: 10m.")
def lend(
    session: Session,
    on: bool | None,
    preset: schema.Preset | None,
    cores: int | None,
    cpu: int | None,
    idle: str | None,
    battery: bool | None,
    hours: tuple[str, ...],
    memory: int | None,
    disk: str | None,
    transfer: str | None,
    exclusive: tuple[str, ...],
    ahead: str | None,
) -> None:
    """Lend this machine to the projects it joined, and say how much of it and when.

    Any rule makes the preset "own", which begins with what held before. `servent grid status` says what comes of it.
    """
    change = schema.LendChange(
        on=True if on is None else on,
        preset=preset,
        cores=cores,
        cpu_percent=cpu,
        idle_minutes=_minutes(idle),
        on_battery=battery,
        hours=[text for text in hours if text.strip()] if hours else None,
        memory_percent=memory,
        disk_bytes=None if disk is None else _bytes(disk),
        transfer_bytes_per_day=None if transfer is None else _bytes(transfer),
        exclusive=[name for name in exclusive if name.strip()] if exclusive else None,
        fetch_ahead_minutes=_minutes(ahead),
    )
    client = session.client()
    now = client.change_lending(change)

    def people() -> None:
        say("this machine is lent" if now.on else "this machine is not lent")
        if now.on:
            say(f"{now.preset}: {rules(now.policy, now.machine_cores)}")
            if now.why:
                hint(sentence(one_line(now.why)))

    session.show(now, people)


def _minutes(text: str | None) -> float | None:
    if text is None:
        return None
    if text.strip() in ("0", "never", "none"):
        return 0.0
    return round((parse_duration(text) or 0.0) / 60, 4)


def _bytes(text: str) -> int:
    return 0 if text.strip() in ("0", "none", "off") else parse_size(text)


def rules(policy: schema.Policy, machine_cores: int) -> str:
    """A policy as one sentence that says its effect."""
    words = [
        f"{policy.cores} of {many(machine_cores, 'core')}" if machine_cores else many(policy.cores, "core")
    ]
    if policy.cpu_percent < 100:
        words[0] += f" at {policy.cpu_percent} %"
    words.append(
        f"when nobody used it for {duration(policy.idle_minutes * 60)}"
        if policy.idle_minutes
        else "also while you use it"
    )
    if not policy.on_battery:
        words.append("not on battery")
    if policy.hours:
        words.append("only " + ", ".join(policy.hours))
    words.append(f"{policy.memory_percent} % of the memory")
    words.append(f"{size(policy.disk_bytes)} of disk")
    if policy.transfer_bytes_per_day:
        words.append(f"{size(policy.transfer_bytes_per_day)} a day over the network")
    if policy.exclusive:
        words.append("never beside " + ", ".join(map(one_line, policy.exclusive)))
    return ", ".join(words)


@command(
    "pause", "servent grid pause", "servent grid pause --for 2h", "servent grid pause folding", group=grid
)
@click.argument("project", required=False, shell_complete=complete_joined)
@click.option("--for", "lasting", metavar="TIME", help="30m, 2h, 1d.  [default: until `grid resume`]")
def pause(session: Session, project: str | None, lasting: str | None) -> None:
    """Compute nothing for a while, or nothing for one project. What was begun goes on later from where it is."""
    client = session.client()
    if project:
        if lasting is not None:
            raise UsageError(
                "a pause of one project has no end", advice="`servent grid resume PROJECT` ends it."
            )
        changed = client.change_joined(project, schema.JoinedChange(paused=True))
        session.show(changed, lambda: say(f"nothing is computed for {one_line(changed.name)}"))
        return
    now = client.pause_lending(None if lasting is None else parse_duration(lasting))
    until = f"until {moment(now.paused_until)}" if now.paused_until else "until `servent grid resume`"
    session.show(now, lambda: say(f"paused {until}"))


@command("resume", "servent grid resume", "servent grid resume folding", group=grid)
@click.argument("project", required=False, shell_complete=complete_joined)
def resume(session: Session, project: str | None) -> None:
    """End a pause, of everything or of one project."""
    client = session.client()
    if project:
        changed = client.change_joined(project, schema.JoinedChange(paused=False))
        session.show(changed, lambda: say(f"{one_line(changed.name)}: {changed.state}"))
        return
    now = client.resume_lending()
    session.show(now, lambda: say(sentence(one_line(now.why) or now.state)))


_STATES = {
    "off": "not lent; `servent grid lend` lends it",
    "paused": "paused",
    "idle": "ready, with nothing to do",
    "working": "computing",
}


@command("status", "servent grid status", "servent grid status --json", group=grid)
def status(session: Session) -> None:
    """What this machine lends and computes right now, for whom, and why nothing where it is nothing."""
    client = session.client()
    now, joined = client.lending(), client.joined_projects()

    def people() -> None:
        say(f"machine   {standing(_STATES[now.state], now.why if now.on else '')}")
        if now.on:
            say(f"rules     {now.preset}: {rules(now.policy, now.machine_cores)}")
        say(
            f"credit    {credit(now.today)} today, {credit(now.recent)} a day lately, {credit(now.total)} in all"
            f" ({many(now.units_today, 'unit')} today)"
        )
        if now.mflops:
            say(f"speed     {flops(now.mflops * 1e6)}/s a core, in the sandbox")
        kept = [f"{count(now.queued)} waiting ({duration(now.queued_seconds)})"] if now.queued else []
        kept += [f"{count(now.to_return)} to be returned"] if now.to_return else []
        if kept:
            say(f"work      {', '.join(kept)}")
        if busy := [one for one in now.slots if one.unit]:
            say("")
            _slots(busy)
        if joined:
            say("")
            joined_table(joined)
        else:
            hint("No project was joined yet; `servent grid join LINK` joins one.")

    session.show({"lending": now, "projects": joined}, people)


def _slots(slots: list[schema.Slot]) -> None:
    rows = [
        (
            str(one.number + 1),
            one_line(one.project_name),
            one_line(one.app),
            one.unit[:8],
            one.state if one.state != "running" else "",
            "?" if one.fraction is None else share_of(one.fraction, 1.0),
            duration(one.seconds),
            left(one.eta),
            size(one.memory_bytes),
        )
        for one in slots
    ]
    headers = ("core", "project", "app", "unit", "", "done", "so far", "", "memory")
    table(headers, rows, empty="nothing", right=(0, 5, 8))


@command(
    "log",
    "servent grid log",
    "servent grid log --project folding -n 500",
    "servent grid log --json",
    group=grid,
)
@click.option(
    "-n", "--lines", type=click.IntRange(1, 100_000), default=30, show_default=True, help="The last N."
)
@click.option("--project", default="", metavar="NAME", help="Only what was done for it.")
def log(session: Session, lines: int, project: str) -> None:
    """What my machine did, for whom, and what it was credited; the newest last."""
    client = session.client()
    rows: list[schema.GridLogEntry] = []
    while len(rows) < lines:
        page = client.grid_log(
            before=rows[-1].seq if rows else 0, limit=min(500, lines - len(rows)), project=project
        )
        rows += page
        if not page:
            break
    rows.reverse()

    def people() -> None:
        cells = [
            (
                moment(one.at),
                one_line(one.project_name),
                one_line(one.app),
                one.unit[:8],
                one.outcome or one.kind,
                duration(one.seconds) if one.seconds else "",
                credit(one.credit) if one.credit else "",
                one_line(one.words),
            )
            for one in rows
        ]
        headers = ("when", "project", "app", "unit", "what", "took", "credit", "")
        table(headers, cells, empty="nothing yet", right=(5, 6))

    session.show(rows, people)


# -- projects joined


@command(
    "join",
    "servent grid join servent-project:…",
    "servent grid join servent-project:… --share 50 --team 'night owls'",
    group=grid,
)
@click.argument("link")
@click.option(
    "--share",
    type=click.FloatRange(0, 1e6, min_open=True),
    default=100.0,
    show_default=True,
    help="Of this machine, against other projects' shares.",
)
@click.option("--team", default="", metavar="NAME", help="The team its credit counts for.")
@click.option("--no-lend", is_flag=True, help="Join, and leave lending off where it is off.")
def join(session: Session, link: str, share: float, team: str, no_lend: bool) -> None:
    """Compute for a project from now on; LINK is what its owner passed on, or one of your own by name."""
    client = session.client()
    wish = schema.JoinProject(link=link.strip(), share=share, team=team, lend=not no_lend)
    made = client.join_project(wish)

    def people() -> None:
        say(f"{one_line(made.name)} is joined" + (f": {one_line(made.about)}" if made.about else ""))
        hint(sentence(one_line(client.lending().why)))

    session.show(made, people)


@command("leave", "servent grid leave folding", group=grid)
@click.argument("project", shell_complete=complete_joined)
def leave(session: Session, project: str) -> None:
    """Compute for a project no longer. Work that was not begun goes back; credit stays."""
    session.client().leave_project(project)
    session.show({"left": project}, lambda: say(f"{one_line(project)} is left"))


@command(
    "projects",
    "servent grid projects",
    "servent grid projects folding",
    "servent grid projects folding --share 25 --team 'night owls'",
    group=grid,
    quiet=True,
)
@click.argument("project", required=False, shell_complete=complete_joined)
@click.option("--share", type=click.FloatRange(0, 1e6, min_open=True), help="Of this machine.")
@click.option(
    "--team",
    metavar="NAME",
    shell_complete=complete_teams,
    help="The team its credit counts for from now on; '' for none.",
)
def projects(session: Session, project: str | None, share: float | None, team: str | None) -> None:
    """Projects this machine computes for: how they are, what they gave; with a name, one of them or its share."""
    client = session.client()
    if project is None:
        if share is not None or team is not None:
            raise UsageError("which project is meant?", advice="Name it before the options.")
        known = client.joined_projects()
        session.show(known, lambda: joined_table(known), [one.id for one in known])
        return
    if share is not None or team is not None:
        one = client.change_joined(project, schema.JoinedChange(share=share, team=team))
    else:
        one = _find(client.joined_projects(), project)
    session.show(one, lambda: _joined(one), [one.id])


def _find(known: list[schema.JoinedProject], project: str) -> schema.JoinedProject:
    """Raises NotFound: none, or several."""
    found = [one for one in known if project in (one.id, one.name, one.link)]
    found = found or [one for one in known if len(project) >= 6 and one.id.startswith(project)]
    if len(found) != 1:
        said = (
            f"several projects are called {project!r}"
            if found
            else f"no project joined is called {project!r}"
        )
        raise NotFound(said, advice="`servent grid projects --json` lists them with their keys.")
    return found[0]


def joined_table(known: list[schema.JoinedProject]) -> None:
    rows = [
        (
            one_line(one.name) + (" (yours)" if one.mine else ""),
            standing(one.state, one.why if one.state != "working" else ""),
            f"{one.share:g}",
            share_of(one.done, one.units),
            left(one.eta or None),
            count(one.valid),
            credit(one.today),
            credit(one.total),
            one_line(one.team),
        )
        for one in known
    ]
    headers = ("project", "now", "share", "whole", "", "valid", "today", "credit", "team")
    empty = "none; `servent grid join LINK` joins one"
    table(headers, rows, empty=empty, right=(2, 3, 5, 6, 7))


def _joined(one: schema.JoinedProject) -> None:
    say(f"project   {one_line(one.name)}  {one.id}")
    if one.about:
        say(f"about     {one_line(one.about)}" + (f"  {one_line(one.url)}" if one.url else ""))
    say(f"owner     {one_line(one.owner_name) or one.owner[:12] or 'unknown'}")
    say(f"now       {standing(one.state, one.why)}")
    whole = (
        f"{count(one.done)} of {count(one.units)} units ({share_of(one.done, one.units)})"
        if one.units
        else ""
    )
    say(f"whole     {', '.join(filter(None, (whole, left(one.eta or None)))) or 'unknown'}")
    say(
        f"mine      {many(one.valid, 'valid result')}, {one.invalid} invalid, {many(one.errors, 'error')}, "
        f"{one.leased} at work, {one.returned} returned"
    )
    say(f"credit    {credit(one.today)} today, {credit(one.recent)} a day lately, {credit(one.total)} in all")
    if one.bonus:
        say(f"bonus     {being_quick(one.bonus)}")
    say(f"share     {one.share:g}" + (f", for the team {one_line(one.team)}" if one.team else ""))
    if one.ledger:
        say(f"ledger    {one.ledger}")
