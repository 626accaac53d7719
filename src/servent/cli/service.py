"""`servent service`: carries out what `autostart` planned."""

from __future__ import annotations

import getpass
import os
import shlex
import subprocess
import sys
from pathlib import Path

import click

from servent.cli.autostart import Plan, plan
from servent.cli.base import Session, command, group, hint, say
from servent.errors import NotFound, UsageError, WorldError

COMMAND_LIMIT = 30.0  # s
LOG_LINES = 100


@group("service", "servent service install", "servent service status")
def service() -> None:
    """Start the node at login: install, uninstall, status, logs."""


def _plan(session: Session) -> Plan:
    return plan(
        sys.platform,
        Path.home(),
        session.folder,
        sys.executable,
        getpass.getuser(),
        getattr(os, "getuid", lambda: 0)(),
    )


def _run(words: list[str]) -> None:
    """Raises WorldError with what the command said."""
    may_fail = words[0].startswith("-")
    words = [words[0].removeprefix("-"), *words[1:]]
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except FileNotFoundError:
        raise WorldError(
            f"this system has no {words[0]}", advice="Have your system run `servent up` at login."
        ) from None
    except subprocess.TimeoutExpired:
        raise WorldError(f"{shlex.join(words)} did not end in {COMMAND_LIMIT:.0f} s") from None
    if done.returncode and not may_fail:
        said = (done.stderr or done.stdout).strip()[:500]
        raise WorldError(f"{shlex.join(words)} failed: {said}", advice="Nothing else was changed.")


@command("install", "servent service install", "servent service install --dry-run", group=service)
@click.option("--dry-run", is_flag=True, help="Show what would be written and run, and do nothing.")
def install(session: Session, dry_run: bool) -> None:
    """Start the node at login, and now. Writes the system's own file, enables it and checks that it runs."""
    wanted = _plan(session)
    steps = [shlex.join(words).replace("'-launchctl'", "launchctl") for words in wanted.enable]
    done = {"system": wanted.system, "file": str(wanted.path or ""), "commands": steps, "undo": wanted.undo}
    if dry_run:

        def people() -> None:
            if wanted.path is not None:
                say(f"would write {wanted.path}:\n\n{wanted.text}")
            for step in steps:
                say(f"would run {step}")

        session.show({**done, "text": wanted.text, "dry_run": True}, people)
        return
    if _node_runs(session):
        raise UsageError(
            "a node is running here that was started by hand",
            advice="Stop it with `servent down`, then install: the system starts it again.",
        )
    if wanted.path is not None:
        try:
            wanted.path.parent.mkdir(parents=True, exist_ok=True)
            wanted.path.write_text(wanted.text, "utf-8")
        except OSError as wrong:
            raise WorldError(
                f"{wanted.path}: {wrong.strerror}", advice="Check its owner and permissions."
            ) from wrong
    try:
        for words in wanted.enable:
            _run(words)
    except WorldError:
        if wanted.path is not None:
            wanted.path.unlink(missing_ok=True)
        raise
    session.show(done, lambda: say(f"installed: {wanted.system}{f' {wanted.path}' if wanted.path else ''}"))
    hint(f"Undo it with: {wanted.undo}")
    if wanted.note:
        hint(wanted.note)


def _node_runs(session: Session) -> bool:
    from servent.api.client import Client, NoAnswer, NodeDown

    try:
        Client.from_data_dir(session.folder, timeout=2.0).ping_api()
    except (NodeDown, NoAnswer):
        return False
    return True


@command("uninstall", "servent service uninstall", group=service)
@click.option("--dry-run", is_flag=True, help="Show what would be run and removed, and do nothing.")
def uninstall(session: Session, dry_run: bool) -> None:
    """Start it at login no more, and stop it. Data and settings stay."""
    wanted = _plan(session)
    if wanted.path is not None and not wanted.path.exists() and not dry_run:
        raise NotFound("it is not installed", advice="`servent service install` does it.")
    steps = [shlex.join(words) for words in wanted.disable]
    if not dry_run:
        for words in wanted.disable:
            _run(words)
        if wanted.path is not None:
            wanted.path.unlink(missing_ok=True)
    done = {"system": wanted.system, "file": str(wanted.path or ""), "commands": steps, "dry_run": dry_run}

    def people() -> None:
        if dry_run:
            say("\n".join([*(f"would run {step}" for step in steps), f"would remove {wanted.path}"]))
        else:
            say(f"removed; data and settings stay in {session.folder}")

    session.show(done, people)


@command("status", "servent service status", group=service)
def status(session: Session) -> int:
    """Tell whether it is installed, and whether it runs. Ends with 3 when it does not."""
    wanted = _plan(session)
    installed = wanted.path.exists() if wanted.path is not None else None
    try:
        _run(wanted.state)
        running = True
    except WorldError:
        running = False
    if installed is None:
        installed = running
    session.show(
        {"installed": installed, "running": running, "system": wanted.system, "file": str(wanted.path or "")},
        lambda: say(
            f"{'installed' if installed else 'not installed'}, {'running' if running else 'not running'}"
        ),
    )
    return 0 if running else 3


@command("logs", "servent service logs", group=service)
def logs(session: Session) -> None:
    """Show the last lines of the node's log."""
    path = session.folder / "node.log"
    try:
        lines = path.read_text("utf-8", "replace").splitlines()[-LOG_LINES:]
    except FileNotFoundError:
        raise NotFound(f"there is no {path}", advice="The node has not run here yet.") from None
    session.show({"file": str(path), "lines": lines}, lambda: say("\n".join(lines)))
