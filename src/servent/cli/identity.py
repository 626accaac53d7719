"""Who this node is; its key's backup."""

from __future__ import annotations

from pathlib import Path

import click

from servent.cli.base import Session, command, group, hint, json_option, pass_session, say, secret
from servent.errors import NotFound, WorldError


@group("id", "servent id", "servent id --full", "servent id backup my-key.txt", invoke_without_command=True)
@click.option("--qr", is_flag=True, help="Show the QR code also when the output is no terminal.")
@click.option("--full", is_flag=True, help="Print only the full id.")
@json_option
@pass_session
@click.pass_context
def identity(ctx: click.Context, session: Session, qr: bool, full: bool) -> None:
    """Who this node is; back its key up, or restore it."""
    if ctx.invoked_subcommand is not None:
        return
    me = session.client().id()

    def people() -> None:
        import sys

        if full:
            say(me.id)
            return
        say(f"name   {me.name}\nshort  {me.short_id}\nfull   {me.id}")
        if qr or sys.stdout.isatty():
            say(me.qr_text.rstrip("\n"))

    session.show(me, people)


@command(
    "backup",
    "servent id backup my-key.txt",
    "SERVENT_PASSPHRASE=… servent id backup my-key.txt",
    group=identity,
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--passphrase-stdin", is_flag=True, help="Read the passphrase from stdin.")
def backup(session: Session, file: Path, passphrase_stdin: bool) -> None:
    """Write the node's key to FILE, sealed with a passphrase."""
    client = session.client()
    passphrase = _passphrase(passphrase_stdin, confirm=True)
    text = client.backup_id(passphrase).backup
    try:
        with file.open("x", encoding="utf-8") as out:
            file.chmod(0o600)
            out.write(text)
    except OSError as wrong:
        raise WorldError(
            f"{file}: {wrong.strerror}", advice="Name a file that does not exist yet."
        ) from wrong
    session.show({"file": str(file)}, lambda: say(f"written to {file}"))
    hint("Whoever has this file and the passphrase can be you. Keep both, apart from each other.")


@command(
    "restore",
    "servent id restore my-key.txt",
    "servent --data-dir ~/new id restore my-key.txt",
    group=identity,
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--passphrase-stdin", is_flag=True, help="Read the passphrase from stdin.")
@click.option(
    "--replace", is_flag=True, help="Put it in the place of the key that is there; that one is kept aside."
)
def restore(session: Session, file: Path, passphrase_stdin: bool, replace: bool) -> None:
    """Make this machine's node the one in FILE. The node must not be running."""
    from servent.api.keyring import restore_identity

    try:
        blob = file.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"there is no {file}") from None
    except OSError as wrong:
        raise WorldError(f"{file}: {wrong.strerror}") from wrong
    me = restore_identity(session.folder, blob, _passphrase(passphrase_stdin, confirm=False), replace=replace)
    session.show({"id": me}, lambda: say(f"this node is {me} from its next start on"))


def _passphrase(from_stdin: bool, *, confirm: bool) -> str:
    return secret(
        "-" if from_stdin else None,
        "SERVENT_PASSPHRASE",
        "Passphrase",
        what="the passphrase",
        confirm=confirm,
    )
