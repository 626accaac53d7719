"""Commands about people, messages and rooms, against a real daemon around a node in memory."""

from __future__ import annotations

import io
import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest

from servent.api import schema_talk as talk
from servent.cli import talking
from servent.cli.friends import find
from servent.cli.main import run
from servent.cli.people import called, lines_of, row_of
from servent.cli.rooms import muted
from servent.cli.talking import Converse, find_room
from servent.errors import NotFound, UsageError
from tests.api.fake import ANN, BOB
from tests.api.fake_talk import DAVE, ERIN, FALSE_ANN
from tests.api.running import ROOT, client, fake_daemon

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


Servent = Callable[..., Ran]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    data_dir = tmp_path_factory.mktemp("node")
    with fake_daemon(data_dir):
        yield data_dir


@pytest.fixture
def servent(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Servent:
    monkeypatch.delenv("SERVENT_DATA_DIR", raising=False)

    def go(*words: str, stdin: str | None = None) -> Ran:
        capsys.readouterr()
        if stdin is not None:
            monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        code = run(["--data-dir", str(folder), *words])
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return go


def person(shown: str = "bob", mark: str = "7ir1", **more: Any) -> talk.Person:
    return talk.Person(
        **{"id": mark * 13, "short_id": mark * 2, "shown": shown, "mark": mark, "name": shown} | more
    )


def message(text: str, **more: Any) -> talk.Message:
    return talk.Message(**{"id": "0" * 32, "conversation": "peer:x", "author": person(), "text": text} | more)


# what others chose or wrote can pretend to nothing


def test_a_name_that_is_not_mine_for_them_never_stands_without_its_mark() -> None:
    assert called(person("ann", chosen=True)) == "ann"
    assert called(person("ann")) == "ann (7ir1)"
    assert called(person("\u0430nn", warning="it looks like ann")) == "\u0430nn (7ir1) !"
    assert called(person("a\nb\x1b[31m\u202ec")) == "a b\ufffd[31m\ufffdc (7ir1)"
    assert called(person("  ")) == "7ir17ir1 (7ir1)"


def test_no_line_of_a_message_looks_like_another_message() -> None:
    now = time.time()
    one = message("hi\r\n09:00  ann: send money\n\x1b[2J\x9b1A", sent=now, received=now)
    first, second, third = lines_of(one)
    assert first.endswith("bob (7ir1): hi") and second.startswith("         09:00  ann")
    assert third.strip() == "\ufffd[2J\ufffd1A"
    assert "\n" not in row_of(one) and row_of(one).count("\t") == 4
    assert "\n" not in row_of(message("a\tb\nc")) and row_of(message("a\tb\nc")).count("\t") == 4
    attached = message("", attachments=[talk.Attachment(link="magnet:?x\n\x1b]0;t\x07", name="a\nb")])
    assert all(not CONTROL.search(line) for line in lines_of(attached)) and len(lines_of(attached)) == 1


def test_what_i_wrote_says_whether_it_was_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    me = person("me", me=True)
    assert lines_of(message("hi", author=me, state="waiting"))[1].strip() == "(waits until they are here)"
    there = message("hi\nyou", author=me, state="delivered")
    assert lines_of(there)[0].endswith("me: hi") and lines_of(there)[1].endswith("you ✓")
    assert "✓" not in lines_of(message("hi"))[0], "what others wrote has come, as it is seen"
    assert "✓" not in lines_of(message("", author=me, state="delivered", removed=True))[0]
    assert "✓" not in lines_of(message("", author=me, state="delivered", event="closed"))[0]
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert lines_of(there)[1].endswith("you (delivered)")


def test_what_took_its_time_is_shown_when_it_is_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    me = person("me", me=True)
    late, soon = (message(text, author=me, state="delivered", id=text * 8) for text in ("late", "soon"))
    chat, shown = Converse(cast(Any, None), "peer:x", None), []
    monkeypatch.setattr(chat, "_above", shown.append)
    monkeypatch.setattr(talking, "incoming", lambda *_: iter([late, soon, late]))
    chat._waiting = {late.id: time.monotonic() - 60, soon.id: time.monotonic()}
    chat._hear()
    assert shown[:-1] == [lines_of(late)] and lines_of(late)[0].endswith("late ✓")


def test_what_was_done_in_a_room_is_said_of_who_did_it_and_reads_like_no_message() -> None:
    done = lines_of(message("ann: sorry\nnot me", event="banned"))
    assert len(done) == 1 and done[0].endswith("  bob (7ir1) banned ann: sorry not me")
    assert lines_of(message("", event="closed"))[0].endswith("bob (7ir1) closed the room")
    assert lines_of(message("x", event="new\x1b[1m"))[0].endswith("bob (7ir1) new\ufffd[1m x")
    assert muted(None, 0.0) == muted(5.0, 5.0) == "" and muted(253_402_300_799.0, time.time()) == "muted"
    assert muted(605.0, 5.0) == "muted for 10 min"


def test_what_is_printed_of_odd_messages_holds_nothing_a_terminal_obeys(servent: Servent) -> None:
    for words in (("chat", "ann", "--history", "300", "--peek"), ("room", "read", "lobby", "--history", "400", "--peek"), ("chat", "ls"),
                  ("room", "members", "lobby"), ("friends",), ("chat", "search", "colours")):  # fmt: skip
        ran = servent(*words)
        assert ran.code == 0 and ran.out and not CONTROL.search(ran.out + ran.err), words


# friends and presence


def test_friends_are_listed_with_what_they_are_and_the_doubtful_one_is_said_to_be(servent: Servent) -> None:
    ran = servent("friends")
    rows = {line.split("\t")[-1]: line.split("\t") for line in ran.out.splitlines()}
    assert rows[str(ANN)][:4] == ["ann", "here", "2", "yes"]
    assert rows[str(BOB)][0].startswith("bob (") and rows[str(BOB)][1] == "away: at lunch"
    assert rows[str(ERIN)][1] == "asks" and "bicycle" in rows[str(ERIN)][5]
    assert rows[str(FALSE_ANN)][0].endswith("!") and "somebody else" in ran.err
    assert servent("friends", "--quiet").out.split()[-1] in rows
    assert len(servent("friends", "--json").data) == len(rows)


def test_a_doubtful_name_is_accepted_only_on_purpose(servent: Servent) -> None:
    refused = servent("friends", "accept", str(FALSE_ANN), stdin="")
    assert refused.code == 2 and "--yes" in refused.err
    assert servent("friends", "accept", "erin").out == "erin (okz5) is a friend\n"
    assert servent("friends", "accept", "erin").code == 2
    assert servent("friends", "decline", str(FALSE_ANN), "--block", "--json").data == {
        "declined": str(FALSE_ANN)
    }
    assert servent("friends", "accept", str(FALSE_ANN)).code == 4
    assert servent("friends", "silence", "erin", "--json").data["silent"]
    assert servent("friends", "remove", "erin").code == 0 and servent("friends", "remove", "erin").code == 4


def test_somebody_is_asked_by_name_id_or_ticket_from_stdin(servent: Servent) -> None:
    ran = servent("friends", "add", "-", "--as", "Davy", stdin=f"servent:{DAVE}\n")
    assert ran.out == "Davy is a friend\n"
    assert servent("friends", "add", "nobody").code == 4


def test_a_name_means_the_petname_first_and_one_person_or_nobody() -> None:
    rows = [
        talk.Friend(id=mark * 13, person=person(name, mark, petname=petname), bond="friend")
        for mark, name, petname in (("aaaa", "kim", None), ("bbbb", "kim", None), ("cccc", "sam", "Kim"), ("dddd", "lee", None))
    ]  # fmt: skip
    assert find(rows, "kim").id == "cccc" * 13 and find(rows, "lee").id == "dddd" * 13
    assert find(rows, "bbbb").id == "bbbb" * 13
    with pytest.raises(UsageError):
        find(rows[:2], "kim")
    with pytest.raises(NotFound):
        find(rows, "ann")


def test_presence_is_shown_and_said(servent: Servent) -> None:
    said = servent("presence", "away", "--note", "back at six", "--idle", "20m")
    assert said.out.splitlines()[0] == "friends see you away: back at six" and "20 min" in said.out
    assert servent("presence", "--json").data["note"] == "back at six"
    assert servent("presence", "available", "--note", "", "--idle", "never").out.splitlines() == [
        "friends see you here", "never away by itself",
    ]  # fmt: skip
    assert servent("presence", "match").code == 2


# messages


def test_a_message_is_sent_shown_searched_and_taken_back(servent: Servent) -> None:
    made = servent("chat", "ann", "the", "Zeppelin", "lands", "--json", "--wait", "5").data
    assert (made["text"], made["state"]) == ("the Zeppelin lands", "delivered")
    assert servent("chat", "ann").out.splitlines()[-1].endswith("me\tthe Zeppelin lands")
    assert servent("chat", "search", "zeppelin", "-rose", "--in", "ann").out.startswith("ann\t")
    assert servent("chat", "search", "zeppelin", "--from", "bob").code == 4
    assert servent("chat", "take-back", "ann", made["id"][:10]).code == 0
    assert servent("chat", "ann", "--history", "1").out.endswith("(taken back)\n")
    assert servent("chat", "search", "zeppelin").code == 4


def test_a_text_comes_from_stdin_with_its_lines_and_too_long_is_refused(servent: Servent) -> None:
    assert servent("chat", "ann", "-", "--json", stdin="one\n  two\n").data["text"] == "one\n  two"
    assert servent("chat", "ann", "-", stdin="x" * 4001).code == 2
    assert servent("chat", "ann", "-", stdin="").code == 2
    assert servent("chat", "ann", "--attach", "magnet:?xt=urn:btmh:1220" + "ab" * 32, "--json").data[
        "attachments"
    ]


def test_who_is_away_gets_it_later_and_the_exit_code_says_so(servent: Servent) -> None:
    servent("chat", "bob", "!offline", "--wait", "5")
    waits = servent("chat", "bob", "are you there?", "--wait", "0.3")
    assert waits.code == 6 and "by itself" in waits.err
    assert servent("chat", "nobody", "hello").code == 4


def test_reading_marks_as_read_and_peeking_does_not(servent: Servent, folder: Path) -> None:
    node = client(folder)
    assert node.conversation("lobby").unread == 7
    shown = servent("room", "read", "lobby", "--peek")
    assert "-- new --" in shown.err and len(shown.out.splitlines()) >= 10
    assert node.conversation("lobby").unread == 7
    servent("room", "read", "lobby")
    assert node.conversation("lobby").unread == 0
    servent("chat", "ann", "!say more")
    _until(lambda: node.conversation("ann").unread > 0)
    assert servent("chat", "read", "--all").code == 0 and node.talk_sums().unread == 0
    assert servent("chat", "read").code == 2


def test_conversations_are_listed_newest_first_and_silenced(servent: Servent) -> None:
    servent("chat", "ann", "newest")
    first = servent("chat").out.splitlines()[0].split("\t")
    assert first[0] == "ann" and "newest" in first[3]
    assert servent("chat", "silence", "lobby", "--json").data["silent"]
    assert any("silent" in line for line in servent("chat", "ls").out.splitlines())
    servent("chat", "silence", "lobby", "--off")
    assert servent("chat", "forget", "dave", stdin="").code == 2
    assert servent("chat", "forget", "Davy", "--yes").code in (0, 4)


def test_notices_say_who_what_and_in_which_room(servent: Servent, folder: Path) -> None:
    node = client(folder)
    first = max((one.seq for one in node.notices()), default=0)
    servent("chat", "ann", "!say look\x1b[2J here")
    _until(lambda: bool(node.notices(first)))
    assert servent("chat", "notices").out.splitlines()[-1].endswith("ann writes: look\ufffd[2J here")
    assert servent("chat", "notices", "--json").data[-1]["conversation"] == f"peer:{ANN}"


# rooms


def test_a_room_from_its_making_to_its_end(servent: Servent) -> None:
    made = servent("room", "new", "workshop", "--invite-only", "--topic", "tools", "--json").data
    assert (made["policy"], made["topic"], made["standing"]) == ("invite", "tools", "owner")
    assert servent("room", "say", "#workshop", "anybody", "here?").code == 0
    assert servent("room", "invite", "workshop", "ann").code == 0
    assert servent("room", "topic", "workshop", "nails", "and", "screws").out == "nails and screws\n"
    assert servent("room", "set", "workshop", "--slow", "10s", "--json").data["slow"] == 10.0
    assert "10 s" in servent("room", "set", "workshop").out
    assert servent("room", "rename", "workshop", "shed").out == "#shed\n"
    assert servent("room", "read", "shed").out.splitlines()[-1].endswith("anybody here?")
    assert servent("room", "leave", "shed").code == 2
    assert servent("room", "close", "shed", stdin="").code == 2
    assert servent("room", "close", "shed", "--yes").code == 0
    assert ["#shed", "closed"] in [line.split("\t")[:3:2] for line in servent("room", "ls").out.splitlines()]


def test_order_is_kept_in_a_room(servent: Servent) -> None:
    for words, standing in (
        (("mute", "staff", "bob", "--for", "10m", "--reason", "shouting"), "moderator"),
        (("unmute", "staff", "bob"), "moderator"),
        (("member", "staff", "bob"), "member"),
        (("moderator", "staff", "bob"), "moderator"),
        (("ban", "staff", "bob", "--for", "7d", "--purge"), "banned"),
    ):
        assert servent("room", *words).code == 0, words
        rows = servent("room", "members", "staff", "--json").data
        assert next(row["standing"] for row in rows if row["person"]["id"] == str(BOB)) == standing
    assert servent("room", "unban", "staff", "bob").code == 0
    assert servent("room", "kick", "staff", "bob").code == 4
    assert servent("room", "ban", "lobby", "bob").code == 2
    assert servent("room", "owner", "staff", "ann").out == "ann owns #staff\n"


def test_open_rooms_are_shown_on_request_entered_and_left(servent: Servent) -> None:
    assert "#music" not in servent("room", "ls").out and "#music" in servent("room", "ls", "--all").out
    assert "1 more open room; --all lists it." in servent("room", "ls").err
    assert servent("room", "join", "music").out == "you are in #music: What we listen to\n"
    assert servent("room", "leave", "music").code == 0
    assert servent("room", "join", "nowhere").code == 4


def test_a_room_is_found_by_name_or_id_and_several_are_told_apart() -> None:
    rooms = [
        talk.Room(id="ab" * 16, name="Lobby", network="home", joined=True),
        talk.Room(id="cd" * 16, name="lobby", network="club"),
        talk.Room(id="ef" * 16, name="x", network="club"),
        talk.Room(id="fa" * 16, name="x", network="home"),
    ]
    assert find_room(rooms, "#lobby").id == "ab" * 16 and find_room(rooms, "cdcdcd").id == "cd" * 16
    with pytest.raises(UsageError):
        find_room(rooms, "x")
    with pytest.raises(NotFound):
        find_room(rooms, "y")


def test_tab_completes_names_of_people_and_rooms_here_and_nothing_where_no_node_runs(
    folder: Path, tmp_path: Path
) -> None:
    from click.shell_completion import BashComplete

    from servent.cli.main import cli

    shell = BashComplete(cli, {}, "servent", "_SERVENT_COMPLETE")

    def offered(begun: str, *words: str, where: Path = folder) -> set[str]:
        return {one.value for one in shell.get_completions(["--data-dir", str(where), *words], begun)}

    assert offered("lo", "room", "say") == {"lobby"}
    assert "ann" in offered("a", "chat") and "lobby" in offered("l", "chat") and "ls" in offered("l", "chat")
    assert "frank" in offered("f", "friends", "remove")
    assert offered("a", "chat", where=tmp_path) == set()


# what goes on


def _until(done: Callable[[], bool], within: float = 60.0) -> None:
    end = time.monotonic() + within
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


def _begin(
    folder: Path, *words: str, stdin: int = subprocess.DEVNULL, stdout: int = subprocess.PIPE
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "servent", "--data-dir", str(folder), *words],
        stdin=stdin, stdout=stdout, stderr=stdout if stdout != subprocess.PIPE else subprocess.DEVNULL, cwd=ROOT,
    )  # fmt: skip


def test_friends_are_watched_as_they_come_and_go(folder: Path) -> None:
    node = client(folder)
    node.send_message(f"peer:{ANN}", "!online")
    process = _begin(folder, "friends", "watch", "--json")
    assert process.stdout is not None
    try:
        now = [json.loads(process.stdout.readline())["person"]["shown"] for _ in range(2)]
        assert "ann" in now
        node.send_message(f"peer:{ANN}", "!offline")
        while (row := json.loads(process.stdout.readline()))["id"] != str(ANN) or row[
            "presence"
        ] != "offline":
            pass
        node.send_message(f"peer:{ANN}", "!online")
        while (row := json.loads(process.stdout.readline()))["id"] != str(ANN) or row[
            "presence"
        ] != "available":
            pass
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_room_is_followed_from_the_last_message_on_without_a_gap(folder: Path) -> None:
    node = client(folder)
    process = _begin(folder, "chat", "ann", "--follow", "--history", "1", "--json")
    assert process.stdout is not None
    try:
        process.stdout.readline()
        texts = [f"number {count}" for count in range(20)]
        for text in texts:
            node.send_message(f"peer:{ANN}", text)
        heard: list[str] = []
        while len(heard) < 20:
            one = json.loads(process.stdout.readline())
            if one["text"] not in heard and one["text"].startswith("number"):
                heard.append(one["text"])
        assert heard == texts
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.skipif(os.name != "posix", reason="a terminal of our own to type at")
def test_at_a_terminal_lines_are_sent_and_what_comes_appears(folder: Path) -> None:
    import pty

    node = client(folder)
    node.set_presence(talk.PresenceChange(idle_away=1.5))
    _until(lambda: node.presence().shown == "away")
    ours, theirs = pty.openpty()
    process = _begin(folder, "chat", "ann", stdin=theirs, stdout=theirs)
    os.close(theirs)
    seen = b""

    def until(wanted: bytes, within: float = 60.0) -> None:
        nonlocal seen
        end = time.monotonic() + within
        while wanted not in seen:
            assert time.monotonic() < end, seen
            if select.select([ours], [], [], 0.1)[0]:
                seen += os.read(ours, 65536)

    try:
        _until(lambda: node.presence().shown == "available")  # somebody who types is there
        until(b"Ctrl-D ends")
        os.write(ours, b"hello from a terminal\n")
        _until(lambda: node.messages(f"peer:{ANN}", limit=1).messages[-1].text == "hello from a terminal")
        seen = b""
        node.send_message(f"peer:{ANN}", "!say wel\x1b]0;owned\x07come")
        until("wel\ufffd]0;owned\ufffdcome".encode())
        _until(lambda: node.conversation(f"peer:{ANN}").unread == 0)
        os.write(ours, b"\x04")
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
