"""What docs/apps.md shows is run, and what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from servent.api.client import Client
from servent.node import Node
from servent.share.service import Share
from tests.api.running import ROOT, fake_daemon

PAGE = (ROOT / "docs" / "apps.md").read_text("utf-8")


def test_the_client_example_finds_and_fetches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = next(
        block
        for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
        if "Client.from_data_dir" in block
    )
    monkeypatch.setenv("SERVENT_DATA_DIR", str(tmp_path))
    with fake_daemon(tmp_path):
        exec(compile(example.replace("nina simone", "river"), "apps.md", "exec"), {})  # noqa: S102 - our own page
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) > 1 and shown[-1] in ("active", "queued", "complete", "connecting")


def test_what_the_table_names_exists() -> None:
    rows = [line.split("|")[2:4] for line in PAGE.splitlines() if line.startswith("| ") and "`" in line][1:]
    assert len(rows) >= 6
    inside, beside = (
        {name for row in rows for name in re.findall(r"`([a-z_.]+)`", row[at])} for at in (0, 1)
    )
    source = Path(str(Share.__init__.__code__.co_filename)).read_text()
    for name in inside - {"on_change"}:
        part = name.removeprefix("node.").split(".")[-1]
        known = hasattr(Node, part) or re.search(rf"\bself\.{part}\b", source) or part in dir_of_parts()
        assert known, f"node has no {name}"
    for name in beside:
        assert hasattr(Client, name), f"the client has no {name}"


def dir_of_parts() -> set[str]:
    from servent.blobs.service import Blobs
    from servent.overlay.service import Overlay
    from servent.share.getting_service import Getting

    return {*dir(Blobs), *dir(Getting), *dir(Overlay), "blobs", "overlay"}
