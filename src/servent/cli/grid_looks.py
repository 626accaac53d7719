"""Computing, the owner's looks at what goes on: units with their copies, hosts, and what went wrong."""

from __future__ import annotations

import time

import click

from servent.api import schema_grid as schema
from servent.cli.base import Session, command, hint, table
from servent.cli.completing import complete_my_projects
from servent.cli.grid_group import grid
from servent.cli.grid_text import STATES, ago, called, count, credit, my_project, share_of
from servent.cli.people import one_line
from servent.cli.text import duration, many
from servent.errors import UsageError

FLOP_PER_COBBLESTONE = 432e9  # 200 are a day of one GFLOP/s


@command(
    "units",
    "servent grid units primes",
    "servent grid units --state error",
    "servent grid units --batch 3 -n 1000",
    group=grid,
    quiet=True,
)
@click.argument("project", default="", shell_complete=complete_my_projects)
@click.option("--batch", default="0", metavar="N", help="Only of that batch.")
@click.option("--state", type=click.Choice(STATES), default=None, help="Only those.")
@click.option(
    "-n", "--lines", "most", type=click.IntRange(1, 1_000_000), default=50, show_default=True, help="So many."
)
@click.option("--after", type=click.IntRange(min=0), default=0, metavar="ID", help="Begin after that unit.")
def units(session: Session, project: str, batch: str, state: str | None, most: int, after: int) -> None:
    """List units of a project of yours: in which state they are, and who computes their copies."""
    client = session.client()
    if not batch.isdecimal():
        raise UsageError(f"{batch!r} is no number of a batch", advice="`servent grid batches` lists them.")
    whose = my_project(client, project or (client.batch(batch).project if batch != "0" else ""))
    rows: list[schema.UnitView] = []
    more = True
    while more and len(rows) < most:
        asked = schema.UnitsQuery(
            batch=int(batch), state=state or "", after=after, limit=min(500, most - len(rows))
        )
        page = client.units(whose.id, asked)
        rows += page.units
        more = page.more
        after = rows[-1].id if rows else after

    def people() -> None:
        cells = [
            (
                str(one.id),
                f"{one.batch}/{one.number}",
                one_line(one.input),
                one.state,
                "" if one.fraction is None else share_of(one.fraction, 1.0),
                ", ".join(_copy(copy, one.operations) for copy in one.copies) or one_line(one.why),
            )
            for one in rows
        ]
        table(("unit", "batch", "input", "", "", "copies"), cells, empty="none", right=(0, 4))
        if more:
            hint(f"There are more: --after {after}, or -n for more at once.")

    session.show(rows, people, [str(one.id) for one in rows])


def _copy(one: schema.CopyView, operations: float) -> str:
    """`operations`: of its unit, in FLOP."""
    words = one.state + (f" at {called(one.peer_name, one.peer)}" if one.peer else "")
    if one.state == "leased" and one.until:
        words += f", {duration(one.until - time.time())} left"
    if one.credit > 0:
        words += f", {credit(one.credit)}"
        if (times := one.credit * FLOP_PER_COBBLESTONE / operations if operations else 0.0) > 1.005:
            words += f" (x{times:.1f} for being quick)"
    if one.words:
        words += f": {one_line(one.words)}"
    return words


@command("hosts", "servent grid hosts primes", "servent grid hosts --json", group=grid, quiet=True)
@click.argument("project", default="", shell_complete=complete_my_projects)
def hosts(session: Session, project: str) -> None:
    """List who lends to a project of yours, and how well."""
    client = session.client()
    known = client.volunteers(my_project(client, project).id)
    rows = [
        (
            called(one.name, one.peer),
            one_line(one.team),
            "here" if one.connected else ago(one.seen),
            str(one.cores),
            f"{one.mflops / 1000:.1f}" if one.mflops else "",
            str(one.leased),
            count(one.valid),
            str(one.invalid),
            str(one.errors + one.expired),
            ", ".join(map(one_line, one.trusted)) or "not yet",
            credit(one.credit),
        )
        for one in known
    ]
    headers = (
        "host",
        "team",
        "seen",
        "cores",
        "GFLOP/s",
        "at work",
        "valid",
        "invalid",
        "failed",
        "trusted with",
        "credit",
    )
    empty = "nobody yet; pass its link on"
    session.show(
        known,
        lambda: table(headers, rows, empty=empty, right=(3, 4, 5, 6, 7, 8, 10)),
        [one.peer for one in known],
    )


@command("errors", "servent grid errors primes", group=grid)
@click.argument("project", default="", shell_complete=complete_my_projects)
def errors(session: Session, project: str) -> None:
    """What went wrong with a project's units at volunteers, those that are alike together."""
    client = session.client()
    known = client.grid_problems(my_project(client, project).id)
    rows = [
        (
            count(one.count),
            one.outcome,
            one_line(one.app),
            many(one.hosts, "host"),
            ago(one.last),
            one_line(one.words),
        )
        for one in known
    ]
    headers = ("times", "what", "app", "at", "last", "")
    session.show(known, lambda: table(headers, rows, empty="nothing went wrong", right=(0,)))
