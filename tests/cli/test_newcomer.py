"""What the README tells a newcomer to type is typed, by the letter, and timed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from servent.demo import album
from tests.api.running import ROOT

pytestmark = pytest.mark.real
SECTION = "## Two nodes, three minutes"


def commands(folder: Path) -> tuple[list[str], list[str]]:
    """The lines of the README's section: two nodes, and what is typed in the third terminal; places made ours."""
    text = (ROOT / "README.md").read_text("utf-8")
    section = text.split(SECTION)[1].split("\n## ")[0]
    up, then = (
        [line[2:] for line in block.splitlines() if line.startswith("$ ")]
        for block in re.findall(r"```\n(.*?)```", section, re.DOTALL)
    )
    for lines in (up, then):
        for number, line in enumerate(lines):
            place = line.replace("~/try/", f"{folder}/").replace("~/Music", f"{folder}/Music")
            lines[number] = place.replace("sinnerman", "quodlibet")
    return up, then


@contextlib.contextmanager
def running(line: str, where: Path) -> Iterator[None]:
    """A node in a terminal of its own, once it says that it is ready."""
    node = subprocess.Popen(
        ["bash", "-c", f"exec {line} --no-lan --no-web"],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        cwd=where,
    )
    assert node.stdout is not None
    try:
        assert any(said.startswith("ready") for said in node.stdout), "it did not start"
        yield
    finally:
        node.send_signal(signal.SIGTERM)
        node.wait(60)
        node.stdout.close()


def follow_the_readme(where: Path, folder: Path) -> str:
    """Do what it says in `where`, a copy of the project. Returns what the third terminal showed."""
    up, then = commands(folder)
    songs = album.make(folder / "Music")
    env = {**os.environ, "NO_COLOR": "1"}
    with running(up[0], where), running(up[1], where):
        script = "set -e\n" + "\n".join(then)
        done = subprocess.run(
            ["bash", "-c", script],
            capture_output=True,
            text=True,
            timeout=110,
            cwd=where,
            env=env,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "got" / songs[-1].name).read_bytes() == songs[-1].read_bytes()
    return done.stdout


def test_the_commands_of_the_readme_do_what_it_shows(tmp_path: Path) -> None:
    where = tmp_path / "clone"
    (where / ".venv").mkdir(parents=True)
    (where / ".venv" / "bin").symlink_to(ROOT / ".venv" / "bin")
    shown = follow_the_readme(where, tmp_path)
    assert "you know ann (" in shown and "and you are connected" in shown
    assert "Music is shared with your friends and the members of your networks" in shown


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_from_a_fresh_clone_to_a_fetched_file(tmp_path: Path) -> None:
    git, make = shutil.which("git"), shutil.which("make")
    if git is None or make is None or not (ROOT / ".git").exists():
        pytest.skip("a fresh clone needs git, make, and a repository")
    began = time.monotonic()
    where = tmp_path / "servent"
    subprocess.run([git, "clone", "-q", str(ROOT), str(where)], check=True)
    done = subprocess.run([make, "install"], cwd=where, capture_output=True, text=True, check=False)
    if done.returncode and "pip failed" in done.stderr:
        pytest.skip("the package index cannot be reached from here")
    assert done.returncode == 0, done.stderr
    installed = time.monotonic()
    follow_the_readme(where, tmp_path)
    took = time.monotonic() - began
    print(
        f"clone and install {installed - began:.0f} s, then {took - (installed - began):.0f} s; the goal is three minutes on a quiet machine"
    )
