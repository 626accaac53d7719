"""How each system starts a program at login: what to write, and which commands make it so. Decides, does nothing."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from servent.errors import UsageError


@dataclass(frozen=True)
class Plan:
    """One way to start at login.

    Attributes:
        path: the file to write; None where the system keeps it itself.
        text: its content.
        enable, disable: commands to run after writing it, and before removing it. A leading "-" in the first word's
            place marks a command that may fail.
        state: command that prints whether it runs; status 0 when it does.
        logs: command that shows the last log lines; None: read node.log.
        undo: for people.
    """

    system: str
    path: Path | None
    text: str
    enable: list[list[str]]
    disable: list[list[str]]
    state: list[str]
    logs: list[str] | None
    undo: str
    note: str = ""


def plan(platform: str, home: Path, data_dir: Path, python: str, user: str, uid: int = 0) -> Plan:
    """The plan for this platform (`sys.platform`).

    Raises:
        UsageError: a system we do not know how to do it on.
    """
    command = [python, "-m", "servent", "--data-dir", str(data_dir), "up"]
    if platform.startswith("linux"):
        return _systemd(home, command, user)
    if platform == "darwin":
        return _launchd(home, command, data_dir, uid)
    if platform == "win32":
        return _schtasks(command)
    raise UsageError(
        f"starting at login is not known for {platform}", advice="Have your system run `servent up` at login."
    )


def _systemd(home: Path, command: list[str], user: str) -> Plan:
    text = f"""[Unit]
Description=servent: a computer as a full peer
After=network-online.target
Wants=network-online.target

[Service]
ExecStart={" ".join(_systemd_quote(word) for word in command)}
Restart=on-failure
RestartSec=5
TimeoutStopSec=15
NoNewPrivileges=yes

[Install]
WantedBy=default.target
"""
    control = ["systemctl", "--user"]
    return Plan(
        system="systemd user unit",
        path=home / ".config/systemd/user/servent.service",
        text=text,
        enable=[[*control, "daemon-reload"], [*control, "enable", "--now", "servent.service"]],
        disable=[[*control, "disable", "--now", "servent.service"]],
        state=[*control, "is-active", "servent.service"],
        logs=["journalctl", "--user", "-u", "servent.service", "-n", "100", "--no-pager"],
        undo="servent service uninstall",
        note=f"To let it run while you are not logged in: loginctl enable-linger {shlex.quote(user)}",
    )


def _systemd_quote(word: str) -> str:
    """systemd.service(5), command lines: quotes, and % and $ doubled."""
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{word}"' if any(letter in word for letter in " \t'\";") else word


def _launchd(home: Path, command: list[str], data_dir: Path, uid: int) -> Plan:
    words = "\n".join(f"        <string>{escape(word)}</string>" for word in command)
    log = escape(str(data_dir / "service.log"))
    text = f"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
    <key>Label</key><string>net.servent.node</string>
    <key>ProgramArguments</key>
    <array>
{words}
    </array>
    <key>RunAtLoad</key><true/>
    <key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>
    <key>StandardOutPath</key><string>{log}</string>
    <key>StandardErrorPath</key><string>{log}</string>
</dict>
</plist>
"""
    path = home / "Library/LaunchAgents/net.servent.node.plist"
    domain = f"gui/{uid}"
    return Plan(
        system="launchd agent",
        path=path,
        text=text,
        enable=[
            ["-launchctl", "bootout", f"{domain}/net.servent.node"],
            ["launchctl", "bootstrap", domain, str(path)],
        ],
        disable=[["-launchctl", "bootout", f"{domain}/net.servent.node"]],
        state=["launchctl", "print", f"{domain}/net.servent.node"],
        logs=None,
        undo="servent service uninstall",
    )


def _schtasks(command: list[str]) -> Plan:
    line = " ".join(f'"{word}"' if " " in word else word for word in command)
    return Plan(
        system="scheduled task at logon",
        path=None,
        text="",
        enable=[
            ["schtasks", "/Create", "/F", "/SC", "ONLOGON", "/TN", "servent", "/TR", line, "/RL", "LIMITED"],
            ["schtasks", "/Run", "/TN", "servent"],
        ],
        disable=[["-schtasks", "/End", "/TN", "servent"], ["schtasks", "/Delete", "/F", "/TN", "servent"]],
        state=["schtasks", "/Query", "/TN", "servent"],
        logs=None,
        undo="servent service uninstall",
    )
