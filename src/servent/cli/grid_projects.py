"""Computing, the owner's commands: projects of one's own, and their apps."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from servent.api import schema_credit
from servent.api import schema_grid as schema
from servent.cli.asking import NOT_DONE, on_this_machine, parse_size
from servent.cli.base import Session, command, group, hint, say, table
from servent.cli.completing import complete_apps, complete_my_projects
from servent.cli.grid_group import grid
from servent.cli.grid_text import (
    being_quick,
    count,
    credit,
    flops,
    left,
    my_project,
    project_option,
    share_of,
    states,
)
from servent.cli.people import moment, one_line
from servent.cli.text import duration, many, parse_duration, size
from servent.errors import NotFound, UsageError

COMPONENT = b"\0asm\x0d\0\x01\0"  # how components begin, which are Python apps
AUDIENCES = ("friends", "network", "everyone", "invited")
WHO = {
    "friends": "your friends",
    "network": "the members of its network",
    "everyone": "everyone who has the link",
    "invited": "who is invited",
}
UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15, "e": 1e18}

_about = click.option("--about", metavar="TEXT", help="What it is about; volunteers read it.")
_url = click.option("--url", metavar="URL", help="A page that says more.")
_for = click.option("--for", "audience", type=click.Choice(AUDIENCES), help="Who may lend to it.")
_network = click.option("--network", metavar="NAME", help="Whose members, with `--for network`.")
_bonus = click.option(
    "--bonus",
    type=click.FloatRange(0, 100),
    metavar="K",
    help="More credit for quick returns: times the root of K * deadline / time taken, where that is above 1.",
)
_budget = click.option(
    "--budget",
    type=click.FloatRange(0, 1e15, min_open=True),
    metavar="CREDIT",
    help="Cobblestones it may spend.",
)


@command(
    "new",
    "servent grid new primes",
    "servent grid new folding --for everyone --about 'How small proteins fold'",
    "servent grid new club-render --for network --network club --budget 5000",
    group=grid,
)
@click.argument("name")
@_about
@_url
@_for
@_network
@_bonus
@_budget
@click.option("--local", is_flag=True, help="This machine computes for it, too.")
def new(
    session: Session,
    name: str,
    about: str | None,
    url: str | None,
    audience: schema.GridAudience | None,
    network: str | None,
    bonus: float | None,
    budget: float | None,
    local: bool,
) -> None:
    """Make a project and print its link, which volunteers join with."""
    wish = schema.NewProject(
        name=name,
        about=about or "",
        url=url or "",
        audience=audience or ("network" if network else "friends"),
        network=network or "",
        bonus=bonus or 0.0,
        budget=budget,
        local=local,
    )
    made = session.client().create_project(wish)

    def people() -> None:
        say(made.link)
        hint(
            f"{one_line(made.name)} is there. {WHO[made.audience].capitalize()} may lend to it: servent grid join LINK"
        )
        hint(f"Next: servent grid app add MODULE.wasm --project {_quoted(made.name)}")

    session.show(made, people, [made.link])


def _quoted(name: str) -> str:
    import shlex

    return shlex.quote(one_line(name))


@command("list", "servent grid list", "servent grid list --json", group=grid, quiet=True)
def list_(session: Session) -> None:
    """List projects of yours, with how far they are."""
    known = session.client().my_projects()
    rows = [
        (
            one_line(one.name),
            _now(one),
            f"members of {one_line(one.network)}" if one.audience == "network" else one.audience,
            share_of(one.by_state.get("done", 0), one.units),
            f"{count(one.by_state.get('done', 0))} of {count(one.units)}" if one.units else "no work yet",
            count(one.by_state.get("running", 0)),
            count(one.by_state.get("error", 0)),
            f"{one.throughput:.0f}/min" if one.throughput else "",
            left(one.eta or None),
            f"{one.hosts_now} of {one.hosts}" if one.hosts else "",
            credit(one.spent),
        )
        for one in known
    ]
    headers = (
        "project", "", "for", "done", "units", "running", "errors", "speed", "", "hosts here", "credit",
    )  # fmt: skip
    empty = "none; `servent grid new NAME` makes one"
    session.show(
        known, lambda: table(headers, rows, empty=empty, right=(3, 5, 6, 7, 10)), [one.id for one in known]
    )


def _now(one: schema.MyProject) -> str:
    return (
        "closed"
        if one.closed
        else "paused"
        if one.paused
        else "computing"
        if one.by_state.get("running")
        else "open"
    )


@command(
    "show", "servent grid show", "servent grid show primes", "servent grid show servent-project:…", group=grid
)
@click.argument("project", default="", shell_complete=complete_my_projects)
def show(session: Session, project: str) -> None:
    """Show a project of yours: units by state, speed, end, volunteers, credit, apps, and its link.

    By its link, a project of somebody else's as it is before you join it: what it is about, how far it is, and what it pays for being quick.
    """
    client = session.client()
    if project.lstrip().casefold().startswith("servent-project:"):
        look = client.look_at_project(project.strip())
        session.show(look, lambda: _look_lines(look), [look.id])
        return
    now = my_project(client, project)
    session.show(now, lambda: project_lines(now))


def _look_lines(look: schema_credit.ProjectPreview) -> None:
    say(f"project    {one_line(look.name)}  {look.id}" + ("  closed" if look.closed else ""))
    if look.about:
        say(f"about      {one_line(look.about)}" + (f"  {one_line(look.url)}" if look.url else ""))
    say(f"owner      {one_line(look.owner_name) or look.owner[:12]}")
    say(f"may lend   {WHO[look.audience] if look.audience != 'friends' else 'friends of its owner'}")
    whole = f"{count(look.done)} of {count(look.units)} ({share_of(look.done, look.units)})"
    say(
        f"units      {', '.join(filter(None, (whole, left(look.eta or None)))) if look.units else 'none yet'}"
    )
    say(f"bonus      {being_quick(look.bonus) or 'none'}")


def project_lines(now: schema.MyProject) -> None:
    say(f"project    {one_line(now.name)}  {now.id}")
    if now.about:
        say(f"about      {one_line(now.about)}" + (f"  {one_line(now.url)}" if now.url else ""))
    who = WHO[now.audience] if now.audience != "network" else f"the members of {one_line(now.network)}"
    say(f"may lend   {who}" + (", and this machine does" if now.local else ""))
    say(f"now        {_now(now)}" + (f": {one_line(now.why)}" if now.why else ""))
    done = now.by_state.get("done", 0)
    whole = f", {share_of(done, now.units)} of {count(now.units)}" if now.units else ""
    say(f"units      {states(now.by_state)}{whole}")
    speed = f"{now.throughput:.1f} units a minute" if now.throughput else "nothing moves"
    say(f"speed      {', '.join(filter(None, (speed, left(now.eta or None))))}")
    if now.hosts:
        say(
            f"hosts      {now.hosts_now} of {now.hosts} are here; {now.redundancy:.2f} copies a unit, "
            f"{many(now.errors, 'error')}, {now.invalid} invalid"
        )
    spent = f"{credit(now.spent)} granted" + (
        f", {credit(now.promised)} more for what is open" if now.promised else ""
    )
    say(f"credit     {spent}" + (f", of a budget of {credit(now.budget)}" if now.budget else ""))
    if now.bonus:
        say(f"bonus      {being_quick(now.bonus)}")
    if now.ledger:
        waits = f", {now.ledger_open} not countersigned yet" if now.ledger_open else ""
        say(
            f"ledger     {many(now.ledger_entries, 'entry').replace('entrys', 'entries')}{waits}  {now.ledger}"
        )
    say(f"link       {now.link}")
    if now.apps:
        say("")
        app_table(now.apps)
    else:
        hint(f"It has no app yet: servent grid app add MODULE.wasm --project {_quoted(now.name)}")


@command(
    "set",
    "servent grid set primes --for everyone --budget 20000",
    "servent grid set primes --budget 0",
    "servent grid set primes --pause",
    group=grid,
)
@click.argument("project", shell_complete=complete_my_projects)
@_about
@_url
@_for
@_network
@_bonus
@click.option(
    "--budget",
    type=click.FloatRange(0, 1e15),
    metavar="CREDIT",
    help="Cobblestones it may spend; 0 takes the limit away.",
)
@click.option("--pause/--go-on", "paused", default=None, help="Hand nothing out for now, or go on.")
def set_(
    session: Session,
    project: str,
    about: str | None,
    url: str | None,
    audience: schema.GridAudience | None,
    network: str | None,
    bonus: float | None,
    budget: float | None,
    paused: bool | None,
) -> None:
    """Change a project of yours; only what is given changes."""
    change = schema.ProjectChange(
        about=about, url=url, audience=audience, network=network, bonus=bonus, budget=budget, paused=paused
    )
    if change == schema.ProjectChange():
        raise UsageError("nothing was given to change", advice="`servent grid show` shows what holds.")
    now = session.client().change_project(project, change)
    session.show(now, lambda: project_lines(now))


@command("close", "servent grid close primes", "servent grid close primes --yes --forget", group=grid)
@click.argument("project", shell_complete=complete_my_projects)
@click.option("--forget", is_flag=True, help="Also forget its units and results. Its published ledger stays.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def close(session: Session, project: str, forget: bool, yes: bool) -> None:
    """Close a project of yours for good: nothing is handed out any more. Results and ledger stay."""
    client = session.client()
    now = client.my_project(project)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("this cannot be undone", advice="`--yes` says that you mean it.")
        open_ones = now.units - sum(now.by_state.get(name, 0) for name in ("done", "error", "cancelled"))
        asked = f"Close {one_line(now.name)}" + (
            f" with {many(open_ones, 'unit')} not done" if open_ones else ""
        )
        if not click.confirm(f"{asked}?", err=True):
            raise click.exceptions.Exit(NOT_DONE)
    if not now.closed:
        now = client.change_project(now.id, schema.ProjectChange(closed=True))
    if forget:
        client.remove_project(now.id)
    words = "closed and forgotten" if forget else "closed"
    session.show({"closed": now.id, "forgotten": forget}, lambda: say(f"{one_line(now.name)} is {words}"))


@command("invite", "servent grid invite primes", "servent grid invite primes --uses 10", group=grid)
@click.argument("project", default="", shell_complete=complete_my_projects)
@click.option(
    "--uses", type=click.IntRange(1, 100_000), default=1, show_default=True, help="So many may join with it."
)
def invite(session: Session, project: str, uses: int) -> None:
    """Print a link that lets volunteers into a project of the invited."""
    client = session.client()
    made = client.invite_volunteer(my_project(client, project).id, uses)
    session.show(made, lambda: say(made.link), [made.link])


# -- apps


@group(
    "app",
    "servent grid app add sieve.wasm",
    "servent grid app list",
    "servent grid app retire sieve/1",
)
def app() -> None:
    """Apps of a project of yours: WebAssembly modules that volunteers run on your inputs."""


grid.add_command(app)


@command(
    "add",
    "servent grid app add sieve.wasm",
    "servent grid app add fold.wasm --abi slice --operations 3.1T --memory 512MB --time 4h",
    "servent grid app add model.wasm --sample one-input.bin --comparer close-enough.wasm",
    group=app,
)
@click.argument("module", type=click.Path(path_type=Path))
@project_option
@click.option("--name", help="What it is called.  [default: the file's name]")
@click.option(
    "--abi",
    type=click.Choice(("command", "slice", "python")),
    help="How it is run.  [default: by what it exports]",
)
@click.option(
    "--operations", metavar="FLOP", help="Of a unit: 91G, 3.1T; credit is counted by it.  [default: measured]"
)
@click.option(
    "--sample",
    type=click.Path(path_type=Path),
    help="An input to measure the operations with.",
)
@click.option("--time", "lasting", default="1h", show_default=True, help="A unit may take on one core.")
@click.option("--memory", default="256MiB", show_default=True, metavar="SIZE", help="A unit may have.")
@click.option("--output", default="1MiB", show_default=True, metavar="SIZE", help="A result may have.")
@click.option("--checkpoint", default="64MiB", show_default=True, metavar="SIZE", help="A snapshot may have.")
@click.option(
    "--quorum",
    type=click.IntRange(1, 8),
    default=2,
    show_default=True,
    help="So many hosts must agree, until they are trusted.",
)
@click.option(
    "--comparer",
    type=click.Path(path_type=Path),
    help="A module that says whether two results agree.  [default: the same bits]",
)
@click.option(
    "--canonical-nans", is_flag=True, help="The same NaN everywhere; floating point is 2.8 times slower."
)
@click.option("--about", default="", metavar="TEXT", help="What it does; volunteers read it.")
def add(
    session: Session,
    module: Path,
    project: str,
    name: str | None,
    abi: schema.Abi | None,
    operations: str | None,
    sample: Path | None,
    lasting: str,
    memory: str,
    output: str,
    checkpoint: str,
    quorum: int,
    comparer: Path | None,
    canonical_nans: bool,
    about: str,
) -> None:
    """Add an app: its module is checked, signed, and fetched by volunteers from any peer that has it.

    The same name again makes its next version; what was submitted before goes on with the version it was submitted for.
    """
    client = session.client()
    seconds = parse_duration(lasting)
    if seconds is None:
        raise UsageError("a unit must end at some time", advice="Give `--time 30d`.")
    wish = schema.NewApp(
        name=name or module.stem,
        module=on_this_machine(module),
        abi=abi or guess_abi(module),
        operations=None if operations is None else parse_flops(operations),
        sample="" if sample is None else on_this_machine(sample),
        seconds=seconds,
        memory_bytes=parse_size(memory),
        output_bytes=parse_size(output),
        checkpoint_bytes=parse_size(checkpoint),
        quorum=quorum,
        compare="bits" if comparer is None else "comparer",
        comparer="" if comparer is None else on_this_machine(comparer),
        canonical_nans=canonical_nans,
        about=about or said_of(module),
    )
    made = client.add_app(my_project(client, project).id, wish)

    def people() -> None:
        say(
            f"{one_line(made.name)}/{made.version}: {made.abi}, {size(made.module_bytes)}, {flops(made.operations)} a unit"
        )
        hint(f"Next: servent grid submit {_quoted(made.name)} INPUTS…")

    session.show(made, people, [made.id])


def said_of(module: Path) -> str:
    """What a Python app says of itself. Empty for others."""
    with module.open("rb") as file:
        if not file.read(len(COMPONENT)).startswith(COMPONENT):
            return ""
    from servent.api import wasm_build

    return wasm_build.about(module)


def guess_abi(module: Path) -> schema.Abi:
    """What a module says of itself: one that exports `slice` works in slices. The sandbox checks it.

    Raises:
        NotFound: there is no such file. UsageError: it cannot be read.
    """
    try:
        data = module.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"there is no {str(module)!r}", advice="Name a .wasm file.") from None
    except OSError as wrong:
        raise UsageError(f"{module} cannot be read: {wrong.strerror}", advice="Name a .wasm file.") from wrong
    if data.startswith(COMPONENT):
        return "python"
    return "slice" if b"\x05slice\x00" in data or b'(export "slice"' in data else "command"


def parse_flops(text: str) -> float:
    """ "91G", "3.1 TFLOP", "2e12" -> operations. Raises UsageError."""
    plain = text.strip().lower().removesuffix("flops").removesuffix("flop").strip()
    number, unit = (plain[:-1], plain[-1]) if plain[-1:] in UNITS and plain[-1:] else (plain, "")
    try:
        value = float(number) * UNITS[unit]
    except ValueError:
        value = 0.0
    if not 1 <= value <= 9e21:
        raise UsageError(f"{text!r} is no number of operations", advice="Write 91G, 3.1T, or 2e12.")
    return value


@command("list", "servent grid app list", "servent grid app list --project primes", group=app, quiet=True)
@project_option
def app_list(session: Session, project: str) -> None:
    """List the apps of a project of yours, every version."""
    known = my_project(session.client(), project).apps
    session.show(known, lambda: app_table(known), [f"{one.name}/{one.version}" for one in known])


def app_table(known: list[schema.GridApp]) -> None:
    rows = [
        (
            f"{one_line(one.name)}/{one.version}",
            one.abi,
            "retired" if one.retired else "",
            flops(one.operations),
            duration(one.seconds),
            size(one.memory_bytes),
            f"{one.quorum} agree" + (", compared by a module" if one.compare == "comparer" else ""),
            size(one.module_bytes),
            moment(one.created),
        )
        for one in known
    ]
    headers = ("app", "abi", "", "a unit", "at most", "memory", "quorum", "module", "added")
    table(headers, rows, empty="none; `servent grid app add MODULE.wasm` adds one", right=(3, 4, 5, 7))


@command("retire", "servent grid app retire sieve/1", group=app)
@click.argument("name", shell_complete=complete_apps)
@project_option
def retire(session: Session, name: str, project: str) -> None:
    """Hand out no more work for a version of an app."""
    client = session.client()
    client.retire_app(my_project(client, project).id, name)
    session.show({"retired": name}, lambda: say(f"{one_line(name)} is retired"))
