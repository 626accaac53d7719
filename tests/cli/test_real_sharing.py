"""Two real nodes share, find and fetch by the command lines that people type."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cli.test_real import data, run, up


def until(look: Callable[[], Any], limit: float = 60.0) -> Any:
    """What `look` gives once it is true."""
    deadline = time.monotonic() + limit
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.1)
    return found


def hits(data_dir: Path, *words: str) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in run(data_dir, "search", *words, "--json").splitlines()]
    assert events[-1]["kind"] == "done"
    return list(
        {event["hit"]["content"]: event["hit"] for event in events if event["kind"] == "hit"}.values()
    )


def test_found_browsed_and_fetched_between_two_nodes(tmp_path: Path) -> None:
    ann, bob, music, got = tmp_path / "ann", tmp_path / "bob", tmp_path / "music", tmp_path / "got"
    (music / "Nina" / "Live").mkdir(parents=True)
    songs = {f"Nina/Live/{number:02} river song.mp3": os.urandom(200_000 + number) for number in range(5)}
    for name, content in songs.items():
        (music / name).write_bytes(content)
    (music / ".quiet river").write_text("not for others")
    with up(ann, "--name", "ann"), up(bob, "--name", "bob"):
        run(bob, "join", run(ann, "ticket").strip())
        run(ann, "library", "add", str(music), "--for", "friends", code=2)  # for the hidden file
        run(ann, "library", "add", str(music), "--for", "friends", "--yes", "--wait")
        assert data(ann, "library")[0]["hashed_files"] == 5, data(ann, "library")
        assert data(ann, "library")[0]["state"] == "watching"

        assert sorted(hit["name"] for hit in hits(bob, "river", "type:audio")) == [
            f"{number:02} river song.mp3" for number in range(5)
        ]
        run(bob, "search", "03", "river")
        one = data(bob, "get", "1", "--to", str(got))
        assert Path(one["path"]).read_bytes() == songs["Nina/Live/03 river song.mp3"]

        [top] = data(bob, "browse", "ann")["entries"]
        assert (top["name"], top["folder"], top["files"]) == ("music", True, 5)
        rows = data(bob, "browse", "ann", "music/Nina/Live")["entries"]
        assert [row["name"] for row in rows] == [f"{number:02} river song.mp3" for number in range(5)]
        tree = data(bob, "get", "ann:music/Nina", "--to", str(got))
        for name, content in songs.items():
            assert (Path(tree["path"]).parent / name).read_bytes() == content
        run(bob, "get", "ann:music/nothing", code=4)
        sent = until(lambda: {one["name"] for one in data(ann, "history", "--sent")["entries"]})
        assert sent <= {"03 river song.mp3", "Nina"}

        (music / "new river.txt").write_text("just came")
        until(lambda: hits(bob, "just", "-live") or hits(bob, "new", "river"))
        run(ann, "library", "change", "music", "--for", "nobody")
        until(lambda: not hits(bob, "river"))
        assert data(bob, "browse", "ann")["entries"] == []
        run(bob, "get", "ann:music", code=4)


def test_a_doubtful_folder_needs_a_yes(tmp_path: Path) -> None:
    ann, folder = tmp_path / "ann", tmp_path / "things"
    (folder / ".ssh").mkdir(parents=True)
    (folder / "id_ed25519").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    with up(ann):
        run(ann, "library", "add", str(folder), code=2)
        assert data(ann, "library") == []
        assert data(ann, "library", "add", str(folder), "--yes")["name"] == "things"
        run(ann, "library", "remove", str(folder))
        assert data(ann, "library") == []


def test_a_code_that_is_said_hands_a_folder_over(tmp_path: Path) -> None:
    ann, bob, gift = tmp_path / "ann", tmp_path / "bob", tmp_path / "gift"
    gift.mkdir()
    (gift / "picture.jpg").write_bytes(os.urandom(300_000))
    with up(ann, "--name", "ann"), up(bob, "--name", "bob"):
        run(bob, "join", run(ann, "ticket").strip())
        made = data(ann, "send", str(gift), "--code", "--detach")
        assert made["code"].count("-") == 2
        until(lambda: data(ann, "codes")[0]["state"] == "waiting")
        done = data(bob, "receive", *made["code"].split("-"), "--to", str(tmp_path / "there"))
        assert done["state"] == "done"
        copied = Path(done["path"]) / "picture.jpg"
        assert copied.read_bytes() == (gift / "picture.jpg").read_bytes()
        until(lambda: data(ann, "codes")[0]["state"] == "done")
        run(bob, "receive", "nonsense", code=2)


def test_what_comes_later_is_wished_for_and_what_is_not_wanted_blocked(tmp_path: Path) -> None:
    ann, bob, music, got = tmp_path / "ann", tmp_path / "bob", tmp_path / "music", tmp_path / "got"
    music.mkdir()
    (music / "old tune.mp3").write_bytes(os.urandom(100_000))
    with up(ann, "--name", "ann"), up(bob, "--name", "bob"):
        run(bob, "join", run(ann, "ticket").strip())
        run(ann, "library", "add", str(music), "--wait")
        wish = data(bob, "wish", "add", "new", "tune", "--auto", "--to", str(got))
        (music / "new tune.mp3").write_bytes(os.urandom(120_000))
        until(lambda: data(bob, "wish")[0]["fetched"] == 1, 30.0)
        [match] = data(bob, "wish", "matches", wish["id"])
        assert match["hit"]["name"] == "new tune.mp3"
        until(lambda: (got / "new tune.mp3").exists())
        assert (got / "new tune.mp3").read_bytes() == (music / "new tune.mp3").read_bytes()

        transfer = next(one for one in data(bob, "transfers") if one["direction"] == "down")["id"]
        moved = data(bob, "move", transfer, "--to", str(tmp_path / "kept"), "--name", "tune.mp3")
        assert Path(moved["path"]).read_bytes() == (music / "new tune.mp3").read_bytes()
        assert not (got / "new tune.mp3").exists()
        until(lambda: data(bob, "history")["entries"])
        assert data(bob, "history", "new", "tune")["entries"][0]["state"] == "complete"

        run(bob, "search", "old", "tune")
        blocked = data(bob, "block", "1", "--note", "no thanks")
        assert [one["content"] for one in data(bob, "blocks")] == [blocked["content"]]
        assert not hits(bob, "old", "tune")
        run(bob, "unblock", blocked["content"])
        assert hits(bob, "old", "tune")
        assert (
            data(bob, "queue", "--most-active", "2", "--rule", "daily 01:00-02:00 up 500k")["most_active"]
            == 2
        )
    with up(bob):
        assert data(bob, "queue")["most_active"] == 2
        assert len(data(bob, "queue")["schedule"]) == 1
        assert data(bob, "wish")[0]["fetched"] == 1
        assert data(bob, "history")["entries"]


def test_a_feed_is_published_followed_and_renewed(tmp_path: Path) -> None:
    ann, bob, site, there = tmp_path / "ann", tmp_path / "bob", tmp_path / "site", tmp_path / "there"
    site.mkdir()
    (site / "index.html").write_text("first")
    with up(ann, "--name", "ann"), up(bob, "--name", "bob"):
        run(bob, "join", run(ann, "ticket").strip())
        made = data(ann, "publish", "site", str(site))
        until(lambda: data(ann, "feeds", "site")["sequence"] == 1)
        link = data(ann, "feeds", "site")["link"] or made["link"]
        run(bob, "follow", link, "--to", str(there))
        until(lambda: [path.read_text() for path in there.rglob("index.html")] == ["first"], 30.0)
        (site / "index.html").write_text("second")
        run(ann, "publish", "site")
        until(lambda: [path.read_text() for path in there.rglob("index.html")] == ["second"], 30.0)
        assert data(bob, "feeds", "site")["have"] == 2
