"""`bench.peer`, whose BitTorrent door tries a peer again at once: what `conftest` says of tests, in a process of its own."""

from __future__ import annotations

import runpy

import pytest

from tests.torrent.conftest import make_eager

if __name__ == "__main__":
    make_eager(pytest.MonkeyPatch())
    runpy.run_module("bench.peer", run_name="__main__", alter_sys=True)
