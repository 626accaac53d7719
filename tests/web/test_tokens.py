"""Every colour that carries text can be read, in both themes."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

TOKENS = files("servent.web").joinpath("static/tokens.css").read_text("utf-8")
LEAST = 4.5  # WCAG 2.2, 1.4.3: contrast of normal text


def theme(selector: str) -> dict[str, str]:
    block = TOKENS.split(selector + " {", 1)[1].split("}", 1)[0]
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))


LIGHT = theme(":root")
DARK = theme(':root[data-theme="dark"]')


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_both_themes_name_the_same_colours() -> None:
    assert set(LIGHT) == set(DARK) and len(LIGHT) >= 14


@pytest.mark.parametrize("name", ["light", "dark"])
@pytest.mark.parametrize("ground", ["bg", "surface", "raised"])
@pytest.mark.parametrize("ink", ["text", "muted", "accent", "direct", "relayed", "waiting", "failed"])
def test_text_stands_out_from_its_ground(name: str, ground: str, ink: str) -> None:
    colours = LIGHT if name == "light" else DARK
    assert contrast(colours[ink], colours[ground]) >= LEAST


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_text_on_buttons_and_badges_stands_out(colours: dict[str, str]) -> None:
    assert contrast(colours["on-accent"], colours["accent"]) >= LEAST
    assert contrast(colours["text"], colours["track"]) >= LEAST
    assert contrast(colours["bg"], colours["text"]) >= LEAST
