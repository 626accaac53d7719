"""Computing, what it is worth: leaderboards, the check of a ledger, statistics, teams, and who owes whom."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from servent.api import schema_credit as schema
from servent.cli.asking import on_this_machine
from servent.cli.base import Session, command, group, hint, say, table
from servent.cli.completing import complete_peers, complete_projects, complete_teams
from servent.cli.grid_group import grid
from servent.cli.grid_text import called, count, credit
from servent.cli.people import moment, one_line
from servent.cli.text import many
from servent.errors import UsageError


@command(
    "leaderboard",
    "servent grid leaderboard folding",
    "servent grid leaderboard folding --teams --week",
    group=grid,
)
@click.argument("project", default="", shell_complete=complete_projects)
@click.option("--teams", is_flag=True, help="Teams in place of people.")
@click.option("--day", "span", flag_value="day", type=str, help="Of the last day.")
@click.option("--week", "span", flag_value="week", type=str, help="Of the last week.")
@click.option(
    "--all", "span", flag_value="all", type=str, default="all", help="Of all time; so it is by itself."
)
@click.option(
    "-n", "--lines", "most", type=click.IntRange(1, 500), default=25, show_default=True, help="So many."
)
@click.option("--from", "first", type=click.IntRange(min=1), default=1, metavar="RANK", help="Begin there.")
def leaderboard(
    session: Session, project: str, teams: bool, span: schema.Span, most: int, first: int
) -> None:
    """Who gave most to a project, yours or one you joined, as its ledger says."""
    client = session.client()
    name = project or _only(session)
    asked = schema.BoardQuery(board="teams" if teams else "people", span=span, offset=first - 1, limit=most)
    board = client.leaderboard(name, asked)

    def people() -> None:
        standings(board.standings)
        if board.rows > first - 1 + len(board.standings):
            hint(f"{count(board.rows)} in all; --from {first + most} goes on.")
        if board.as_of:
            hint(f"As of {moment(board.as_of)}.")

    session.show(board, people)


def _only(session: Session) -> str:
    """The one project there is, joined or own. Raises UsageError: none, or several."""
    client = session.client()
    known = {one.id for one in client.joined_projects()} | {
        one.id for one in client.my_projects() if not one.closed
    }
    if len(known) != 1:
        raise UsageError(
            "which project is meant?", advice="`servent grid projects` and `servent grid list` list them."
        )
    return known.pop()


def standings(known: list[schema.Standing]) -> None:
    rows = [
        (
            str(one.rank),
            called(one.name, one.key) + (" (you)" if one.me else ""),
            one_line(one.team),
            credit(one.credit),
            credit(one.recent),
            count(one.results),
        )
        for one in known
    ]
    headers = ("", "who", "team", "credit", "a day lately", "results")
    table(headers, rows, empty="nobody yet", right=(0, 3, 4, 5))


@command(
    "audit",
    "servent grid audit servent-project:…",
    "servent grid audit primes",
    "servent grid audit ~/ledger-folder --json",
    group=grid,
)
@click.argument("link", shell_complete=complete_projects)
@click.option("--standings", "ranked", is_flag=True, help="Also who has how much by it.")
def audit(session: Session, link: str, ranked: bool) -> int:
    """Check a ledger from its first entry to its last; the project need not be online.

    LINK is a published ledger's, a project's link or name, or a folder on this machine. Exit code 1: something in it does not hold.
    """
    path = Path(link).expanduser()
    said = on_this_machine(path) if path.exists() else link
    found = session.client().audit(said)

    def people() -> None:
        for check in found.checks:
            say(
                f"{'holds' if check.ok else 'FAILS':6} {check.what}"
                + (f": {one_line(check.words)}" if check.words else "")
            )
        entries = "1 entry" if found.entries == 1 else f"{count(found.entries)} entries"
        say(
            f"{one_line(found.project_name) or found.project[:12]}: {credit(found.credit)} cobblestones for "
            f"{many(found.results, 'result')} of {many(found.workers, 'worker')}, {entries}"
            + (f", {found.open} not countersigned yet" if found.open else "")
        )
        if found.head:
            say(f"head   {found.head}")
        if ranked:
            standings(found.standings)
        say("everything holds" if found.ok else "this ledger is not in order")

    session.show(found, people)
    return 0 if found.ok else 1


@command("export", "servent grid export primes stats/", group=grid)
@click.argument("project", shell_complete=complete_projects)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def export(session: Session, project: str, folder: Path) -> None:
    """Write the statistics of a project, yours or one you joined, as BOINC's XML files, which its statistics sites read."""
    made = session.client().export_statistics(project, on_this_machine(folder))

    def people() -> None:
        for name in made.files:
            say(one_line(name))

    session.show(made, people, made.files)


@command("balance", "servent grid balance", "servent grid balance --network club", group=grid)
@click.option("--network", default="", metavar="NAME", help="May be left out where you are in one.")
def balance(session: Session, network: str) -> None:
    """Who lent how much to whom inside a network: earned by lending, spent on own projects."""
    known = session.client().balances(network)
    rows = [
        (
            called(one.name, one.peer) + (" (you)" if one.me else ""),
            one_line(one.network),
            credit(one.earned),
            credit(one.spent),
            credit(one.balance),
        )
        for one in known
    ]
    headers = ("who", "network", "earned", "spent", "balance")
    session.show(known, lambda: table(headers, rows, empty="nobody lent anything yet", right=(2, 3, 4)))


# -- teams


@group(
    "team",
    "servent grid team new 'night owls'",
    "servent grid team invite 'night owls' bob",
    "servent grid team join servent:…",
    "servent grid team list",
)
def team() -> None:
    """Teams: credit of several people counted together. Membership is signed by both sides."""


grid.add_command(team)


@command("new", "servent grid team new 'night owls'", group=team)
@click.argument("name")
def new(session: Session, name: str) -> None:
    """Found a team; its key is kept here, so that you let its members in."""
    made = session.client().create_team(name)
    session.show(made, lambda: say(f"{one_line(made.name)} is founded ({made.key})"), [made.key])


@command("list", "servent grid team list", group=team, quiet=True)
def list_(session: Session) -> None:
    """List teams of yours, and those you are in."""
    known = session.client().teams()
    rows = [
        (
            one_line(one.name),
            "founded here" if one.mine else "member" if one.member else "",
            count(one.members) if one.members else "",
            f"until {moment(one.expires)}" if one.expires else "",
            one.key,
        )
        for one in known
    ]
    empty = "none; `servent grid team new NAME` founds one"
    session.show(
        known,
        lambda: table(("team", "you", "members", "", "key"), rows, empty=empty, right=(2,)),
        [one.key for one in known],
    )


@command("invite", "servent grid team invite 'night owls' bob", group=team)
@click.argument("name", shell_complete=complete_teams)
@click.argument("peer", shell_complete=complete_peers)
def invite(session: Session, name: str, peer: str) -> None:
    """Print a ticket that lets one peer into a team of yours."""
    made = session.client().invite_to_team(name, peer)
    session.show(made, lambda: say(made.link), [made.link])


@command("join", "servent grid team join servent:…", group=team)
@click.argument("ticket")
def join(session: Session, ticket: str) -> None:
    """Come into a team by a ticket that was made for you."""
    made = session.client().join_team(ticket.strip())

    def people() -> None:
        say(f"you are in {one_line(made.name)}")
        name = shlex.quote(one_line(made.name))
        hint(f"`servent grid projects PROJECT --team {name}` has your credit count for it.")

    session.show(made, people, [made.key])


@command("leave", "servent grid team leave 'night owls'", group=team)
@click.argument("name", shell_complete=complete_teams)
def leave(session: Session, name: str) -> None:
    """Leave a team. Credit earned for it stays with it."""
    session.client().leave_team(name)
    session.show({"left": name}, lambda: say(f"you are not in {one_line(name)} any more"))
