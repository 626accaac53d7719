"""Computing, for who writes apps: from C to a module, and a module tried in the sandbox as volunteers would run it."""

from __future__ import annotations

import sys
from base64 import b64decode
from pathlib import Path

import click

from servent.api import schema_grid as schema
from servent.cli.asking import parse_size
from servent.cli.base import Session, command, hint, say
from servent.cli.grid_group import grid
from servent.cli.grid_projects import guess_abi
from servent.cli.grid_text import as_file
from servent.cli.people import one_line
from servent.cli.text import many, parse_duration, size
from servent.errors import UsageError

DONE, WENT_WRONG = 0, 1


@command(
    "try",
    "servent grid try sieve.wasm --input numbers.txt",
    "echo 100 | servent grid try sieve.wasm --input -",
    "servent grid try fold.wasm --abi slice --time 5m --memory 512MiB",
    group=grid,
)
@click.argument("module", type=click.Path(path_type=Path))
@click.option(
    "--abi", type=click.Choice(("command", "slice")), help="How it is run.  [default: by what it exports]"
)
@click.option("--input", "given", metavar="FILE", help="What it reads on stdin; - is ours.")
@click.option("--arg", "args", multiple=True, help="An argument; may be repeated.")
@click.option("--time", "lasting", default="1m", show_default=True, help="It may take.")
@click.option("--memory", default="256MiB", show_default=True, metavar="SIZE", help="It may have.")
def try_(
    session: Session,
    module: Path,
    abi: schema.Abi | None,
    given: str | None,
    args: tuple[str, ...],
    lasting: str,
    memory: str,
) -> int:
    """Check a module as a volunteer would, and run it once in the sandbox of this machine. Its output goes to stdout.

    Exit code 1: the sandbox ended it, and says why.
    """
    seconds = parse_duration(lasting)
    if seconds is None or seconds > 86400:
        raise UsageError("a trial takes a day at most", advice="Give `--time 10m`.")
    client = session.client()

    def ask(path: str) -> schema.TryOut:
        return client.try_module(
            schema.BuildRequest(
                module=str(module.resolve()),
                abi=abi or guess_abi(module),
                args=list(args),
                input=path,
                seconds=seconds,
                memory_bytes=parse_size(memory),
            )
        )

    if given is None:
        made = ask("")
    else:
        with as_file(given) as path:
            made = ask(path)

    def people() -> None:
        if made.output:
            if made.base64:
                sys.stdout.buffer.write(b64decode(made.output))
                sys.stdout.buffer.flush()
            else:
                say(made.output.removesuffix("\n"))
        words = f"{made.outcome}: {one_line(made.words)}" if made.words else made.outcome
        slices = f", {many(made.slices, 'slice')}" if made.slices else ""
        hint(
            f"{words}; {made.seconds:.3f} s, {size(made.memory_bytes)} of memory{slices}, {size(made.size_bytes)} of output"
        )
        if made.digest:
            hint(f"sha256 {made.digest}")

    session.show(made, people)
    return DONE if made.outcome == "done" else WENT_WRONG
