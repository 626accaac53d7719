"""What usually goes wrong; and what to send when something did."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from servent.api import schema
from servent.cli.base import Session, command, hint, say
from servent.cli.text import sentence
from servent.errors import ServentError, WorldError

_SIGNS = {
    "pass": ("ok  ", "green"),
    "warn": ("note", "yellow"),
    "fail": ("FAIL", "red"),
    "skip": ("-   ", None),
}
LOG_LINES = 2_000


def _examine(session: Session) -> schema.Doctor:
    """The node's own answer; without a node, what can be looked at from outside."""
    from servent.api.client import NoAnswer, NodeDown

    try:
        return session.client(timeout=60.0).doctor()
    except (NodeDown, NoAnswer) as away:
        from servent.api import checks

        node = schema.Check(name="node", title="Node", outcome="fail", detail=str(away), remedy=away.advice)
        found = [check for check in checks.local(session.folder) if check.name != "api"]
        return schema.Doctor(checks=[node, *found])


@command("doctor", "servent doctor", "servent doctor --json")
def doctor(session: Session) -> int:
    """Look for what usually goes wrong, and say what to do about it.

    Changes nothing. Ends with 1 when something failed, also when the node is not running.
    """
    found = _examine(session)

    def people() -> None:
        for check in found.checks:
            sign, color = _SIGNS[check.outcome]
            say(f"  {check.title}: {check.detail}", head=click.style(sign, fg=color))
            if check.remedy:
                say(f"      {check.remedy}")
        for one in found.networks:
            what = "supernode" if one.index else "leaf"
            say(f"  {one.network} ({one.mode}): {what}. {sentence(one.why)}", head="net ")
        for role in found.roles:
            now = "active" if role.active else "not active"
            say(f"  {role.name}: {now}; {role.why}", head="role")
        for way in found.ways:
            say(f"  {way.title}: {'' if way.on else 'off: '}{way.detail}", head="way ")
        for peer in found.peers:
            say(f"  {_peer(peer)}", head="peer")
            if peer.remedy:
                say(f"      {peer.remedy}")

    session.show(found, people)
    return 1 if any(check.outcome == "fail" for check in found.checks) else 0


def _peer(peer: schema.PeerWhy) -> str:
    facts = [
        peer.why or peer.path or "away",
        "" if peer.path is None else peer.address or "",
        "" if peer.rtt_ms is None else f"{peer.rtt_ms:.2f} ms",
    ]
    return f"{peer.name or peer.id[:8]}: {'; '.join(fact for fact in facts if fact)}"


@command("bugreport", "servent bugreport", "servent bugreport --to report.zip")
@click.option("--to", type=click.Path(dir_okay=False, path_type=Path), help="File to write.")
def bugreport(session: Session, to: Path | None) -> None:
    """Pack what helps to find a bug; holds no keys and no file contents.

    A zip with the doctor's findings, versions, settings and the last log lines. Look at it before you
    send it: names of peers, networks and files are in it.
    """
    import platform
    import zipfile

    import msgspec

    from servent.api import redact, settings
    from servent.api.logs import LOG_FILE

    target = to or Path(f"servent-bugreport-{time.strftime('%Y%m%d-%H%M%S')}.zip")
    parts: dict[str, str] = {}
    parts["doctor.json"] = msgspec.json.format(msgspec.json.encode(_examine(session))).decode()
    versions = {
        name: _version(name) for name in ("servent", "iroh", "msgspec", "uvicorn", "starlette", "nicegui")
    }
    versions |= {"python": sys.version, "platform": platform.platform()}
    parts["versions.json"] = msgspec.json.format(msgspec.json.encode(versions)).decode()
    try:
        shown = {entry.key: entry.value for entry in settings.view(session.folder).settings}
        parts["config.json"] = msgspec.json.format(msgspec.json.encode(shown)).decode()
    except ServentError as wrong:
        parts["config.json"] = msgspec.json.encode({"error": str(wrong)}).decode()
    try:
        lines = (session.folder / LOG_FILE).read_text("utf-8", "replace").splitlines()[-LOG_LINES:]
        parts["node.log"] = "\n".join(lines)
    except OSError:
        parts["node.log"] = "(there is none)"
    secrets = redact.secrets_in(session.folder)
    try:
        with zipfile.ZipFile(target, "x", zipfile.ZIP_DEFLATED) as archive:
            for name, text in parts.items():
                archive.writestr(name, redact.clean(text, secrets))
    except OSError as wrong:
        raise WorldError(f"{target}: {wrong.strerror}", advice="Name another file with --to.") from wrong
    session.show({"file": str(target), "parts": sorted(parts)}, lambda: say(str(target)))
    hint("Look at it before you send it: names of peers, networks and files are in it.")


def _version(name: str) -> str:
    import importlib.metadata

    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
