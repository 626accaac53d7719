"""What docs/games.md shows works as it stands there, and its tables name what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from servent.play.bundled.go import Go
from servent.play.bundled.lightcycles import Lightcycles
from servent.play.checking import check
from servent.play.games import Game

PAGE = (Path(__file__).parents[2] / "docs" / "games.md").read_text()


def shown() -> tuple[str, Game]:
    (source,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {"__name__": "coins"}
    exec(compile(source, "coins.py", "exec"), names)  # noqa: S102
    game = names["Coins"]()
    assert isinstance(game, Game)
    return source, game


def test_the_game_that_is_shown_passes_the_check() -> None:
    source, game = shown()
    report = check(game, 3, frames=300, source=source)
    assert report.good and report.hazards == () and report.frames == 300


def test_the_game_that_is_shown_can_be_won() -> None:
    _, game = shown()
    state = game.start(2, 1, game.chosen(2, {"coins": 3}))
    for _ in range(2000):
        (x, y), (coin_x, coin_y) = state["at"][0], state["coin"]
        held = (x < coin_x - 5) << 1 | (x > coin_x + 5) | (y < coin_y - 5) << 3 | (y > coin_y + 5) << 2
        state = game.step(state, [bytes((held,)), b"\0"])
    result = game.result(state)
    assert result and result.scores[0] >= 2 and result.words == f"{max(result.scores)} coins won"


def test_every_attribute_of_a_game_and_every_game_that_comes_along_is_named() -> None:
    for name in (
        *(name for name in Game.__annotations__),
        "bot",
        "turn",
        "refusal",
        "tap",
        "draw",
        "step",
        "result",
    ):
        assert f"`{name}" in PAGE, name
    for game in (Lightcycles(), Go()):
        assert f"**{game.id}**" in PAGE
