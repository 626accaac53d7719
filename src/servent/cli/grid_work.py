"""Computing, the owner's commands for work: submit, watch, results, and what its units, hosts and errors are."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from servent.api import schema_grid as schema
from servent.cli.asking import on_this_machine
from servent.cli.base import Session, command, hint, print_json, say, table
from servent.cli.completing import complete_apps, complete_batches
from servent.cli.grid_group import grid
from servent.cli.grid_projects import parse_flops
from servent.cli.grid_text import (
    OVER,
    as_file,
    count,
    credit,
    how_far,
    left,
    my_batch,
    my_project,
    plain,
    project_option,
    share_of,
)  # fmt: skip
from servent.cli.people import moment, one_line
from servent.cli.progress import Progress
from servent.cli.text import duration, many, parse_duration, size
from servent.errors import UsageError, WorldError

if TYPE_CHECKING:
    from servent.api.client import Client

POLL = 0.5  # s between two looks at what is watched
STILL = 10.0  # s without a result, after which it is said what is missing
QUICK = 0.75  # k of the quick-return bonus, as Folding@home's projects have it
FOR_EVER = 365 * 86400.0  # s; the longest a volunteer can be given


class UnitsFailed(WorldError):
    """A batch is over, and not all of its units have a result."""


@command(
    "submit",
    "servent grid submit sieve inputs/ --to results/",
    "servent grid submit sieve a.txt b.txt --arg --verbose --watch",
    "seq 1000 | servent grid submit sieve --lines -",
    "servent grid submit pi --repeat 10000 --priority 5 --deadline 2h",
    "servent grid submit molecules start.txt --generations 50 --to states/",
    group=grid,
)
@click.argument("app", shell_complete=complete_apps)
@click.argument("inputs", nargs=-1, type=click.Path(path_type=Path))
@project_option
@click.option("--lines", metavar="FILE", help="Each line of it is an input; - is stdin.")
@click.option("--item", "items", multiple=True, metavar="TEXT", help="An input; may be repeated.")
@click.option(
    "--arg",
    "args",
    multiple=True,
    help="An argument of the module; {name} and {number} stand for the input's, {generation} counts from 0; may be repeated.",
)
@click.option(
    "--repeat", type=click.IntRange(1, 10_000_000), default=1, help="The same so often, with other seeds."
)
@click.option(
    "--generations",
    type=click.IntRange(1, 1_000_000),
    default=1,
    help="So many units in a row: the result of one is the input of the next.",
)
@click.option(
    "--bonus/--no-bonus",
    "quick",
    default=None,
    help="More credit for quick results, from now on in the whole project.  [default: with --generations, where the project has no budget]",
)
@click.option("--title", default="", help="What this work is, for you.")
@click.option(
    "--to",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write results here as they come: all as lines of results.jsonl, those of files as files.  [default: the node keeps them]",
)
@click.option(
    "--priority", type=click.IntRange(-1000, 1000), default=0, show_default=True, help="Higher goes first."
)
@click.option(
    "--deadline", default="1d", show_default=True, metavar="TIME", help="A volunteer has for a unit."
)
@click.option("--expires", metavar="TIME", help="Give up what is not done by then.")
@click.option(
    "--operations", metavar="FLOP", help="Of each of these units, where the app's own number does not fit."
)
@click.option(
    "--budget",
    type=click.FloatRange(0, 1e15, min_open=True),
    metavar="CREDIT",
    help="It may cost so many cobblestones.",
)
@click.option(
    "--check",
    "checks",
    multiple=True,
    metavar="INPUT=ANSWER",
    help="An input whose answer is known, mixed in to catch cheaters; may be repeated.",
)
@click.option("--again", is_flag=True, help="Compute also what is known already.")
@click.option("--watch", "follow", is_flag=True, help="Return when all is done.")
def submit(
    session: Session,
    app: str,
    inputs: tuple[Path, ...],
    project: str,
    lines: str | None,
    items: tuple[str, ...],
    args: tuple[str, ...],
    repeat: int,
    generations: int,
    quick: bool | None,
    title: str,
    to: Path | None,
    priority: int,
    deadline: str,
    expires: str | None,
    operations: str | None,
    budget: float | None,
    checks: tuple[str, ...],
    again: bool,
    follow: bool,
) -> int:
    """Have APP computed for each input: a file, every file of a folder, a line, or nothing at all.

    Returns when everything is stored; volunteers fetch it from then on. Inputs and results come and go as they are.
    """
    client = session.client()
    whose = my_project(client, project, app)
    if quick is None:  # who waits for each other's results gains by quick ones
        quick = generations > 1 and whose.budget is None and budget is None
    if quick and not whose.bonus:
        whose = client.change_project(whose.id, schema.ProjectChange(bonus=QUICK))
        hint(
            f"Quick results earn more in {one_line(whose.name)} from now on; `--no-bonus` leaves that alone."
        )
    wish = schema.NewBatch(
        app=app,
        paths=[on_this_machine(path) for path in inputs],
        items=list(items),
        args=list(args),
        title=title,
        priority=priority,
        deadline=parse_duration(deadline) or FOR_EVER,
        expires=None if expires is None else parse_duration(expires),
        operations=None if operations is None else parse_flops(operations),
        repeat=repeat,
        again=again,
        budget=budget,
        checks=[_check(text) for text in checks],
        to="" if to is None else on_this_machine(to),
        generations=generations,
    )
    if lines is None:
        made = client.submit(whose.id, wish)
    else:
        import msgspec

        with as_file(lines) as path:
            made = client.submit(whose.id, msgspec.structs.replace(wish, lines=path))
    if follow:
        return _watch(session, client, made)

    def people() -> None:
        cost = f", about {credit(made.cost)} cobblestones" if made.cost else ""
        say(
            f"batch {made.id}: {many(made.units, 'unit')} for {one_line(made.app)} of {one_line(made.project_name)}{cost}"
        )
        if made.why:
            hint(one_line(made.why))
        hint(
            f"`servent grid watch {made.id}` follows it, `servent grid results {made.id}` prints what is there."
        )

    session.show(made, people, [made.id])
    return 0


def _check(text: str) -> tuple[str, str]:
    given, equals, answer = text.rpartition("=")
    if not equals:
        raise UsageError(f"{text!r} names no answer", advice="Write INPUT=ANSWER.")
    return given, answer


# -- batches

_batch = click.argument("batch", required=False, metavar="[BATCH]", shell_complete=complete_batches)


@command("batches", "servent grid batches", "servent grid batches --project primes", group=grid, quiet=True)
@click.option("--project", default="", metavar="NAME", help="Only of that project.")
def batches(session: Session, project: str) -> None:
    """List what was submitted, the newest first."""
    known = session.client().batches(project)
    rows = [
        (
            one.id,
            one_line(one.project_name),
            one_line(one.app),
            one.state,
            share_of(one.done + one.errors + one.cancelled, one.units),
            f"{count(one.done)} of {count(one.units)}",
            many(one.errors, "error") if one.errors else "",
            left(one.eta),
            credit(one.cost),
            one_line(one.title or one.why),
        )
        for one in known
    ]
    headers = ("batch", "project", "app", "", "over", "units done", "", "", "credit", "")
    empty = "none; `servent grid submit APP INPUTS` submits work"
    session.show(
        known, lambda: table(headers, rows, empty=empty, right=(0, 4, 5, 8)), [one.id for one in known]
    )


@command(
    "batch",
    "servent grid batch 3",
    "servent grid batch 3 --priority 10 --deadline 2h",
    "servent grid batch 3 --pause",
    "servent grid batch 3 --forget",
    group=grid,
)
@_batch
@click.option("--priority", type=click.IntRange(-1000, 1000), help="Higher goes first.")
@click.option("--deadline", metavar="TIME", help="A volunteer has for a unit.")
@click.option("--pause/--go-on", "paused", default=None, help="Hand nothing of it out for now, or go on.")
@click.option("--forget", is_flag=True, help="Forget it with its results, once it is over.")
def batch(
    session: Session,
    batch: str | None,
    priority: int | None,
    deadline: str | None,
    paused: bool | None,
    forget: bool,
) -> None:
    """Show a batch, change it, or forget it; without a number, the newest."""
    client = session.client()
    now = my_batch(client, batch)
    change = schema.BatchChange(
        priority=priority,
        deadline=None if deadline is None else parse_duration(deadline) or FOR_EVER,
        paused=paused,
    )
    if change != schema.BatchChange():
        now = client.change_batch(now.id, change)
    if forget:
        client.forget_batch(now.id)
        session.show({"forgotten": now.id}, lambda: say(f"batch {now.id} is forgotten"))
        return
    session.show(now, lambda: _lines(now))


def _lines(now: schema.Batch) -> None:
    say(f"batch     {now.id}" + (f"  {one_line(now.title)}" if now.title else ""))
    say(f"app       {one_line(now.app)} of {one_line(now.project_name)}")
    if now.generations > 1:
        say(f"chains    {count(now.units // now.generations)}, of {count(now.generations)} generations each")
    part, words = how_far(now)
    say(f"now       {now.state}, {share_of(part, 1.0)}: {words}")
    say(f"submitted {moment(now.created)}, priority {now.priority}, a volunteer has {duration(now.deadline)}")
    say(f"credit    {credit(now.cost)}" + (f" of {credit(now.budget)}" if now.budget else ""))
    say(f"results   {one_line(now.to) or f'in the node; `servent grid results {now.id}` prints them'}")


@command("cancel", "servent grid cancel 3", group=grid)
@click.argument("batch", shell_complete=complete_batches)
def cancel(session: Session, batch: str) -> None:
    """Give up what is not done of a batch. Volunteers are told to stop; results that are there stay."""
    now = session.client().cancel_batch(batch)
    said = f"batch {now.id} is {now.state}: {count(now.done)} of {count(now.units)} done"
    session.show(now, lambda: say(said))


@command("watch", "servent grid watch", "servent grid watch 3 --json", group=grid)
@_batch
def watch(session: Session, batch: str | None) -> int:
    """Follow a batch until it is over: how far, how fast, when it ends. Ctrl-C leaves it to the node."""
    client = session.client()
    return _watch(session, client, my_batch(client, batch))


def _watch(session: Session, client: Client, now: schema.Batch) -> int:
    """Exit code 1 where units failed."""
    said, moved, asked = "", time.monotonic(), False
    try:
        with Progress(f"batch {now.id}") as progress:
            while now.state not in OVER:
                part, words = how_far(now)
                progress.show(part, words)
                why = now.why
                if not why and not asked and time.monotonic() - moved > STILL:
                    asked, why = True, stands_still(client, now)
                if why and why != said:
                    said = why
                    progress.note(one_line(why))
                time.sleep(POLL)
                before, now = now, client.batch(now.id)
                if (before.done, before.errors) != (now.done, now.errors):
                    moved, asked = time.monotonic(), False
    except KeyboardInterrupt:
        hint(f"the node goes on; `servent grid watch {now.id}` follows it again")
        raise
    words = f"batch {now.id}: {count(now.done)} of {count(now.units)} {'unit' if now.units == 1 else 'units'} done"
    words += f", {many(now.errors, 'error')}" if now.errors else ""
    words += f", {count(now.cancelled)} cancelled" if now.cancelled else ""

    def people() -> None:
        say(f"{words}, {credit(now.cost)} cobblestones")
        if now.errors:
            hint(f"`servent grid errors {_word(now.project_name)}` says what went wrong.")

    session.show(now, people)
    return 1 if now.errors else 0


def stands_still(client: Client, batch: schema.Batch) -> str:
    """Why nothing comes of a batch, as far as its owner's node can tell, and what would help; "" where nothing speaks against it."""
    whose = client.my_project(batch.project)
    app = next((one for one in whose.apps if f"{one.name}/{one.version}" == batch.app), None)
    quorum = 2 if app is None else app.quorum
    name = _word(whose.name)
    lend = "" if whose.local else f"; `servent grid join {name}` lends this machine, too"
    if not whose.hosts_now:
        return f"nobody lends to {one_line(whose.name)} just now: pass its link on{lend}"
    if whose.hosts_now < quorum:
        here = many(whose.hosts_now, "volunteer")
        return f"{here} here, and {quorum} different ones have to agree: pass its link on{lend}"
    if whose.errors or client.grid_problems(whose.id):
        return f"units went wrong at volunteers: `servent grid errors {name}` says how"
    return ""


def _word(name: str) -> str:
    import shlex

    return shlex.quote(one_line(name))


@command(
    "results",
    "servent grid results 3",
    "servent grid results 3 --to results/",
    "servent grid results 3 --follow --json > results.jsonl",
    "servent grid results 3 --unit 17 > seventeen.bin",
    group=grid,
)
@_batch
@click.option(
    "--to", type=click.Path(file_okay=False, path_type=Path), help="Write them as files into a folder."
)
@click.option("--follow", is_flag=True, help="Go on as more come, until the batch is over.")
@click.option(
    "--unit",
    type=click.IntRange(min=0),
    metavar="N",
    help="The whole output of unit N alone; into a file or a pipe as it is.",
)
@click.option(
    "--after",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Only those that came after `order` N.",
)
def results(
    session: Session, batch: str | None, to: Path | None, follow: bool, unit: int | None, after: int
) -> None:
    """Print results as they came: before each line of output the input's name and a tab. With --json, one object a result."""
    client = session.client()
    now = my_batch(client, batch)
    if unit is not None:
        data = client.result_file(now.id, unit)
        if sys.stdout.isatty():  # a stranger wrote it, and a terminal would obey
            say(plain(data.decode(errors="replace")))
        else:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        return
    if to is not None:
        if follow and _watch(session, client, now) and not session.json:
            hint("what has a result is written all the same")
        made = client.collect_results(now.id, on_this_machine(to))
        session.show(made, lambda: say(f"{many(len(made.files), 'file')} in {one_line(str(to))}"), made.files)
        return
    some = False
    for one in client.all_results(now.id, after=after, wait=20.0 if follow else 0.0):
        some = True
        if session.json:
            print_json(one)
        else:
            _say_result(one, now.generations)
    if not some and not session.json:
        hint(f"No results yet: {how_far(now)[1]}.")


def _say_result(one: schema.UnitResult, generations: int) -> None:
    name = one_line(one.input) or str(one.number)
    if generations > 1:
        name += f" ({one.generation + 1} of {generations})"
    if one.state != "done":
        say(f"{name}\t{one.state}: {one_line(one.why)}", err=True)
    elif one.output is None or one.base64:
        where = one_line(one.file) or f"{size(one.size_bytes)}; `--unit {one.number}` prints it"
        say(f"{name}\t{where}")
    else:
        for line in plain(one.output).split("\n"):  # every line says whose it is
            say(f"{name}\t{line}")
