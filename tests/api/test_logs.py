"""The node's log, which people read on terminals."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from servent.api.events import Bus
from servent.api.logs import LOG_FILE, Logs


def test_what_others_say_is_logged_without_what_a_terminal_obeys(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    evil = "\x1b]0;mine\x07\x1b[2J\r\x9b31m\u202etxt.exe\ud800"

    async def story() -> None:
        logs = Logs(tmp_path, Bus(0), asyncio.get_running_loop())
        try:
            try:
                raise ValueError(evil)
            except ValueError:
                logging.getLogger("servent.cluster").exception("the scheduler of lab: %s", evil)
        finally:
            logs.close()

    asyncio.run(story())
    for said in ((tmp_path / LOG_FILE).read_text(), capfd.readouterr().err):
        lines = said.splitlines()
        assert len(lines) > 3 and "the scheduler of lab: " in lines[0] and "]0;mine" in lines[0]
        assert all(line.isprintable() for line in lines), "a traceback stays one"
