"""Two real nodes meet in a room, by the command lines that people type."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.running import client
from tests.cli.test_real import data, run, up
from tests.cli.test_real_sharing import until
from tests.cli.test_real_talk import texts

pytestmark = [pytest.mark.real]


def test_a_room_is_found_entered_talked_in_and_kept_in_order(tmp_path: Path) -> None:
    ann, bob = tmp_path / "ann", tmp_path / "bob"
    with up(ann, "--name", "ann"), up(bob, "--name", "bob"):
        run(ann, "network", "new", "club")
        run(bob, "join", run(ann, "invite", "club").strip())
        run(ann, "room", "new", "workshop", "--topic", "tools")
        run(ann, "room", "say", "workshop", "who has the drill?")
        until(lambda: [one for one in client(bob).rooms() if one.name == "workshop"])
        run(bob, "room", "join", "workshop")
        until(lambda: texts(bob, "#workshop") == ["who has the drill?"])
        run(bob, "room", "say", "workshop", "I have it, Ann", "--wait", "20")
        until(lambda: "I have it, Ann" in texts(ann, "#workshop"))
        run(ann, "room", "mute", "workshop", "bob", "--for", "1h", "--reason", "loud")
        until(lambda: any(one.muted_until for one in client(bob).rooms()))
        run(bob, "room", "say", "workshop", "but", code=2)
        assert len(data(bob, "chat", "search", "drill", "--in", "workshop")) == 1
