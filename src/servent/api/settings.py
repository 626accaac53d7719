"""config.toml as the API shows it: every key with its value, default and meaning; changed all or none."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from servent import config as configuration
from servent.api import schema
from servent.errors import NotFound

Value = str | int | float | bool | list[str] | None


def view(data_dir: Path) -> schema.Config:
    """Raises UsageError when the file does not fit, naming it and the key."""
    path = data_dir / configuration.FILE_NAME
    current = dict(configuration.walk(configuration.load(data_dir)))
    defaults = dict(configuration.walk(configuration.Config()))
    given = _keys_in(path)
    meanings = configuration.meanings()
    return schema.Config(
        path=str(path),
        settings=[
            schema.Setting(
                key=key,
                value=value,
                default=defaults[key],
                source="file" if key in given else "default",
                help=meanings.get(key.partition(".")[0], ""),
            )
            for key, value in current.items()
        ],
    )


def change(data_dir: Path, values: Mapping[str, Value]) -> schema.Config:
    """Write several settings at once; None returns one to its default. Comments in the file stay.

    Raises:
        NotFound: no such key. UsageError: a value does not fit. Nothing is written then.
    """
    import tomlkit

    known = dict(configuration.walk(configuration.Config()))
    path = data_dir / configuration.FILE_NAME
    configuration.load(data_dir)  # a file that is broken already is reported, not overwritten
    document = tomlkit.parse(path.read_text("utf-8")) if path.exists() else tomlkit.document()
    for key, value in values.items():
        if key not in known:
            raise _unknown(key)
        section, _, name = key.partition(".")
        if value is None:
            if section in document and name in _table(document, section):
                del _table(document, section)[name]
            continue
        for old, new in configuration.RENAMED.items():
            place, _, word = old.partition(".")
            if new == key and place in document and word in _table(document, place):
                del _table(document, place)[word]
        if section not in document:
            document[section] = tomlkit.table()
        _table(document, section)[name] = value
    configuration.parse(
        document.unwrap(), ", ".join(f"{key} = {value}" for key, value in values.items())[:200]
    )
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(".new")
    fresh.write_text(tomlkit.dumps(document), "utf-8")
    fresh.replace(path)
    return view(data_dir)


def parse_value(key: str, text: str) -> Value:
    """What a person typed for `key`, as its type wants it: `false`, `42`, `a,b` for a list, bare words.

    Raises:
        NotFound: no such key.
    """
    known = dict(configuration.walk(configuration.Config()))
    if key not in known:
        raise _unknown(key)
    default = known[key]
    if isinstance(default, str):
        return text
    try:
        value: Any = tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        value = text
    if isinstance(default, list) and isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(default, bool) and isinstance(value, str):
        return {"on": True, "yes": True, "off": False, "no": False}.get(value.lower(), value)
    if isinstance(value, str | int | float | bool | list):
        return value
    return text


def _unknown(key: str) -> NotFound:
    now = configuration.RENAMED.get(key)
    advice = f"It is {now} now." if now else "`servent config get` lists them all."
    return NotFound(f"no setting is called {key!r}", advice=advice)


def _table(document: Any, section: str) -> Any:
    return document[section]


def _keys_in(path: Path) -> set[str]:
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return set()
    return {f"{section}.{name}" for section, part in tables.items() for name in part}
