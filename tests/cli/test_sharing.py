"""The commands of sharing, against a real daemon around a node in memory."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from servent.api import schema_getting as getting
from servent.cli import codes
from servent.cli.asking import parse_size
from servent.cli.main import COMMANDS, GROUPS, run
from servent.cli.queue import parse_rule, written
from servent.errors import UsageError
from tests.api.fake_share import ANN, FEED_LINK
from tests.api.running import ROOT, client, fake_daemon
from tests.cli.test_cli import Ran, process


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    data_dir = tmp_path_factory.mktemp("node")
    with fake_daemon(data_dir):
        yield data_dir


@pytest.fixture
def servent(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delenv("SERVENT_DATA_DIR", raising=False)

    def go(*words: str) -> Ran:
        capsys.readouterr()
        code = run(["--data-dir", str(folder), *words])
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return go


# library


def test_a_folder_is_shared_changed_and_left(servent: Any, tmp_path: Path) -> None:
    made = servent(
        "library", "add", str(tmp_path), "--for", "friends", "--exclude", "*.tmp", "--name", "box", "--json"
    )
    assert made.data["exclude"] == ["*.tmp"] and made.data["audience"] == "friends"
    assert "box\tfriends\thashing" in servent("library").out
    assert made.data["id"] in servent("library", "list", "--quiet").out.splitlines()
    assert servent("library", "change", str(tmp_path), "--exclude", "", "--json").data["exclude"] == []
    assert servent("library", "pause", "box", "--json").data["state"] == "paused"
    assert servent("library", "resume", str(tmp_path) + "/", "--json").data["state"] == "watching"
    assert servent("library", "rescan", "box").code == 0
    assert servent("library", "change", "box").code == 2
    assert servent("library", "remove", "box").code == 0
    assert servent("library", "remove", "box").code == 4


def test_what_people_rarely_mean_to_share_asks_first(folder: Path, servent: Any, tmp_path: Path) -> None:
    keys = tmp_path / ".ssh"
    keys.mkdir()
    asked = process(folder, "library", "add", str(keys), stdin="")
    assert asked.code == 2
    assert "id_ed25519" in asked.err and "--yes" in asked.err
    made = servent("library", "add", str(keys), "--yes", "--json")
    assert made.code == 0
    servent("library", "remove", made.data["id"])
    assert servent("library", "add", str(tmp_path / "nothing")).code == 4


# search, browse, get by number


def test_hits_are_numbered_and_fetched_by_number(folder: Path, servent: Any, tmp_path: Path) -> None:
    ran = servent("search", "nina", "--kind", "audio", "--limit", "5")
    rows = [line.split("\t") for line in ran.out.splitlines()]
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5"]
    assert "5 found" in ran.err and "2 of 2 peers answered" in ran.err and "narrow" in ran.err
    got = servent("get", "3", "--to", str(tmp_path), "--json")
    assert (got.data["name"], got.data["state"]) == (rows[2][3], "complete")
    assert oct((folder / "last-search.json").stat().st_mode & 0o777) == "0o600"
    assert servent("get", "6").code == 4
    assert servent("search", "nina", "--get", "1", "--json").data["state"] == "complete"


def test_a_search_for_programs_is_one_object_a_line(servent: Any) -> None:
    ran = servent("search", "nina", "--mine", "--json")
    events = [json.loads(line) for line in ran.out.splitlines()]
    assert events[-1]["kind"] == "done" and events[0]["hit"]["sources"][0]["mine"]
    assert re.fullmatch(r"([0-9a-f]{64}\n)+", servent("search", "nina", "--quiet").out)
    nothing = servent("search", "zzzz")
    assert nothing.code == 0 and "wish add" in nothing.err
    assert servent("search", "-", "-").code == 2
    assert servent("search", "nina", "--peer", "zed").code == 4


def test_a_word_to_leave_out_is_no_option(servent: Any) -> None:
    with_it = servent("search", "nina", "--mine", "-q").out.splitlines()
    without = servent("search", "nina", "-harbour", "--mine", "-q").out.splitlines()
    assert without and set(without) < set(with_it)
    assert servent("search", "nina", "-quiet", "--mine").out != "".join(line + "\n" for line in with_it)
    assert servent("wish", "add", "nina", "-harbour", "--json").data["q"] == "nina -harbour"
    assert servent("search", "--mine", "--", "nina", "-harbour", "--json").code == 0
    assert servent("search", "nina", "--no-such").code == 2


def test_browsing_walks_pages_and_fetches_with_structure(servent: Any, tmp_path: Path) -> None:
    assert "Music/" in servent("browse", "ann").out
    assert servent("browse", "ann:Music").out == servent("browse", "ann", "Music/").out
    listing = servent("browse", "ann", "Photos/2019", "--json").data
    place = listing["entries"][0]["name"]
    whole = servent("browse", "ann", f"Photos/2019/{place}", "--all", "--json").data
    assert len(whole["entries"]) == whole["total"]
    name = whole["entries"][1]["name"]
    assert servent("get", "2", "--json").data["name"] == name
    assert servent("get", f"ann:Photos/2019/{place}/{name}", "--json").data["files"] == 1
    tree = servent("get", "ann:Photos/2019", "--to", str(tmp_path), "--json").data
    assert tree["files"] == sum(entry["files"] for entry in listing["entries"])
    assert servent("browse", "ann", f"Photos/2019/{place}", "--get", "--json").data["files"] == whole["total"]
    assert servent("get", "ann:no/such/thing").code == 4
    assert servent("browse", "ann", "no/such").code == 4


def test_who_answers_no_is_told_that_nothing_was_shared(
    servent: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ".ssh"
    folder.mkdir()
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    said = servent("library", "add", str(folder))
    assert said.code == 1
    assert said.err.rstrip().endswith("not shared") and "interrupted" not in said.err
    assert str(folder) not in servent("library").out


def test_the_help_shows_every_command_once() -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(COMMANDS)


def test_only_some_files_are_fetched(servent: Any) -> None:
    made = servent(
        "get", "ann:Music", "--files", "disc 1/*", "--files", "03*", "--priority", "low", "--detach", "--json"
    ).data
    known = servent("files", made["id"][:12], "--json").data
    wanted = [file["path"] for file in known if file["wanted"]]
    assert "disc 1/01 track.flac" in wanted and "disc 2/03 track.flac" in wanted
    assert all(path.startswith("disc 1/") or "/03 " in path for path in wanted)
    assert servent("files", made["id"], "--only", "*.mp3").code == 4
    assert all(file["wanted"] for file in servent("files", made["id"], "--all", "--json").data)
    assert servent("files", made["id"], "--all", "--only", "x").code == 2
    assert servent("get", "magnet:?x", "--preview").code == 2


def test_what_a_peer_calls_things_does_not_steer_the_terminal(servent: Any) -> None:
    ran = servent("browse", "ann", "Odd names")
    assert "\u202e" not in ran.out and "report\ufffdgnp.exe" in ran.out


def test_recommendations_say_why(servent: Any) -> None:
    [first, *_] = servent("recommend", "--limit", "3", "--json").data
    assert "ann and bob" in first["because"]
    assert servent("get", "1", "--detach", "--json").data["name"] == first["hit"]["name"]


# wishes, feeds, codes


def test_wishes(servent: Any) -> None:
    made = servent(
        "wish", "add", "fela", "kuti", "--auto", "--max-size", "200MB", "--most", "3", "--json"
    ).data
    assert (made["q"], made["max_bytes"], made["most"]) == ("fela kuti", 200_000_000, 3)
    assert servent("wish", "matches", made["id"][:8], "--quiet").out
    assert next(one for one in servent("wish", "--json").data if one["id"] == made["id"])["new"] == 0
    assert servent("wish", "change", made["id"], "--pause", "--no-auto", "--json").data["paused"]
    assert servent("wish", "change", made["id"]).code == 2
    assert "paused" in servent("wish", "list").out
    assert servent("wish", "remove", made["id"]).code == 0
    assert servent("wish", "remove", made["id"]).code == 4


def test_feeds(servent: Any, tmp_path: Path) -> None:
    made = servent("publish", "notes", str(tmp_path))
    assert made.out.startswith("servent-feed:") and "servent follow" in made.err
    assert servent("publish", "notes", "--json").data["sequence"] == 2
    assert servent("follow", FEED_LINK, "--keep", "2", "--json").data["keep"] == 2
    assert "notes" in servent("feeds").out
    assert servent("feeds", "notes", "--pause", "--json").data["state"] == "paused"
    assert servent("feeds", "weekly-mix").code == 4  # the name of two: of the one followed before, and now
    assert servent("feeds", "notes", "--remove").code == 0
    assert servent("feeds", "--check").code == 2
    assert servent("publish", "x", str(tmp_path / "nothing")).code == 4


def test_a_code_is_printed_alone_and_used(folder: Path, servent: Any, tmp_path: Path) -> None:
    (tmp_path / "gift").write_text("x")
    sent = servent("send", str(tmp_path / "gift"), "--code")
    assert re.fullmatch(r"\d+-[a-z]+-[a-z]+\n", sent.out) and "servent receive" in sent.err
    first, last = map(
        json.loads, servent("send", str(tmp_path / "gift"), "--code", "--json").out.splitlines()
    )
    assert first["code"] and first["state"] != "done" and last["state"] == "done"
    got = servent("receive", "7", "guitar", "window", "--to", str(tmp_path))
    assert got.out == f"{tmp_path}/holiday pictures\n"
    assert process(folder, "receive", stdin="7-guitar-window\n").code == 0
    assert process(folder, "receive", SERVENT_CODE="7-guitar-window", stdin="").code == 0
    assert process(folder, "receive", stdin="").code == 2
    refused = servent("receive", "7-wrong-window")
    assert (refused.code, "read it again" in refused.err) == (5, True)
    waiting = servent("send", str(tmp_path / "gift"), "--code", "--detach", "--json").data
    assert servent("codes", "--cancel", waiting["id"]).code == 0
    assert waiting["id"] in servent("codes", "-q").out
    assert servent("send", str(tmp_path / "gift"), "--contact").code == 2


def test_ctrl_c_while_a_code_waits_leaves_it_to_the_node(tmp_path: Path) -> None:
    with fake_daemon(tmp_path, "--pace", "1"):
        running = subprocess.Popen(
            [sys.executable, "-m", "servent", "--data-dir", str(tmp_path), "send", __file__, "--code"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert running.stdout is not None and running.stderr is not None
        assert running.stdout.readline().count("-") == 2
        while "preparing" not in (line := running.stderr.readline()) and "hashing" not in line:
            assert line
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
        assert running.returncode == 130
        assert "detached" in err and "servent codes --cancel" in err and "Traceback" not in err
        assert [code.state for code in client(tmp_path).codes()] != ["cancelled"]


def test_a_code_in_the_arguments_is_warned_of_where_others_may_look(
    servent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codes, "others_may_look", lambda: True)
    assert "Others on this machine" in servent("receive", "7-guitar-window").err
    monkeypatch.setattr(codes, "others_may_look", lambda: False)
    assert "Others on this machine" not in servent("receive", "7-guitar-window").err


# queue, safety


def test_the_queue_is_changed_piece_by_piece(servent: Any) -> None:
    now = servent("queue", "--most-active", "3", "--rule", "mon-fri 8:00-18:00 up 500k", "--json").data
    assert (now["most_active"], now["schedule"][0]["begin"]) == (3, "08:00")
    assert servent("queue", "--no-polite", "--json").data["most_active"] == 3
    assert "mon-fri 08:00-18:00 up 500kB/s" in servent("queue").out
    assert (
        servent("queue", "--slow", "--slow-up", "100k", "--json").data["alternative_up_bytes_per_s"]
        == 100_000
    )
    assert servent("queue", "--rule", "", "--json").data["schedule"] == []
    assert servent("queue", "--hook", "/usr/bin/true", "--json").data["on_complete"] == "/usr/bin/true"
    assert servent("queue", "--rule", "sometimes").code == 2
    assert servent("limits", "--peer", "ann", "--up", "1MB/s", "--json").data["up_bytes_per_s"] == 1_000_000
    assert [one["peer"] for one in servent("queue", "--json").data["peers"]] == [str(ANN)]
    servent("limits", "--peer", "ann", "--up", "off")
    assert servent("queue", "--json").data["peers"] == []
    assert servent("limits", "--peer", "zed", "--up", "1MB/s").code == 4
    assert servent("limits", "--peer", "ann", "--slots", "3").code == 2


@pytest.mark.parametrize(
    "text",
    [
        "mon-fri 08:00-18:00 up 500kB/s",
        "daily 01:00-06:00 pause",
        "sat,sun 22:30-00:00 down 2.0MB/s",
        "fri-mon 00:00-00:00 up off",
    ],
)
def test_a_rule_reads_back_as_it_was_written(text: str) -> None:
    rule = parse_rule(text)
    assert parse_rule(written(rule)) == rule


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mon",
        "mon 8-9 up 1k",
        "xyz 08:00-09:00 pause",
        "mon 25:00-26:00 pause",
        "mon 08:00-09:00 sideways 5M",
    ],
)
def test_what_is_no_rule_is_said_so(text: str) -> None:
    with pytest.raises(UsageError):
        parse_rule(text)


def test_a_rule_over_the_weekend_goes_round() -> None:
    assert parse_rule("fri-mon 00:00-24:00 pause") == getting.ScheduleRule(
        days=[0, 4, 5, 6], begin="00:00", end="00:00", pause=True
    )


def test_sizes_as_people_write_them() -> None:
    assert [parse_size(text) for text in ("700M", "1.5GB", "64 KiB", "12")] == [
        700_000_000,
        1_500_000_000,
        65536,
        12,
    ]
    for wrong in ("", "big", "5x", "-3M"):
        with pytest.raises(UsageError):
            parse_size(wrong)


def test_a_transfer_is_put_forward_moved_and_remembered(servent: Any, tmp_path: Path) -> None:
    made = servent("get", "magnet:?forward", "--json").data
    now = servent("priority", made["id"][:12], "high", "--place", "0", "--in-order", "--json").data
    assert (now["priority"], now["in_order"]) == ("high", True)
    assert servent("priority", made["id"]).code == 2
    assert servent("move", made["id"], "--to", str(tmp_path), "--name", "away").out == f"{tmp_path}/away\n"
    assert servent("move", made["id"]).code == 2
    found = servent("history", "--fetched", "--limit", "5", "--json").data
    assert len(found["entries"]) == 5 and {entry["direction"] for entry in found["entries"]} == {"down"}
    assert "--skip 5" in servent("history", "--limit", "5").err
    assert len(servent("history", "--limit", "7", "-q").out.splitlines()) == 7


def test_blocks_reports_and_filters(servent: Any) -> None:
    servent("search", "kraftwerk")
    made = servent("block", "1", "--json").data
    assert len(made["content"]) == 64
    assert made["content"] in servent("blocks").out
    assert servent("unblock", made["content"]).code == 0
    assert servent("block", "bob", "--note", "loud", "--json").data["name"] == "bob"
    assert servent("unblock", "bob").code == 0
    assert servent("unblock", "bob").code == 4
    assert servent("report", "2", "--reason", "mislabelled").code == 0
    told = servent("report", "--json").data[0]
    assert told["reason"] == "mislabelled"
    assert told["content"] and told["peer"]  # without the holder no admin could be told
    now = servent(
        "filters",
        "--clear",
        "--word",
        "casino",
        "--ext",
        ".EXE",
        "--kind",
        "program",
        "--max-size",
        "4GB",
        "--json",
    ).data
    assert (now["words"], now["exts"], now["kinds"], now["max_bytes"]) == (
        ["casino"],
        ["exe"],
        ["program"],
        4 * 10**9,
    )
    assert servent("filters", "--max-size", "off", "--word", "spam", "--json").data["words"] == [
        "casino",
        "spam",
    ]
    assert servent("filters", "--clear", "--json").data["words"] == []


# what was wished for before


def test_lists_print_ids_alone_when_asked(servent: Any) -> None:
    for words in (
        ("peers",),
        ("transfers",),
        ("shares",),
        ("network", "ls"),
        ("network", "members", "home"),
        ("feeds",),
        ("blocks",),
    ):
        shown, quiet = servent(*words, "--json").data, servent(*words, "--quiet")
        assert quiet.out.splitlines() == [row["id"] for row in shown], words


def test_a_grant_returns_to_its_default_and_a_misspelt_service_is_said(servent: Any) -> None:
    assert servent("allow", "servent.blobs", "friends", "--json").data[0]["audience"] == "friends"
    assert servent("allow", "servent.blobs", "--default").code == 0
    assert servent("allow", "servent.blobs", "--default").code == 4
    assert servent("allow", "servent.blob", "friends").code == 4
    assert servent("allow", "--default").code == 2


def test_a_network_of_the_same_name_is_an_error(servent: Any) -> None:
    assert servent("network", "new", "twice").code == 0
    assert servent("network", "new", "twice").code == 2


def test_search_is_quick_to_start(folder: Path) -> None:
    """Nothing heavy is imported for what people type most."""
    code = (
        "import sys; from servent.cli.main import run; run(sys.argv[1:]);"
        "heavy = {'asyncio', 'iroh', 'uvicorn', 'starlette', 'rich', 'cryptography', 'websockets', 'sqlite3'};"
        "print('heavy', sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    words = [sys.executable, "-c", code, "--data-dir", str(folder), "search", "nina", "--mine"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT, env=os.environ)
    assert "heavy []" in done.stderr
