"""What holds for all tests at the door."""

from __future__ import annotations

from typing import Any

import pytest

from servent.torrent import session

EAGER = {"min_reconnect_time": 1, "max_failcount": 1000}  # s; libtorrent's own are a minute and more, and 3


def make_eager(patch: pytest.MonkeyPatch) -> None:
    """A peer that could not be reached is tried again at once, in this process.

    On a busy machine a first connection may come to nothing for good reasons (a handshake that took longer than 10 s, a
    seeder that is not ready), and libtorrent lets two minutes pass then (measured), which no test wants to wait for.
    """
    plain = session.packed

    def packed(*known: Any) -> dict[str, Any]:
        return plain(*known) | EAGER

    patch.setattr(session, "packed", packed)


@pytest.fixture(autouse=True)
def _eager(monkeypatch: pytest.MonkeyPatch) -> None:
    make_eager(monkeypatch)
