"""Two real nodes share, find and fetch by the command lines that people type."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_real import data, run, up

pytestmark = [pytest.mark.real, pytest.mark.timeout(90)]


def until(look: Callable[[], Any], limit: float = 20.0) -> Any:
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
        assert data(ann, "library")[0]["hashed_files"] == 5
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
