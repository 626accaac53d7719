"""What docs/play.md shows is run as it stands there."""

from __future__ import annotations

import re
import runpy
from collections import deque
from pathlib import Path
from typing import Any

from servent.play.model import Settings
from servent.play.wire import MAX_PACKET, MAX_RUN

TEXT = (Path(__file__).parents[2] / "docs" / "play.md").read_text()
LOOP, LAB = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


class Wires:
    """Two transports that lose nothing."""

    def __init__(self) -> None:
        self.boxes: list[deque[tuple[int, bytes]]] = [deque(), deque()]


class Transport:
    def __init__(self, wires: Wires, me: int) -> None:
        self.wires, self.me = wires, me

    def arrived(self) -> list[tuple[int, bytes]]:
        found = list(self.wires.boxes[self.me])
        self.wires.boxes[self.me].clear()
        return found

    def send(self, player: int, data: bytes) -> None:
        self.wires.boxes[player].append((self.me, data))


def run(source: str, folder: Path) -> dict[str, Any]:
    path = folder / "shown.py"
    path.write_text(source)
    return runpy.run_path(str(path))


def test_the_loop_that_is_shown_plays(tmp_path: Path) -> None:
    names = run(LOOP, tmp_path)
    wires, now = Wires(), [0.0]

    def step(state: tuple[int, ...], inputs: tuple[bytes, ...]) -> tuple[int, ...]:
        return tuple(value + pressed[0] for value, pressed in zip(state, inputs, strict=True))

    both = [
        names["Match"](me, b"tag.", lambda: now[0], Transport(wires, me), (0, 0), step) for me in range(2)
    ]
    for one in both:
        one.session.begin(0.0)
    for frame in range(200):
        now[0] = max(one.session.next_tick() for one in both)
        for one in both:
            one.turn(bytes((frame % 3 if one.session.me else 1,)))
    assert all(one.session.frame > 190 for one in both)
    assert both[0].saved[120] == both[1].saved[120]
    assert all(one.session.view().seats[0].agreed >= 120 for one in both)


def test_the_match_that_is_shown_is_played(tmp_path: Path, capsys: Any) -> None:
    names = run(LAB, tmp_path)
    assert names["outcome"].fps > 58 and not names["outcome"].differ
    assert capsys.readouterr().out


def test_every_setting_and_limit_is_named_as_it_is() -> None:
    assert all(f"`{name}`" in TEXT for name in Settings.__struct_fields__)
    assert f"{MAX_PACKET:,} bytes" in TEXT and f"({MAX_RUN} at most)" in TEXT
