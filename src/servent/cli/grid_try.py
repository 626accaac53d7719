"""Computing, for who writes apps: from C or Python to a module, and a module tried in the sandbox as volunteers would run it."""

from __future__ import annotations

import sys
from base64 import b64decode
from pathlib import Path

import click

from servent.api import schema_grid as schema
from servent.api import schema_wasm as wasm
from servent.cli.asking import parse_size
from servent.cli.base import Session, command, hint, say
from servent.cli.grid_group import grid
from servent.cli.grid_projects import guess_abi
from servent.cli.grid_text import as_file, piped
from servent.cli.people import one_line
from servent.cli.text import many, parse_duration, size
from servent.errors import UsageError

DONE, WENT_WRONG = 0, 1


@command(
    "build",
    "servent grid build examples/grid/words.c",
    "servent grid build fold.c forces.c -o fold.wasm --flag -DSTEPS=1000",
    "servent grid build examples/grid/percolation.py",
    group=grid,
)
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="The module.  [default: the first source's name, here]",
)
@click.option(
    "--abi",
    type=click.Choice(("command", "slice", "python")),
    help="[default: slice where servent.h is included, python for a .py]",
)
@click.option("--flag", "flags", multiple=True, help="For the compiler, such as -DN=5; may be repeated.")
@click.option("--function", default="", metavar="NAME", help="Of a Python file with several apps.")
@click.option("--force", is_flag=True, help="Write over what is there and is no module.")
def build(
    session: Session,
    sources: tuple[Path, ...],
    out: Path | None,
    abi: schema.Abi | None,
    flags: tuple[str, ...],
    function: str,
    force: bool,
) -> None:
    """Compile C or C++ to a module for volunteers, or pack a Python function (see `servent.grid.app`) with all that it imports. No node need run.

    C needs a compiler, which the extra `apps` brings; Python the extra `python-apps`.
    """
    from servent.api import wasm_build

    target = out or Path(sources[0].stem + ".wasm")
    if target.is_dir():
        target /= sources[0].stem + ".wasm"
    if target.is_file() and not force and target.read_bytes()[:4] not in (b"\0asm", b""):
        raise UsageError(f"{target} is there, and is no module", advice="`--force` writes over it.")
    made = wasm_build.build(sources, target, abi, flags, function=function)
    size_bytes = made.stat().st_size
    what = {"module": str(made), "abi": guess_abi(made), "size_bytes": size_bytes}

    def people() -> None:
        say(one_line(str(made)))
        hint(f"{what['abi']}, {size(size_bytes)}; `servent grid try {one_line(str(made))}` runs it here")

    session.show(what, people, [str(made)])


@command(
    "try",
    "servent grid try sieve.wasm --input numbers.txt",
    "echo 100 | servent grid try sieve.wasm",
    "servent grid try fold.wasm --abi slice --time 5m --memory 512MiB",
    group=grid,
)
@click.argument("module", type=click.Path(path_type=Path))
@click.option(
    "--abi",
    type=click.Choice(("command", "slice", "python")),
    help="How it is run.  [default: by what it exports]",
)
@click.option(
    "--input",
    "given",
    metavar="FILE",
    help="What it reads.  [default: our stdin, where something is piped in]",
)
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

    def ask(path: str) -> wasm.TryOut:
        return client.try_module(
            wasm.BuildRequest(
                module=str(module.resolve()),
                abi=abi or guess_abi(module),
                args=list(args),
                input=path,
                seconds=seconds,
                memory_bytes=parse_size(memory),
            )
        )

    if given is None and piped():
        given = "-"
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
        memory_used = (
            f", {size(made.memory_bytes)} of memory" if made.memory_bytes else ""
        )  # Python says none
        slices = f", {many(made.slices, 'slice')}" if made.slices else ""
        hint(f"{words}; {made.seconds:.3f} s{memory_used}{slices}, {size(made.size_bytes)} of output")
        if made.digest:
            hint(f"sha256 {made.digest}")
        if (shown := _bytes(made)) < made.size_bytes:
            hint(f"Only the first {size(shown)} of the output are shown: a unit of a project gives all.")

    session.show(made, people)
    return DONE if made.outcome == "done" else WENT_WRONG


def _bytes(made: wasm.TryOut) -> int:
    """Of the output that came with it."""
    return len(b64decode(made.output)) if made.base64 else len(made.output.encode())
