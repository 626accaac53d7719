"""The modes of a network in plain words, and the choice between them."""

from __future__ import annotations

from collections.abc import Callable

from nicegui.element import Element

from servent.api.schema import NetworkMode
from servent.web.parts import Words, icon, tag

MODES: tuple[NetworkMode, ...] = ("hybrid", "server", "p2p")
TITLES: dict[NetworkMode, str] = {
    "hybrid": "Hybrid",
    "server": "Server",
    "p2p": "Peer to peer",
}
MEANINGS: dict[NetworkMode, str] = {
    "hybrid": "Able peers are elected to keep the index for the others; where one leaves, another takes over. Right for "
    "most networks, of three people or of a million.",
    "server": "Peers that you name keep the index and answer every search, with two messages. While all of them are away, "
    "nobody finds anything.",
    "p2p": "Everybody keeps the index, and nobody stands above anybody. Small machines carry as much as all others.",
}


class ModeChoice:
    """Three buttons of which one is chosen. `changed` is called with the mode that was pressed.

    Attributes:
        value: what is chosen.
    """

    def __init__(
        self, value: NetworkMode, changed: Callable[[NetworkMode], None] = lambda mode: None
    ) -> None:
        self.value, self._changed = value, changed
        self._buttons: dict[NetworkMode, Element] = {}
        with tag("div", "modes", role="radiogroup", aria_label="How the network is organised"):
            for mode in MODES:
                self._buttons[mode] = self._one(mode)

    def _one(self, mode: NetworkMode) -> Element:
        chosen = mode == self.value
        with tag(
            "button",
            "mode-choice",
            type="button",
            role="radio",
            aria_checked="true" if chosen else "false",
            data_mode=mode,
        ) as made:
            icon(f"mode-{mode}")
            with tag("span", "mode-words"):
                Words(TITLES[mode], "strong")
                Words(MEANINGS[mode], "span", "why")

        def press() -> None:
            self.value = mode
            for each, button in self._buttons.items():
                button.props["aria-checked"] = "true" if each == mode else "false"
                button.update()
            self._changed(mode)

        made.on("click", press, [])
        return made
