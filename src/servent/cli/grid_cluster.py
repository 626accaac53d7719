"""Dask among friends, on the command line: clusters of one's own, those of others, their machines and who may do what there."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from servent.api import schema_cluster as schema
from servent.cli.asking import NOT_DONE
from servent.cli.base import Session, command, group, hint, say, table
from servent.cli.completing import complete_clusters, complete_peers
from servent.cli.grid_group import grid
from servent.cli.grid_lend import rules
from servent.cli.grid_text import ago, count
from servent.cli.people import one_line
from servent.cli.text import duration, many, sentence, size
from servent.errors import UsageError

if TYPE_CHECKING:
    from servent.api.client import Client

LOOK_EVERY = 0.3  # s between two looks at a cluster that starts
ASKED_WITHIN = 1.0  # s in which the machine of a cluster's owner says what goes on there
STATES = {
    "up": "up",
    "starting": "starting",
    "down": "down",
    "away": "owner away",
    "refused": "not on its list",
}

_name = click.argument("name", default="", shell_complete=complete_clusters)
_cores = click.option(
    "--cores", type=click.IntRange(0, 4096), help="So many of the lent cores at most; 0 for all."
)
_lend = click.option("--lend/--no-lend", default=True, help="Turn lending on where it is off.")


@group(
    "cluster",
    "servent grid cluster up lab",
    "servent grid cluster allow lab bob --submit",
    "servent grid cluster join servent-cluster:…",
    "servent grid cluster ls",
)
def cluster() -> None:
    """Dask among friends: a scheduler here, workers on the machines of those you trust.

    Any script beside a node uses it: `dask.distributed.Client("servent://lab")`. Whoever may submit runs any code on all of its machines, as their owners: put nobody on the list whom you
    would not give a shell.
    """


grid.add_command(cluster)


@command("up", "servent grid cluster up lab", "servent grid cluster up lab --no-work", group=cluster)
@click.argument("name", shell_complete=complete_clusters)
@_cores
@click.option("--work/--no-work", default=True, help="This machine works in it, too.")
@_lend
@click.option(
    "--wait", type=click.FloatRange(0, 600), default=60.0, metavar="SECONDS", help="For its scheduler."
)
def up(session: Session, name: str, cores: int | None, work: bool, lend: bool, wait: float) -> None:
    """Make a cluster and start its scheduler, or start that of one that is down; prints its link."""
    client = session.client()
    lent = client.lending().on
    known = [one for one in client.clusters() if name in (one.name, one.id)]
    if known:
        now = client.change_cluster(
            name, schema.ClusterChange(up=True, cores=cores, work=None if work else False)
        )
    else:
        now = client.create_cluster(schema.NewCluster(name=name, work=work, cores=cores or 0, lend=lend))
    end = time.monotonic() + wait
    while now.state != "up" and not now.why and time.monotonic() < end:
        time.sleep(LOOK_EVERY)
        now = client.one_cluster(now.id)

    def people() -> None:
        say(now.link)
        _say_lending(client, lent)
        if now.state != "up":
            hint(
                f"{one_line(now.name)} is {STATES[now.state]}: {one_line(now.why) or 'its scheduler has not begun yet'}"
            )
            return
        hint(f'{one_line(now.name)} is up. In Python: dask.distributed.Client("{now.address}")')
        hint(f"Next: servent grid cluster allow {one_line(now.name)} FRIEND, who then joins with this link")

    session.show(now, people, [now.link])


def _say_lending(client: Client, before: bool) -> None:
    """Where a machine is lent by what was just done."""
    now = client.lending()
    if now.on and not before:
        hint(
            f"This machine is lent from now on, {now.preset}: {rules(now.policy, now.machine_cores)}. `servent grid lend` says it otherwise."
        )


@command(
    "join",
    "servent grid cluster join servent-cluster:…",
    "servent grid cluster join servent-cluster:… --cores 4",
    "servent grid cluster join servent-cluster:… --no-work",
    group=cluster,
)
@click.argument("link")
@_cores
@click.option("--work/--no-work", default=True, help="This machine works in it.")
@_lend
@click.option("--yes", is_flag=True, help="Do not ask.")
def join(session: Session, link: str, cores: int | None, work: bool, lend: bool, yes: bool) -> None:
    """Take part in a friend's cluster, once they have put this node on its list.

    With `--no-work` this machine computes nothing, and may submit where the owner lets it.
    """
    client = session.client()
    if work and not yes:
        what = "Whoever its owner lets submit can run any program on this machine, as you. Join"
        if not sys.stdin.isatty():
            raise UsageError(
                "nobody is here to ask", advice=f"{what}? Say it with --yes, or join with --no-work."
            )
        if not click.confirm(f"{what}?", err=True):
            raise click.exceptions.Exit(NOT_DONE)
    lent = client.lending().on
    now = client.join_cluster(schema.JoinCluster(link=link, work=work, cores=cores or 0, lend=lend))

    def people() -> None:
        say(f"you take part in {one_line(now.name)} of {one_line(now.owner_name) or now.owner[:8]}")
        submit = [_called(one) for one in now.machines if one.submit]
        _say_lending(client, lent)
        if work and submit:
            hint(f"Who may run code here: {', '.join(submit)}")
        if now.submit:
            hint(f'In Python: dask.distributed.Client("{now.address}")')
        if now.why:
            hint(sentence(one_line(now.why)))

    session.show(now, people, [now.id])


@command("ls", "servent grid cluster ls", "servent grid cluster ls --json", group=cluster, quiet=True)
def ls(session: Session) -> None:
    """List clusters: those of this node, and those it takes part in."""
    known = session.client().clusters()
    rows = [
        (
            one_line(one.name),
            STATES[one.state],
            "yours" if one.mine else f"of {one_line(one.owner_name) or one.owner[:8]}",
            "works, submits"
            if one.work and one.submit
            else "works"
            if one.work
            else "submits"
            if one.submit
            else "",
            str(len(one.workers)) if one.mine else "",
            count(one.running) if one.mine else "",
            count(one.waiting) if one.mine else "",
            one.address,
        )
        for one in known
    ]
    headers = ("cluster", "", "", "this machine", "workers", "running", "waiting", "for Client(…)")
    empty = "none; `servent grid cluster up NAME` makes one"
    session.show(known, lambda: table(headers, rows, empty=empty, right=(4, 5, 6)), [one.id for one in known])


@command("show", "servent grid cluster show lab", group=cluster)
@_name
def show(session: Session, name: str) -> None:
    """Show a cluster: its machines with what they have, groups, workers and tasks."""
    now = _seen(session.client(), name or _only(session))
    session.show(now, lambda: _lines(now))


def _seen(client: Client, name: str) -> schema.Cluster:
    """As it is now. The owner's machine is asked once somebody looks; till it answers, a member's node has what it saw last."""
    now = client.one_cluster(name)
    if not now.mine and now.state == "up":
        time.sleep(ASKED_WITHIN)
        now = client.one_cluster(now.id)
    return now


def _only(session: Session) -> str:
    known = session.client().clusters()
    if len(known) != 1:
        raise UsageError(
            "which cluster?" if known else "there is no cluster here",
            advice="Name it; `servent grid cluster ls` lists them."
            if known
            else "`servent grid cluster up NAME` makes one.",
        )
    return known[0].id


def _called(one: schema.Machine) -> str:
    return "this machine" if one.mine else one_line(one.name) or one.id[:8]


def _lines(now: schema.Cluster) -> None:
    whose = "yours" if now.mine else f"of {one_line(now.owner_name) or now.owner[:8]}"
    say(
        f"{one_line(now.name)}, {whose}: {STATES[now.state]}" + (f" ({one_line(now.why)})" if now.why else "")
    )
    if now.state == "up":
        say(
            f"{many(len(now.workers), 'worker')}, {count(now.running)} tasks running, {count(now.waiting)} waiting, "
            f"{count(now.done)} done, {count(now.failed)} failed; {many(now.clients, 'client')}"
        )
    say("")
    table(
        ("machine", "", "may", "groups", "lends", "has", "Python, Dask"),
        [
            (
                _called(one) + (" (owner)" if one.owner else ""),
                _is(one, now),
                _may(one),
                ", ".join(one.groups),
                f"{many(one.cores, 'core')}, {size(one.memory_bytes)}" if one.cores else "",
                _has(one.hardware),
                f"{one.versions.python}, {one.versions.distributed or 'no Dask'}"
                if one.versions.python
                else "",
            )
            for one in now.machines
        ],
        empty="no machines",
    )
    for one in now.machines:
        if one.unfit:
            hint(f"{_called(one)} has other versions: {one_line(one.unfit)}")
    for its in now.groups:
        say(f"group {its.name}: {many(its.machines, 'machine')}, {', '.join(its.hours) or 'always'}")
    if now.kinds:
        say("")
        rows = [
            (
                one_line(one.name), count(one.waiting), count(one.running), count(one.done), count(one.failed),
                duration(one.seconds) if one.seconds >= 1 else f"{one.seconds * 1000:.0f} ms",
            )
            for one in now.kinds
        ]  # fmt: skip
        table(
            ("tasks", "waiting", "running", "done", "failed", "each"), rows, empty="", right=(1, 2, 3, 4, 5)
        )


def _is(one: schema.Machine, of: schema.Cluster) -> str:
    running = sum(part.state == "running" for part in one.parts)
    failed = next((part.why for part in one.parts if part.state == "failed"), "")
    if not one.here and not of.mine:  # its owner alone is told how it is there
        theirs = sum(worker.node == one.id for worker in of.workers)
        return many(theirs, "worker") if theirs else ""
    if not one.here:
        return f"away, seen {ago(one.at)}" if one.at else "away"
    if failed:
        return f"failing: {one_line(failed)}"
    if one.why:
        return one_line(one.why)
    return f"{many(running, 'worker')}" if running else "starting" if one.parts else "here"


def _may(one: schema.Machine) -> str:
    return ", ".join(word for word, on in (("work", one.work), ("submit", one.submit)) if on) or "nothing"


def _has(one: schema.MachineHardware) -> str:
    parts = [one_line(one.processor), many(one.cores, "core") if one.cores else ""]
    parts += [size(one.memory_bytes) if one.memory_bytes else "", *map(one_line, one.gpus)]
    return ", ".join(part for part in parts if part)


@command("down", "servent grid cluster down lab", group=cluster)
@_name
def down(session: Session, name: str) -> None:
    """End the scheduler of a cluster of yours, and with it what is computed there. `up` starts it again."""
    now = session.client().change_cluster(name or _only(session), schema.ClusterChange(up=False))
    session.show(now, lambda: say(f"{one_line(now.name)} is down; its members stay on its list"))


@command("leave", "servent grid cluster leave lab", group=cluster)
@click.argument("name", shell_complete=complete_clusters)
@click.option("--yes", is_flag=True, help="Do not ask.")
def leave(session: Session, name: str, yes: bool) -> None:
    """Take part no longer. A cluster of your own is gone for everybody."""
    client = session.client()
    now = client.one_cluster(name)
    if now.mine and not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"{name} is yours, and would be gone for everybody", advice="Say it with --yes.")
        if not click.confirm(f"{one_line(now.name)} is yours: end it for everybody?", err=True):
            raise click.exceptions.Exit(NOT_DONE)
    client.remove_cluster(now.id)
    session.show(now, lambda: say(f"{one_line(now.name)} is {'gone' if now.mine else 'left'}"))


@command(
    "work", "servent grid cluster work lab --cores 4", "servent grid cluster work lab --off", group=cluster
)
@_name
@click.option("--on/--off", "on", default=True, help="This machine works in it, or not.")
@_cores
def work(session: Session, name: str, on: bool, cores: int | None) -> None:
    """Say whether this machine works in a cluster, and with how many cores. When it may, `servent grid lend` says."""
    now = session.client().change_cluster(name or _only(session), schema.ClusterChange(work=on, cores=cores))
    session.show(
        now, lambda: say(f"this machine {'works' if now.work else 'does not work'} in {one_line(now.name)}")
    )


@command(
    "allow",
    "servent grid cluster allow lab bob",
    "servent grid cluster allow lab bob --submit --group night",
    "servent grid cluster allow lab eve --no-work --submit",
    group=cluster,
)
@click.argument("name", shell_complete=complete_clusters)
@click.argument("who", shell_complete=complete_peers)
@click.option("--work/--no-work", default=None, help="Their machine may work.  [default for new ones: yes]")
@click.option(
    "--submit/--no-submit",
    default=None,
    help="They may submit, which runs any code on all machines.  [default for new ones: no]",
)
@click.option(
    "--group", "groups", multiple=True, help="Their machine is in it; may be repeated; '' for none."
)
def allow(
    session: Session, name: str, who: str, work: bool | None, submit: bool | None, groups: tuple[str, ...]
) -> None:
    """Put somebody on the list of a cluster of yours, or change what they may."""
    chosen = [one for one in groups if one.strip()] if groups else None
    now = session.client().change_member(
        name, who, schema.MemberChange(work=work, submit=submit, groups=chosen)
    )

    def people() -> None:
        say(f"{one_line(who)} is on the list of {one_line(now.name)}")
        hint(f"They join with: servent grid cluster join {now.link}")

    session.show(now, people, [now.id])


@command("deny", "servent grid cluster deny lab bob", group=cluster)
@click.argument("name", shell_complete=complete_clusters)
@click.argument("who", shell_complete=complete_peers)
def deny(session: Session, name: str, who: str) -> None:
    """Take somebody off the list: what they have connected is sent away within seconds."""
    now = session.client().drop_member(name, who)
    session.show(now, lambda: say(f"{one_line(who)} is off the list of {one_line(now.name)}"), [now.id])


@command(
    "group",
    "servent grid cluster group lab night --hours 'daily 22:00-07:00'",
    "servent grid cluster group lab gpu",
    "servent grid cluster group lab gpu --remove",
    group=cluster,
)
@click.argument("name", shell_complete=complete_clusters)
@click.argument("called", metavar="GROUP")
@click.option(
    "--hours", multiple=True, metavar="TEXT", help="They work only then; may be repeated; none for always."
)
@click.option("--remove", is_flag=True, help="End the group; its machines stay members.")
def group_(session: Session, name: str, called: str, hours: tuple[str, ...], remove: bool) -> None:
    """Make a group of machines, with the hours in which they work on their own clocks.

    A task that is to run there says so: client.submit(f, resources={"group-night": 1}).
    """
    client = session.client()
    if remove:
        now = client.drop_group(name, called)
    else:
        now = client.change_group(name, called, [text for text in hours if text.strip()])
    words = "is gone" if remove else f"works {', '.join(hours) or 'always'}"
    session.show(now, lambda: say(f"group {called} of {one_line(now.name)} {words}"), [now.id])


@command("log", "servent grid cluster log lab", "servent grid cluster log lab worker-1", group=cluster)
@click.argument("name", shell_complete=complete_clusters)
@click.argument("process", default="")
@click.option("--lines", type=click.IntRange(1, 2000), default=100, show_default=True, help="So many.")
def log(session: Session, name: str, process: str, lines: int) -> None:
    """Print what a process on this machine wrote: its scheduler, or worker-1 and so on, with what tasks printed."""
    client = session.client()
    if not process:
        there = client.one_cluster(name).logs
        process = there[0] if there else "scheduler"
    found = client.cluster_log(name, process, lines)

    def people() -> None:
        for line in found.lines:
            say(line)

    session.show(found, people)


@command("dashboard", "servent grid cluster dashboard lab", group=cluster)
@_name
@click.option("--print", "only_print", is_flag=True, help="Print the address instead.")
def dashboard(session: Session, name: str, only_print: bool) -> None:
    """Open Dask's own pages of a cluster of yours, through the page of this node."""
    client = session.client()
    page = client.status().web_url
    if page is None:
        raise UsageError(
            "this node runs without its page", advice="Stop it, then start it with `servent up --web`."
        )
    door = client.cluster_dashboard(name or _only(session))
    url = page.rstrip("/") + door.path
    session.show(door, lambda: say(url if only_print else "opening the dashboard"), [url])
    if not only_print and not session.json:
        import webbrowser

        if not webbrowser.open(url):
            hint(f"No browser was found. Open this address: {url}")
