"""The settings of config.toml as a form: what each means, what holds now, where that comes from, when a change counts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from nicegui import ui
from nicegui.element import Element

from servent.api.schema import Setting
from servent.errors import ServentError, UsageError
from servent.web.desk import Desk, clean
from servent.web.parts import Answer, Button, Words, card, prose, tag

Value = str | int | float | bool | list[str] | None

TITLES = {
    "node": "Name and downloads",
    "web": "The page",
    "net": "How peers are found and reached",
    "relay": "Being a relay for others",
    "blobs": "Moving files",
    "api": "The local API",
    "torrent": "The BitTorrent door",
}
SOURCES = {
    "default": "",
    "file": "set in config.toml",
    "environment": "set by the environment, which wins over config.toml",
    "flag": "set on the command line of this run, which wins over config.toml",
}
# What the sections' descriptions say of several settings in one breath.
MEANINGS = {
    "node.name": "What others see. Empty: your login name.",
    "node.download_dir": "Where what you get is put. Empty: servent in your downloads.",
    "roles.index": "Keep the index of a network for others: auto, on or off.",
    "roles.relay": "Introduce peers behind routers to each other, and carry their encrypted packets: on or off.",
    "roles.observer": "Tell peers where they are seen, and dial back those who want to know: on or off.",
    "roles.store": "Not carried by this version.",
    "roles.compute": "Not carried by this version.",
    "relay.hosts": "Addresses of this machine to listen on, separated by commas.",
    "relay.port": "The port to listen on.",
    "relay.public_url": "As others write it: https://name:port",
    "relay.open_to": "`everyone`, or `known` for only those who are let in here.",
    "web.port": "0 for any free one, and then the same one again.",
    "torrent.proxy_port": "The port of the proxy.",
    "torrent.proxy_password_file": "A file whose first line is the password for the proxy.",
    "torrent.seed_ratio": "Seed what was fetched until that much of it was given back; 0 for no limit.",
}
# What has a control of its own beside this form, in force at once.
ELSEWHERE = {
    "blobs.up_bytes_per_s",
    "blobs.down_bytes_per_s",
    "blobs.per_peer_up_bytes_per_s",
    "blobs.per_peer_down_bytes_per_s",
    "blobs.upload_slots",
    "blobs.polite",
    "blobs.target_ms",
}
# Names where the key alone says too little.
NAMES = {
    "node.name": "Your name for others",
    "node.download_dir": "Folder for downloads",
    "node.wizard": "Begin with the first steps",
    "net.lan": "Find peers on the local network",
    "net.bind": "Listen on",
    "net.connect_timeout": "Seconds to look for a path",
    "roles.relay": "Carry packets for others",
    "roles.index": "Keep the index for others",
    "relay.open_to": "Open to",
    "relay.public_url": "Address that others reach it at",
    "blobs.bulk": "Use plain TCP where it reaches",
    "blobs.bulk_port": "Port of the TCP lane",
    "web.enabled": "Start the page with the node",
    "web.port": "Port of the page",
    "api.port": "Port of the local API",
}


def title_of(key: str) -> str:
    """A setting's name for people."""
    words = key.partition(".")[2].replace("_", " ")
    return NAMES.get(key, words[:1].upper() + words[1:])


def meaning(setting: Setting) -> str:
    """What is said of this one setting in the description of its section; "" when it is not named there."""
    if said := MEANINGS.get(setting.key):
        return said
    name = setting.key.partition(".")[2]
    text = " ".join(setting.help.split())
    found = re.search(rf"`{name}`:? (.+?)(?=(?:[.;,]? `\w+`(?:, `\w+`)*: )|$)", text)
    if found is None:
        return ""
    said = found[1].strip(" ;,.")
    return f"{said[:1].upper()}{said[1:]}."


def read(kind: Value, text: Any) -> Value:
    """What a field holds, in the type of the setting. `kind`: a value of that type.

    Raises:
        UsageError: no number where one is needed.
    """
    if isinstance(kind, bool):
        return bool(text)
    if isinstance(kind, list):
        return [part.strip() for part in str(text or "").replace("\n", ",").split(",") if part.strip()]
    if isinstance(kind, int | float):
        try:
            number = float(str(text).strip())
        except ValueError:
            raise UsageError(f"{clean(text)} is no number", advice="Write digits, like 15 or 0.5.") from None
        return number if isinstance(kind, float) else round(number)
    return str(text or "").strip()


def draw_section(desk: Desk, sections: Sequence[str]) -> None:
    """Cards for these sections of the file, filled when the node has answered."""
    room = tag("div", "settings")
    answer = Answer()

    async def refresh() -> None:
        try:
            config = await desk.ask(desk.client.config)
            status = await desk.ask(desk.client.status)
        except ServentError as error:
            answer.problem(error)
            return
        if room.is_deleted:
            return
        room.clear()
        with room:
            for section in sections:
                found = [
                    one
                    for one in config.settings
                    if one.key.partition(".")[0] == section and one.key not in ELSEWHERE
                ]
                if found:
                    _section(
                        desk,
                        section,
                        found,
                        {"node.name": status.name, "node.download_dir": status.download_dir},
                    )

    ui.timer(0.0, refresh, once=True)


def _section(desk: Desk, section: str, settings: list[Setting], hints: dict[str, str]) -> None:
    with card(TITLES.get(section, section)):
        fields: dict[str, tuple[Setting, Any, Element]] = {}
        for setting in settings:
            fields[setting.key] = _line(setting, hints.get(setting.key, ""))
        answer = Answer()

        async def save() -> None:
            answer.nothing()
            try:
                changed = {
                    key: wanted
                    for key, (setting, entry, _) in fields.items()
                    if (wanted := read(_kind(setting), entry.value)) != setting.value
                }
                if not changed:
                    answer.good("Nothing was changed.")
                    return
                config = await desk.ask(desk.client.change_config, changed)
            except ServentError as error:
                answer.problem(error)
                return
            now = {one.key: one for one in config.settings}
            for key in changed:
                _, entry, note = fields[key]
                fields[key] = (now[key], entry, note)
                _say(note, now[key])
            later = [title_of(key) for key in changed if now[key].restart]
            words = f"{', '.join(title_of(key) for key in changed)}: saved."
            answer.good(
                words
                + (" In force at once." if not later else f" In force at the next start: {', '.join(later)}.")
            )

        with tag("div", "form-foot"):
            Button("Save", save, kind="main", doing="Saving…").classes("small-button")
            if all(setting.restart for setting in settings):
                Words("Changes take effect at the next start of the node.", "span", "note")


def _kind(setting: Setting) -> Value:
    return setting.default if setting.default is not None else setting.value


def _line(setting: Setting, hint: str) -> tuple[Setting, Any, Element]:
    kind, name = _kind(setting), title_of(setting.key)
    entry: Any
    with tag("div", "setting"):
        with tag("div", "setting-words"):
            Words(name, "span", "setting-name")
            if said := meaning(setting):
                prose(said, "note")
            note = tag("p", "setting-facts")
            _say(note, setting)
        with tag("div", "setting-field"):
            if isinstance(kind, bool):
                entry = ui.switch(value=bool(setting.value))
            else:
                text = ", ".join(setting.value) if isinstance(setting.value, list) else setting.value
                entry = ui.input(value="" if text is None else str(text))
                entry.props("outlined dense")
                usual = ", ".join(kind) if isinstance(kind, list) else "" if kind is None else str(kind)
                if hint or usual:
                    entry.props["placeholder"] = hint or usual
            entry.props["aria-label"] = name
    return setting, entry, note


def _say(note: Element, setting: Setting) -> None:
    note.clear()
    with note:
        Words(setting.key, "code")
        if source := SOURCES.get(setting.source, setting.source):
            Words(source, "span")
        if setting.default not in (None, "", []) and setting.value != setting.default:
            usual = ", ".join(setting.default) if isinstance(setting.default, list) else setting.default
            Words(f"usually {usual}", "span")
