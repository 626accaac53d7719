"""Settings in config.toml, and tokens for other programs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, get_args

import click

from servent.api import schema
from servent.cli.base import Session, command, group, hint, say, table
from servent.errors import NotFound, UsageError

if TYPE_CHECKING:
    from pathlib import Path


@group("config", "servent config get", "servent config set net.lan false")
def config() -> None:
    """Read and change settings."""


def _running(session: Session) -> bool:
    from servent.api.client import NodeDown, read_api_file

    try:
        read_api_file(session.folder)
    except NodeDown:
        return False
    return True


@command("get", "servent config get", "servent config get net.relays", group=config)
@click.argument("key", required=False)
def get(session: Session, key: str | None) -> None:
    """Print one setting, or all with their meanings."""
    from servent.api import settings

    known = settings.view(session.folder)
    if key is None:
        rows = [(s.key, _shown(s.value), "set" if s.source == "file" else "default") for s in known.settings]
        session.show(known, lambda: table(("setting", "value", "is"), rows, empty="none"))
        if not session.json:
            hint("docs/settings.md says what each means; `servent config set KEY VALUE` changes one.")
        return
    found = next((setting for setting in known.settings if setting.key == key), None)
    if found is None:
        raise NotFound(f"no setting is called {key!r}", advice="`servent config get` lists them all.")
    session.show(found, lambda: say(_shown(found.value)))


@command(
    "set",
    "servent config set node.name attic",
    "servent config set net.relays https://a.example,https://b.example",
    "servent config set net.lan --default",
    group=config,
)
@click.argument("key")
@click.argument("value", required=False)
@click.option("--default", "unset", is_flag=True, help="Return it to its default.")
def set_(session: Session, key: str, value: str | None, unset: bool) -> None:
    """Change one setting."""
    from servent.api import settings

    if (value is None) != unset:
        raise UsageError("give a value, or --default", advice=f"`servent config get {key}` shows it.")
    wanted = None if value is None else settings.parse_value(key, value)
    changed = settings.change(session.folder, {key: wanted})
    now = next(setting for setting in changed.settings if setting.key == key)
    session.show(now, lambda: say(f"{key} = {_shown(now.value)}"))
    if _running(session):
        hint("It takes effect when the node starts again.")


@command("edit", "servent config edit", "EDITOR=nano servent config edit", group=config)
def edit(session: Session) -> None:
    """Open config.toml in your editor; it is checked before it is kept."""
    from servent import config as configuration
    from servent.api import settings

    path = session.folder / configuration.FILE_NAME
    before = path.read_text("utf-8") if path.exists() else ""
    after = click.edit(before or "# See `servent config get` for what can be set.\n", extension=".toml")
    if after is None or after == before:
        session.show({"changed": False}, lambda: say("nothing changed"))
        return
    import tomllib

    try:
        configuration.parse(tomllib.loads(after), "what you wrote")
    except tomllib.TOMLDecodeError as wrong:
        raise UsageError(f"not kept: {wrong}", advice="`servent config edit` again.") from wrong
    _write(path, after)
    session.show(settings.view(session.folder), lambda: say(f"{path} is changed"))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(".new")
    fresh.write_text(text, "utf-8")
    fresh.replace(path)


@command("path", "servent config path", group=config)
def path(session: Session) -> None:
    """Print where config.toml is."""
    from servent import config as configuration

    found = session.folder / configuration.FILE_NAME
    session.show({"path": str(found)}, lambda: say(str(found)))


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(part) for part in value)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


@group("token", "servent token add --scope read --name grafana", "servent token ls")
def token() -> None:
    """Tokens for scripts and other programs."""


@command(
    "add",
    "servent token add --scope read --name grafana",
    "TOKEN=$(servent token add --scope control --name backup)",
    group=token,
)
@click.option("--name", required=True, help="What uses it.")
@click.option(
    "--scope",
    type=click.Choice(get_args(schema.Scope)),
    default="read",
    show_default=True,
    help="read looks, control also moves things and so reaches your files, admin may do everything.",
)
def add(session: Session, name: str, scope: schema.Scope) -> None:
    """Make a token; it is shown once."""
    made = session.client().add_token(name, scope)
    session.show(made, lambda: say(made.token))
    if not session.json:
        hint("It is not shown again. Send it as `Authorization: Bearer TOKEN`.")


@command("ls", "servent token ls", group=token, quiet=True)
def ls(session: Session) -> None:
    """List named tokens, without their secrets."""
    known = session.client().tokens()
    rows = [(entry.name, entry.scope) for entry in known]
    session.show(known, lambda: table(("name", "may"), rows, empty="none"), [entry.name for entry in known])


@command("revoke", "servent token revoke grafana", group=token)
@click.argument("name")
def revoke(session: Session, name: str) -> None:
    """A token stops working at once."""
    session.client().remove_token(name)
    session.show({"revoked": name}, lambda: say(f"{name} works no more"))


@command("rotate", "servent token rotate", group=token)
def rotate(session: Session) -> None:
    """Make a new admin token; all sessions of the page end."""
    session.client().rotate_token()
    session.show(
        {"rotated": True}, lambda: say("a new token is in api.token; log in again with `servent open`")
    )


@command("path", "servent token path", 'curl -H "X-API-Key: $(cat $(servent token path))" …', group=token)
def token_path(session: Session) -> None:
    """Print where the admin token is; only you can read it."""
    from servent.api.client import TOKEN_FILE

    found = os.fspath(session.folder / TOKEN_FILE)
    session.show({"path": found}, lambda: say(found))
