"""The queue: how many at once, when, how politely; a transfer's place, name and folder; what has ended."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Literal

import click
import msgspec

from servent.api import schema_getting as getting
from servent.cli.asking import on_this_machine
from servent.cli.base import Session, command, hint, say, table
from servent.cli.text import parse_rate, rate, size
from servent.errors import UsageError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_RULE = "Write it like 'mon-fri 08:00-18:00 up 500k down 2MB/s', or 'daily 01:00-06:00 pause'."


@command(
    "queue",
    "servent queue",
    "servent queue --most-active 3 --polite",
    "servent queue --rule 'mon-fri 08:00-18:00 up 500k' --rule 'sat,sun 00:00-24:00 down off'",
    "servent queue --slow",
    "servent queue --hook '/home/me/bin/sort-music'",
)
@click.option("--most-active", type=click.IntRange(1, 1000), metavar="N", help="Downloads that move at once.")
@click.option(
    "--rule",
    "rules",
    multiple=True,
    metavar="RULE",
    help="Limits for part of the week; all of them anew, '' for none.",
)
@click.option(
    "--polite/--no-polite", default=None, help="Background transfers yield to whatever else uses the line."
)
@click.option(
    "--target", type=click.IntRange(5, 500), metavar="MS", help="How much delay polite transfers may add."
)
@click.option("--slow/--no-slow", default=None, help="The second set of limits, until it is switched off.")
@click.option("--slow-up", metavar="RATE", help="Its limit for sending.")
@click.option("--slow-down", metavar="RATE", help="Its limit for fetching.")
@click.option("--hook", metavar="COMMAND", help="A program run after each download; '' for none.")
def queue(
    session: Session,
    most_active: int | None,
    rules: tuple[str, ...],
    polite: bool | None,
    target: int | None,
    slow: bool | None,
    slow_up: str | None,
    slow_down: str | None,
    hook: str | None,
) -> None:
    """Show or set how transfers share this machine and its line."""
    client = session.client()
    now = client.queue()
    changes: dict[str, object] = {
        name: value
        for name, value in (
            ("most_active", most_active),
            ("schedule", [parse_rule(rule) for rule in rules if rule.strip()] if rules else None),
            ("polite", polite),
            ("target_ms", target),
            ("alternative", slow),
            ("on_complete", hook),
        )
        if value is not None
    }
    if slow_up is not None:
        changes["alternative_up_bytes_per_s"] = parse_rate(slow_up)
    if slow_down is not None:
        changes["alternative_down_bytes_per_s"] = parse_rate(slow_down)
    if changes:
        now = client.set_queue(msgspec.structs.replace(now, **changes))
    names = (
        {peer.id: peer.petname or peer.name or peer.short_id for peer in client.peers()} if now.peers else {}
    )

    def people() -> None:
        say(f"{'downloads at once':21}{now.most_active}")
        say(f"{'polite':21}{f'yes, adds at most {now.target_ms} ms' if now.polite else 'no'}")
        slowly = f"up {_rate(now.alternative_up_bytes_per_s)}, down {_rate(now.alternative_down_bytes_per_s)}"
        say(f"{'slow':21}{'on' if now.alternative else 'off'} ({slowly})")
        say(f"{'after a download':21}{now.on_complete or 'nothing is run'}")
        for rule in now.schedule:
            say(f"{'rule':21}{written(rule)}")
        for one in now.peers:
            limits = f"up {_rate(one.up_bytes_per_s)}, down {_rate(one.down_bytes_per_s)}"
            say(f"{'limit':21}{names.get(one.peer, one.peer)}: {limits}")
        if now.now:
            hint(now.now)

    session.show(now, people)


def _rate(value: int | None) -> str:
    return "no limit" if value is None else rate(value)


def parse_rule(text: str) -> getting.ScheduleRule:
    """ "mon-fri 08:00-18:00 up 500k down off" -> a rule; "pause" in place of rates. Raises UsageError."""
    words = text.lower().split()
    found = re.fullmatch(r"(\d\d?:\d\d)-(\d\d?:\d\d)", words[1]) if len(words) > 2 else None
    if found is None:
        raise UsageError(f"{text!r} is no rule", advice=_RULE)
    rates: dict[str, int | None] = {}
    rest = words[2:]
    pause = rest == ["pause"]
    while rest and not pause:
        if len(rest) < 2 or rest[0] not in ("up", "down"):
            raise UsageError(f"{text!r} is no rule", advice=_RULE)
        rates[f"{rest[0]}_bytes_per_s"] = parse_rate(rest[1])
        rest = rest[2:]
    return getting.ScheduleRule(
        days=_days(words[0]), begin=_clock(found[1], text), end=_clock(found[2], text), pause=pause,
        up_bytes_per_s=rates.get("up_bytes_per_s"), down_bytes_per_s=rates.get("down_bytes_per_s"),
    )  # fmt: skip


def _days(text: str) -> list[int]:
    if text in ("daily", "all"):
        return list(range(7))
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first[:3] not in DAYS or (last or first)[:3] not in DAYS:
            raise UsageError(f"{text!r} is no part of the week", advice=_RULE)
        begin, end = DAYS.index(first[:3]), DAYS.index((last or first)[:3])
        days.update((begin + step) % 7 for step in range((end - begin) % 7 + 1))
    return sorted(days)


def _clock(text: str, rule: str) -> str:
    hour, _, minute = text.partition(":")
    if (hour, minute) == ("24", "00"):
        return "00:00"
    if int(hour) > 23 or int(minute) > 59:
        raise UsageError(f"{text!r} in {rule!r} is no time of day", advice=_RULE)
    return f"{int(hour):02}:{minute}"


def written(rule: getting.ScheduleRule) -> str:
    """A rule as `--rule` takes it."""
    days = _span(sorted(set(rule.days)))
    rates = [
        f"{way} {rate(value).replace(' ', '')}"
        for way, value in (("up", rule.up_bytes_per_s), ("down", rule.down_bytes_per_s))
        if value is not None
    ]
    what = "pause" if rule.pause else " ".join(rates) or "up off"
    return f"{days} {rule.begin}-{rule.end} {what}"


def _span(days: list[int]) -> str:
    if len(days) == 7:
        return "daily"
    if len(days) > 2 and days[-1] - days[0] == len(days) - 1:
        return f"{DAYS[days[0]]}-{DAYS[days[-1]]}"
    return ",".join(DAYS[day] for day in days)


@command("priority", "servent priority 1a2b3c high", "servent priority 1a2b3c low --foreground")
@click.argument("transfer")
@click.argument("priority", required=False, type=click.Choice(["low", "normal", "high"]))
@click.option(
    "--place", type=click.IntRange(0, 10**6), metavar="N", help="Its place in the queue; 0 is the front."
)
@click.option(
    "--foreground/--background", default=None, help="At full speed whatever else uses the line, or politely."
)
@click.option(
    "--in-order/--any-order", default=None, help="From the beginning on, so that a player can start."
)
def priority(
    session: Session,
    transfer: str,
    priority: Literal["low", "normal", "high"] | None,
    place: int | None,
    foreground: bool | None,
    in_order: bool | None,
) -> None:
    """Say how soon a transfer is to come: its priority, its place in the queue, its speed."""
    if priority is None and place is None and foreground is None and in_order is None:
        raise UsageError("nothing to change", advice="See `servent priority --help`.")
    client = session.client()
    change = getting.TransferChange(priority=priority, place=place, foreground=foreground, in_order=in_order)
    now = client.change_transfer(transfer, change)

    def people() -> None:
        words = [f"{now.priority} priority"]
        words += [f"number {now.place + 1} in the queue"] if now.place is not None else []
        words += ["in the foreground"] if now.foreground else []
        words += ["from the beginning on"] if now.in_order else []
        say(f"{now.name or now.id[:12]}: {', '.join(words)}")

    session.show(now, people)


@command("move", "servent move 1a2b3c --to ~/Music", "servent move 1a2b3c --name 'Crete 2024'")
@click.argument("transfer")
@click.option("--to", type=click.Path(file_okay=False, path_type=Path), help="The folder it is to be in.")
@click.option("--name", metavar="NAME", help="What it is to be called.")
def move(session: Session, transfer: str, to: Path | None, name: str | None) -> None:
    """Move or rename what is complete; others can go on fetching it from here."""
    if to is None and name is None:
        raise UsageError("nothing to change", advice="Give --to FOLDER or --name NAME.")
    client = session.client()
    change = getting.TransferChange(to=on_this_machine(to) if to else None, name=name)
    now = client.change_transfer(transfer, change)
    session.show(now, lambda: say(now.path or now.name))


@command(
    "history", "servent history", "servent history holiday --limit 20", "servent history --clear", quiet=True
)
@click.argument("words", nargs=-1)
@click.option("--sent", "direction", flag_value="up", help="Only what was sent.")
@click.option("--fetched", "direction", flag_value="down", help="Only what was fetched.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@click.option("--skip", type=click.IntRange(0), default=0, metavar="N", help="Leave the newest N out.")
@click.option("--clear", is_flag=True, help="Forget all of it; the files stay.")
def history(
    session: Session,
    words: tuple[str, ...],
    direction: Literal["up", "down"] | None,
    limit: int,
    skip: int,
    clear: bool,
) -> None:
    """Transfers that ended, newest first."""
    client = session.client()
    if clear:
        client.clear_history()
        session.show({"cleared": True}, lambda: say("forgotten; the files stay"))
        return
    query = getting.HistoryQuery(q=" ".join(words), direction=direction or "", offset=skip, limit=limit)
    found = client.history(query)
    rows = [
        (
            time.strftime("%Y-%m-%d %H:%M", time.localtime(one.finished)) if one.finished else "",
            one.direction,
            one.state,
            size(one.size_bytes),
            one.name,
            one.error or one.path or "",
        )
        for one in found.entries
    ]
    session.show(
        found,
        lambda: table(("ended", "way", "is", "size", "name", "where"), rows, empty="nothing yet", right=(3,)),
        [one.id for one in found.entries],
    )
    left = found.total - skip - len(found.entries)
    if left > 0 and not session.json and not session.quiet:
        hint(f"{left} more; `--skip {skip + len(found.entries)}` goes on")
