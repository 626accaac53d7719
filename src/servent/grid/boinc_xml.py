"""Statistics as BOINC projects export them, so that sites that read those can read ours: tables.xml, user.gz, team.gz, host.gz.

Elements and their order are those of BOINC's `db_dump` (sched/db_dump.cpp, 2019) and its page XmlStats: one user for each worker, with the one host that it is. Credit is in cobblestones; numbers of
users and teams are those in which they first show in the ledger, so that they stay.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from servent.errors import DiskTrouble
from servent.grid.credit import cobblestones
from servent.grid.manifests import App, Project
from servent.grid.standing import Score

_HEADER = '<?xml version="1.0" encoding="iso-8859-1"?>\n'


@dataclass(frozen=True, slots=True)
class Machine:
    """What is known of a worker's machine. `mflops`: of one core in the sandbox."""

    cores: int = 0
    memory_bytes: int = 0
    mflops: float = 0.0
    system: str = ""
    seen: float = 0.0


def export(
    project: Project,
    apps: Sequence[App],
    people: Sequence[Score],
    teams: Sequence[Score],
    machines: Mapping[bytes, Machine],
    now: float,
) -> dict[str, bytes]:
    """The files by name. Whoever has no credit is left out, as BOINC does."""
    users = [score for score in people if score.credit > 0]
    groups = [score for score in teams if score.credit > 0]
    numbers = {score.key: score.number for score in groups}
    return {
        "tables.xml": _tables(apps, users, groups, now),
        "user.gz": _packed("users", [_user(score, numbers.get(score.team)) for score in users]),
        "team.gz": _packed("teams", [_team(score) for score in groups]),
        "host.gz": _packed(
            "hosts", [_host(project, score, machines.get(score.key, Machine())) for score in users]
        ),
    }


def write(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Each whole or not at all. Blocking. Raises DiskTrouble."""
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            draft = folder / f".{name}.new"
            draft.write_bytes(data)
            os.replace(draft, folder / name)
            written.append(folder / name)
    except OSError as wrong:
        raise DiskTrouble(f"cannot write into {folder}: {wrong.strerror}") from wrong
    return written


def cpid(key: bytes) -> str:
    """The same person in all projects: 32 hexadecimal digits, as BOINC's cross-project identifier has."""
    return hashlib.sha256(b"servent cpid\0" + key).hexdigest()[:32]


def _tables(apps: Sequence[App], users: Sequence[Score], teams: Sequence[Score], now: float) -> bytes:
    counts = {"users": len(users), "teams": len(teams), "hosts": len(users)}
    # db_dump writes n…_total; the page XmlStats says n….
    numbers = [(f"n{what}{end}", str(count)) for what, count in counts.items() for end in ("_total", "")]
    total = cobblestones(sum(score.credit for score in users))
    lines = [
        *_lines(4, [("update_time", str(int(now))), *numbers, ("total_credit", f"{total:f}")]),
        "    <applications>\n",
    ]
    for name in sorted({app.name for app in apps}):
        lines += [
            "        <application>\n",
            *_lines(12, [("name", name)]),
            "        </application>\n",
        ]
    lines += ["    </applications>\n", "    <badges>\n", "    </badges>\n"]
    return _file("tables", lines)


def _user(score: Score, team: int | None) -> str:
    fields = [
        ("id", str(score.number)),
        ("name", score.name),
        ("create_time", str(int(score.since))),
        *_credit(score),
        ("cpid", cpid(score.key)),
    ]
    if team is not None:
        fields.append(("teamid", str(team)))
    return _element("user", fields)


def _team(score: Score) -> str:
    fields = [
        ("id", str(score.number)),
        ("type", "0"),
        ("name", score.name),
        ("userid", "0"),
        *_credit(score),
        ("create_time", str(int(score.since))),
        ("country", "None"),
    ]
    return _element("team", fields)


def _host(project: Project, score: Score, machine: Machine) -> str:
    unknown = f"{0:f}"
    fields = [
        ("id", str(score.number)),
        ("userid", str(score.number)),
        *_credit(score),
        ("p_vendor", ""),
        ("p_model", ""),
        ("os_name", machine.system),
        ("os_version", ""),
        ("create_time", str(int(score.since))),
        ("rpc_time", str(int(machine.seen or score.recent_at))),
        ("timezone", "0"),
        ("ncpus", str(machine.cores)),
        ("p_fpops", f"{machine.mflops * 1e6:f}"),
        ("p_iops", unknown),
        ("p_membw", unknown),
        ("m_nbytes", f"{float(machine.memory_bytes):f}"),
        *((name, unknown) for name in ("m_cache", "m_swap", "d_total", "d_free", "n_bwup", "n_bwdown")),
        ("avg_turnaround", unknown),
        ("credit_per_cpu_sec", unknown),
        ("host_cpid", cpid(project.key + score.key)),
    ]
    return _element("host", fields)


def _credit(score: Score) -> list[tuple[str, str]]:
    return [
        ("total_credit", f"{cobblestones(score.credit):f}"),
        ("expavg_credit", f"{cobblestones(score.recent):f}"),
        ("expavg_time", f"{score.recent_at:f}"),
    ]


def _element(name: str, fields: Sequence[tuple[str, str]]) -> str:
    return "".join([f"<{name}>\n", *_lines(1, fields), f"</{name}>\n"])


def _lines(indent: int, fields: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{' ' * indent}<{name}>{_text(value)}</{name}>\n" for name, value in fields]


def _text(value: str) -> str:
    """What may stand in XML: names come from others. By hand: xml.sax.saxutils brings a client for HTTP and one for mail into each node."""
    printable = "".join(letter for letter in value if letter.isprintable())
    return printable.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _packed(name: str, elements: Sequence[str]) -> bytes:
    return gzip.compress(_file(name, elements), mtime=0)


def _file(name: str, lines: Sequence[str]) -> bytes:
    text = "".join([_HEADER, f"<{name}>\n", *lines, f"</{name}>\n"])
    return text.encode("ascii", "xmlcharrefreplace")
