"""Tabs of a screen whose panels are drawn here. The element `sv-tabs` shows one of them at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from servent.web.parts import tag


def tabs(group: str, label: str, parts: Sequence[tuple[str, str, Callable[[], None]]]) -> None:
    """`parts`: key (which may stand in the address as `?tab=key`), word, and what draws the panel."""
    tag("sv-tabs", data_group=group, data_label=label)
    for key, word, draw in parts:
        with tag("section", "tab-panel", data_tabs=group, data_key=key, data_word=word):
            draw()
