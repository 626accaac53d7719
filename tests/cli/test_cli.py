"""Commands as people and scripts run them, against a real daemon around a node in memory."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from servent import __version__
from servent.cli.base import WithExamples
from servent.cli.main import COMMANDS, cli, run
from servent.cli.reference import every_command, render
from tests.api.fake import ANN, LINK
from tests.api.running import ROOT, fake_daemon


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    data_dir = tmp_path_factory.mktemp("node")
    with fake_daemon(data_dir):
        yield data_dir


@pytest.fixture
def servent(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command line in this process, on the running node."""
    monkeypatch.delenv("SERVENT_DATA_DIR", raising=False)

    def go(*words: str, data_dir: Path | None = None) -> Ran:
        capsys.readouterr()
        code = run(["--data-dir", str(data_dir or folder), *words])
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return go


def process(folder: Path, *words: str, stdin: str | None = None, **env: str) -> Ran:
    done = subprocess.run(
        [sys.executable, "-m", "servent", "--data-dir", str(folder), *words],
        capture_output=True,
        text=True,
        input=stdin,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, **env},
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


# the help


def test_every_command_has_help_with_examples_that_begin_as_one_types_them() -> None:
    for words, command in every_command():
        name = " ".join(words)
        assert command.help, name
        assert isinstance(command, WithExamples) and command.examples, name
        assert any(f"servent {name}" in example for example in command.examples) or isinstance(
            command, click_group()
        ), name


def click_group() -> type:
    import click

    return click.Group


def test_the_list_of_commands_says_what_each_says_itself() -> None:
    for words, command in every_command():
        if len(words) == 1:
            assert COMMANDS[words[0]][1] == (command.help or "").split("\n")[0], words


def test_every_example_is_a_command_line_that_parses() -> None:
    import shlex

    import click

    for words, command in every_command():
        for example in getattr(command, "examples", ()):
            line = re.sub(r"\s{2,}\(.*", "", example)
            line = re.split(r"\s(?:>>?|<)\s", line)[0]
            found = re.search(r"servent (?!.*servent )([^)]*)", line)
            assert found, example
            arguments = shlex.split(found[1])
            while arguments and arguments[0] == "--data-dir":
                arguments = arguments[2:]
            target: click.Command = cli
            context = click.Context(cli)
            while isinstance(target, click.Group) and arguments and not arguments[0].startswith("-"):
                _, below, arguments = target.resolve_command(context, arguments)
                assert below is not None, example
                target = below
            target.make_context("servent", arguments, resilient_parsing=False)
            assert words


def test_every_command_that_does_something_takes_json() -> None:
    import click

    for words, command in every_command():
        if isinstance(command, click.Group) and not command.invoke_without_command:
            continue
        assert any("--json" in option.opts for option in command.params), words


def test_the_reference_is_up_to_date() -> None:
    written = (ROOT / "docs" / "cli.md").read_text("utf-8")
    assert written == render(), "run: python -m servent.cli.reference > docs/cli.md"


def test_help_imports_no_command(folder: Path) -> None:
    code = (
        "import sys; from servent.cli.main import run; run(['--help']);"
        "heavy = {'asyncio', 'iroh', 'uvicorn', 'starlette', 'rich', 'cryptography', 'nicegui', 'sqlite3', 'http.client'};"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stderr.strip() == "[]"
    assert all(name in done.stdout for name in COMMANDS)


def test_status_imports_next_to_nothing(folder: Path) -> None:
    code = (
        "import sys; from servent.cli.main import run; code = run(sys.argv[1:]);"
        "heavy = {'asyncio', 'iroh', 'uvicorn', 'starlette', 'rich', 'cryptography', 'email', 'ssl', 'websockets',"
        "'encodings.idna', *(f'servent.api.schema_{part}' for part in ('getting', 'network', 'torrent'))};"
        "print(code, sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    words = [sys.executable, "-c", code, "--data-dir", str(folder), "status"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stderr.strip() == "0 []"


# what scripts rely on


def test_status_for_people_and_programs(servent: Any) -> None:
    assert "directly reachable" in servent("status").out
    for words in (("status", "--json"), ("--json", "status")):
        status = servent(*words).data
        assert status["peers"] == {"total": 2, "direct": 1, "relayed": 1}
        assert {"id", "reach", "transfers", "networks", "api_url"} <= set(status)


def test_ticket_is_one_line_on_stdout(servent: Any) -> None:
    ran = servent("ticket")
    assert re.fullmatch(r"servent:\S+\n", ran.out)
    assert "servent join" in ran.err
    assert servent("ticket", "--json", "--for", "1h").data["expires"] > time.time()


def test_join_takes_the_ticket_from_wherever_it_is_safe(folder: Path, servent: Any) -> None:
    assert servent("join", "servent:x").code == 0
    assert servent("join", "servent:x", "--json").data["kind"] == "contact"
    assert process(folder, "join", "-", stdin="servent:x\n").code == 0
    assert process(folder, "join", stdin="", SERVENT_TICKET="servent:x").code == 0
    missing = process(folder, "join", stdin="")
    assert missing.code == 2
    assert "SERVENT_TICKET" in missing.err


def test_send_prints_the_link_and_nothing_else(servent: Any, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("x")
    ran = servent("send", str(tmp_path / "a file"))
    assert ran.out == LINK + "\n"
    shared = servent("send", str(tmp_path / "a file"), "--json").data
    assert shared["link"] == LINK
    assert [entry["id"] for entry in servent("shares", "--json").data] == [shared["id"]]
    assert servent("shares", "--remove", shared["id"]).code == 0
    assert servent("send", str(tmp_path / "nothing")).code == 4


def test_get_returns_when_it_is_complete_with_progress_on_stderr_only(servent: Any, tmp_path: Path) -> None:
    ran = servent("get", LINK, "--to", str(tmp_path), "--json")
    assert ran.code == 0
    assert ran.data["state"] == "complete"
    assert ran.data["path"] == str(tmp_path)
    tenths = re.findall(r"(\d+) %", ran.err)
    assert tenths == sorted(set(tenths), key=int)  # one line a tenth at most


def test_a_name_that_would_steer_the_terminal_is_defused(servent: Any) -> None:
    ran = servent("get", "magnet:?evil")
    assert "\x1b" not in ran.out + ran.err + servent("transfers").out
    assert "holi\ufffd[31mday" in ran.err


def test_get_from_stdin(folder: Path) -> None:
    assert process(folder, "get", "-", "--json", stdin=LINK + "&x=1\n").data["state"] == "complete"


def test_a_failed_transfer_says_why_and_what_next(servent: Any) -> None:
    ran = servent("get", "magnet:?broken")
    assert ran.code == 1
    fact, advice = ran.err.splitlines()[-2:]
    assert fact == "error: nobody has it"
    assert re.fullmatch(r"Ask for a fresh link\. `servent resume [0-9a-f]{12}` tries again\.", advice)


def test_an_empty_link_is_a_missing_link(folder: Path, servent: Any) -> None:
    for ran in (servent("get", ""), process(folder, "get", "-", stdin="\n")):
        assert (ran.code, "a link is missing" in ran.err) == (2, True)


def test_a_reason_that_only_counts_down_is_said_once() -> None:
    from servent.cli.getting import _gist

    said = {_gist(f"none of 1 connected peers offers it; asking again in {left} s") for left in range(20)}
    assert len(said) == 1 and _gist("your disk is full") not in said


def test_nobody_sends_the_nodes_own_key_by_accident(folder: Path, servent: Any) -> None:
    for path in (folder, folder.parent, folder / "api.token"):
        ran = servent("send", str(path))
        assert (ran.code, "own key" in ran.err) == (2, True), ran
    inside = folder / "pictures"
    inside.mkdir(exist_ok=True)
    assert servent("send", str(inside)).code == 0


def test_finished_transfers_are_checked_again_and_taken_off_the_list(servent: Any) -> None:
    made = servent("get", "magnet:?cleared", "--json").data
    assert servent("verify", made["id"][:12], "--json").data[0]["state"] in ("complete", "checking")
    servent("cancel", made["id"])
    assert servent("transfers", "--clear", "--json").data["removed"] >= 1
    assert made["id"] not in [one["id"] for one in servent("transfers", "--json").data]
    assert servent("verify", made["id"]).code == 4


def test_one_share_prints_its_link_alone(servent: Any, tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("x")
    share = servent("send", str(tmp_path / "letter"), "--json").data
    assert servent("shares", share["id"][:10]).out == share["link"] + "\n"
    assert servent("shares", share["id"][:10], "--json").data["id"] == share["id"]
    assert servent("shares", "ffffffffff").code == 4


def test_the_apis_description_needs_no_node(servent: Any, tmp_path: Path) -> None:
    found = servent("openapi", data_dir=tmp_path / "nobody").data
    assert found["openapi"].startswith("3.") and "/api/v1/transfers" in found["paths"]


def test_giving_up_waiting_leaves_it_to_the_node(servent: Any) -> None:
    ran = servent("get", "magnet:?slow", "--timeout", "0.01s")
    assert ran.code == 6
    assert "servent cancel" in ran.err


def test_ctrl_c_on_get_detaches_and_says_so(folder: Path) -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "servent", "--data-dir", str(folder), "get", "magnet:?interrupted"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert running.stderr is not None
    first = running.stderr.readline()
    assert "0 %" in first
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "detached" in err
    assert "servent cancel" in err
    assert out == ""
    assert "Traceback" not in err


def test_peers_for_programs(servent: Any) -> None:
    known = servent("peers", "--json").data
    assert {"id", "path", "rtt_ms", "address"} <= set(known[0])
    assert {peer["path"] for peer in known} <= {"direct", "relayed", None}
    assert str(ANN) in servent("peers").out  # never shortened on a pipe


# the rest, once each


def test_every_other_command_works_and_speaks_json(servent: Any, folder: Path, tmp_path: Path) -> None:
    transfer = servent("get", LINK + "&n=2", "--detach", "--json").data["id"]
    calls: list[tuple[str, ...]] = [
        ("id",),
        ("id", "--full"),
        ("invite", "home", "--uses", "any", "--for", "never"),
        ("invite", "--list"),
        ("invite", "--revoke", "i0"),
        ("network", "new", "club", "--open"),
        ("network", "ls"),
        ("network", "members", "home"),
        ("network", "revoke", "home", "ann"),
        ("network", "leave", "club"),
        ("contact", "ann", "--name", "Ann", "--no-friend", "--unblock"),
        ("ping", "ann", "-c", "2"),
        ("allow",),
        ("allow", "servent.blobs", "friends", "--peer", "ann"),
        ("transfers",),
        ("pause", transfer[:12]),
        ("resume", "--all"),
        ("cancel", transfer),
        ("pause", "--all"),
        ("limits",),
        ("limits", "--up", "10MB/s", "--down", "off", "--slots", "4"),
        ("doctor",),
        ("config", "get"),
        ("config", "get", "net.lan"),
        ("config", "set", "net.lan", "false"),
        ("config", "set", "net.lan", "--default"),
        ("config", "path"),
        ("token", "add", "--name", "x"),
        ("token", "ls"),
        ("token", "revoke", "x"),
        ("token", "path"),
        ("completion", "bash"),
        ("service", "install", "--dry-run"),
        ("service", "uninstall", "--dry-run"),
        ("service", "logs"),
    ]
    for words in calls:
        plain = servent(*words) if words[:2] not in (("token", "revoke"), ("network", "leave")) else None
        if plain is not None:
            assert plain.code == 0, (words, plain)
            if words[:2] in (
                ("token", "add"),
                ("network", "new"),
                ("invite", "--revoke"),
                ("cancel", transfer),
            ):
                continue
        found = servent(*words, "--json")
        assert found.code == 0, (words, found)
        assert found.data is not None, words


def test_limits_are_kept_apart(servent: Any) -> None:
    servent("limits", "--up", "10MB/s", "--down", "2MiB", "--slots", "4")
    now = servent("limits", "--up", "off", "--json").data
    assert (now["up_bytes_per_s"], now["down_bytes_per_s"], now["upload_slots"]) == (None, 2 * 1024 * 1024, 4)


def test_backup_asks_for_the_passphrase_where_others_do_not_see_it(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "key.txt"
    assert process(folder, "id", "backup", str(target), SERVENT_PASSPHRASE="correct horse").code == 0
    assert target.stat().st_mode & 0o077 == 0
    again = process(folder, "id", "backup", str(target), SERVENT_PASSPHRASE="correct horse")
    assert again.code == 1
    assert process(folder, "id", "backup", str(tmp_path / "b"), "--passphrase-stdin", stdin="short").code == 2
    assert process(folder, "id", "backup", str(tmp_path / "b"), stdin="").code == 2


def test_a_backup_of_one_node_becomes_another_directorys_identity(tmp_path: Path) -> None:
    from servent import keyfile
    from servent.identity import Identity

    me = Identity(b"\x07" * 32)
    (tmp_path / "key.txt").write_bytes(keyfile.backup(me, "correct horse"))
    new = tmp_path / "new"
    done = process(
        new, "id", "restore", str(tmp_path / "key.txt"), "--json", SERVENT_PASSPHRASE="correct horse"
    )
    assert done.data == {"id": str(me.peer)}
    assert keyfile.load_or_create(new / "identity.key").peer == me.peer
    wrong = process(new, "id", "restore", str(tmp_path / "key.txt"), SERVENT_PASSPHRASE="wrong horse")
    assert wrong.code == 2
    other = Identity(b"\x08" * 32)
    (tmp_path / "other.txt").write_bytes(keyfile.backup(other, "correct horse"))
    refused = process(new, "id", "restore", str(tmp_path / "other.txt"), SERVENT_PASSPHRASE="correct horse")
    assert refused.code == 2
    words = ("id", "restore", str(tmp_path / "other.txt"), "--replace")
    assert process(new, *words, SERVENT_PASSPHRASE="correct horse").code == 0
    assert len(list(new.glob("identity.key.before-*"))) == 1


def test_a_running_node_keeps_its_identity(folder: Path, tmp_path: Path) -> None:
    from servent import keyfile
    from servent.identity import Identity

    (tmp_path / "key.txt").write_bytes(keyfile.backup(Identity(b"\x07" * 32), "correct horse"))
    done = process(folder, "id", "restore", str(tmp_path / "key.txt"), SERVENT_PASSPHRASE="correct horse")
    assert done.code == 2
    assert "already running" in done.err


def test_a_bug_report_holds_no_secret(servent: Any, folder: Path, tmp_path: Path) -> None:
    token = (folder / "api.token").read_text().strip()
    with (folder / "node.log").open("a") as log:
        log.write(f"oops {token} servent:{'a' * 60} http://ann:pw@relay.example code={'z' * 24}\n")
    target = tmp_path / "report.zip"
    assert servent("bugreport", "--to", str(target)).out.strip() == str(target)
    with zipfile.ZipFile(target) as archive:
        assert {"doctor.json", "versions.json", "config.json", "node.log"} == set(archive.namelist())
        text = "".join(archive.read(name).decode() for name in archive.namelist())
    for secret in (token, "a" * 60, "ann:pw", "z" * 24):
        assert secret not in text
    assert servent("bugreport", "--to", str(target)).code == 1


# errors


@pytest.mark.parametrize(
    ("words", "code", "fact"),
    [
        (("join", "nonsense"), 2, "this is no ticket"),
        (("join", "servent:refused"), 5, "they do not know"),
        (("join", "servent:far"), 6, "no path to far"),
        (("ping", "zed"), 4, "nobody here"),
        (("pause", "zed"), 4, "no transfer"),
        (("get", "magnet:?full"), 1, "disk is full"),
        (("get",), 2, "a link is missing"),
        (("pause",), 2, "say which"),
        (("contact", "ann"), 2, "nothing to change"),
        (("limits", "--up", "10Mbit"), 2, "counts bits"),
        (("limits", "--up", "fast"), 2, "no rate"),
        (("config", "set", "api.port", "99999"), 2, "api.port"),
        (("config", "get", "no.such"), 4, "no setting"),
        (("open",), 2, "without its page"),
        (("staus",), 2, "did you mean 'status'"),
        (("ping",), 2, "Missing argument"),
        (("status", "--nonsense"), 2, "No such option"),
        (("up", "--relay", "http://x", "--no-relay"), 2, "exclude each other"),
    ],
)
def test_errors_say_the_fact_and_end_with_their_code(
    servent: Any, words: tuple[str, ...], code: int, fact: str
) -> None:
    ran = servent(*words)
    assert ran.code == code
    assert fact in ran.err
    assert ran.out == ""
    as_json = servent(*words, "--json")
    assert as_json.code == code
    problem = json.loads(as_json.err.splitlines()[-1])
    assert problem["exit"] == code
    assert fact in problem["error"]


def test_without_a_node_every_command_that_needs_one_ends_with_three(servent: Any, tmp_path: Path) -> None:
    for words in (
        ("status",),
        ("down",),
        ("peers",),
        ("ticket",),
        ("get", LINK),
        ("transfers",),
        ("open",),
        ("id",),
    ):
        ran = servent(*words, data_dir=tmp_path)
        assert ran.code == 3, words
        assert "servent up" in ran.err


def test_a_doctor_without_a_node_still_looks_around(servent: Any, tmp_path: Path) -> None:
    ran = servent("doctor", "--json", data_dir=tmp_path)
    assert ran.code == 1
    assert {check["name"] for check in ran.data["checks"]} >= {"node", "python", "space"}


def test_settings_work_without_a_node(servent: Any, tmp_path: Path) -> None:
    assert servent("config", "set", "node.name", "attic", data_dir=tmp_path).code == 0
    assert servent("config", "get", "node.name", data_dir=tmp_path).out == "attic\n"
    assert (
        servent("config", "set", "net.relays", "https://a.example,https://b.example", data_dir=tmp_path).code
        == 0
    )
    assert servent("config", "get", "net.relays", "--json", data_dir=tmp_path).data["value"] == [
        "https://a.example",
        "https://b.example",
    ]


def test_the_editor_cannot_break_the_settings(tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\necho '[net]\nlan = 3' > \"$1\"\n")
    editor.chmod(0o755)
    ran = process(tmp_path, "config", "edit", EDITOR=str(editor))
    assert ran.code == 2
    assert not (tmp_path / "config.toml").exists()
    editor.write_text("#!/bin/sh\necho '[net]\nlan = false' > \"$1\"\n")
    assert process(tmp_path, "config", "edit", EDITOR=str(editor)).code == 0
    assert "lan = false" in (tmp_path / "config.toml").read_text()


def test_down_stops_it(tmp_path: Path) -> None:
    with fake_daemon(tmp_path) as daemon:
        assert process(tmp_path, "down", "--json").data == {"stopped": True}
        assert daemon.wait(60) == 0
    assert process(tmp_path, "down").code == 3


def test_a_pipe_that_closes_early_is_no_failure(folder: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m servent --data-dir {folder} peers --json | true",
        shell=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert "Traceback" not in done.stderr


def test_transfers_watch_prints_one_object_a_change(folder: Path) -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "servent", "--data-dir", str(folder), "transfers", "--watch", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        assert running.stdout is not None
        assert json.loads(running.stdout.readline())["full"] is True
        process(folder, "get", LINK + "&watched", "--detach")
        assert json.loads(running.stdout.readline())["items"]
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 130
    finally:
        running.kill()
        running.wait(60)
        if running.stdout is not None:
            running.stdout.close()


def test_colour_is_off_when_asked(folder: Path) -> None:
    assert "\x1b[" not in process(folder, "doctor", NO_COLOR="1").out


def test_the_version() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "servent", "--version"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == f"servent {__version__}\n"
