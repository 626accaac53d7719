"""Computing, the owner's commands for generations: how far each chain is, and what molecules did, as a file that other programs read."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from servent.api import schema_chains as schema
from servent.cli.base import Session, command, print_json, say, table
from servent.cli.completing import complete_batches
from servent.cli.grid_group import grid
from servent.cli.grid_text import count, my_batch, share_of
from servent.cli.people import one_line
from servent.cli.progress import Progress
from servent.cli.text import many
from servent.errors import DiskTrouble, UsageError

if TYPE_CHECKING:
    from servent.api.client import Client

PIECE_BYTES = 2 << 20  # of frames in a request
_batch = click.argument("batch", required=False, metavar="[BATCH]", shell_complete=complete_batches)


@command("chains", "servent grid chains", "servent grid chains 3 --json", group=grid)
@_batch
def chains(session: Session, batch: str | None) -> None:
    """Show how far each chain of a batch with generations is, and who computes what comes next."""
    client = session.client()
    now = my_batch(client, batch)
    found: list[schema.Chain] = []
    while True:
        page = client.batch_chains(now.id, after=len(found), limit=500)
        found += page.chains
        if not page.more or not page.chains:
            break
    rows = [
        (
            str(one.number),
            one_line(one.input),
            f"{count(one.done)} of {count(now.generations)}",
            share_of(one.done + (one.fraction or 0.0), now.generations),
            one.state,
            one_line(one.why) or ", ".join(_who(one)),
        )
        for one in found
    ]
    headers = ("chain", "input", "generations", "", "next", "")
    session.show(found, lambda: table(headers, rows, empty="none", right=(0, 2, 3)))


def _who(chain: schema.Chain) -> list[str]:
    return [
        one_line(copy.peer_name) or copy.peer[:8]
        for copy in chain.copies
        if copy.peer and copy.state == "leased"
    ]


@command(
    "trajectory",
    "servent grid trajectory 3 --to film.xyz",
    "servent grid trajectory 3 --chain 1 --every 10 --to film.xyz",
    "servent grid trajectory 3 --energies > energies.tsv",
    group=grid,
)
@_batch
@click.option("--chain", type=click.IntRange(min=0), default=0, show_default=True, help="Which of them.")
@click.option(
    "--to", type=click.Path(dir_okay=False, path_type=Path), help="Write the frames there.  [default: stdout]"
)
@click.option(
    "--every", type=click.IntRange(min=1), default=1, show_default=True, help="Only each so many frames."
)
@click.option("--energies", is_flag=True, help="Only step, potential and kinetic energy, a line each.")
@click.option("--species", default="Ar", show_default=True, help="What the atoms are called in the file.")
def trajectory(
    session: Session, batch: str | None, chain: int, to: Path | None, every: int, energies: bool, species: str
) -> None:
    """Write what a chain of molecules did as extended XYZ, which OVITO, VMD and ASE read; lengths in sigma."""
    if not species.isalnum() or len(species) > 8:
        raise UsageError("a species is a short word", advice="As in: --species Ar")
    client = session.client()
    now = my_batch(client, batch)
    film = client.trajectory(now.id, chain)
    if session.json:
        print_json(film)
        return
    if energies:
        for step, potential, kinetic in film.energies:
            say(f"{step}\t{potential:.10g}\t{kinetic:.10g}")
        return
    if to is None:
        for text in _frames(client, now.id, film, every, species):
            sys.stdout.write(text)
        return
    try:
        with open(to, "w", encoding="ascii") as file:
            frames = _write(client, now.id, film, every, species, file)
    except OSError as wrong:
        raise DiskTrouble(f"cannot write {to}: {wrong.strerror}") from wrong
    session.show(
        {"frames": frames, "file": str(to)},
        lambda: say(f"{many(frames, 'frame')} of {many(film.atoms, 'atom')} in {one_line(str(to))}"),
    )


def _write(
    client: Client, batch: str, film: schema.Trajectory, every: int, species: str, file: TextIO
) -> int:
    whole = -(-sum(part.frames for part in film.parts) // every)
    frames = 0
    with Progress("frames") as progress:
        for text in _frames(client, batch, film, every, species):
            file.write(text)
            frames += 1
            progress.show(frames / max(1, whole), f"{count(frames)} of {count(whole)}")
    return frames


def _frames(client: Client, batch: str, film: schema.Trajectory, every: int, species: str) -> Iterator[str]:
    """Each frame as a text; each `every`th, counted over the whole film."""
    each = 16 + 6 * film.atoms
    at_once = max(1, PIECE_BYTES // each)
    scale, side = film.box / 65536, f"{film.box:.9g}"
    lattice = f'Lattice="{side} 0 0 0 {side} 0 0 0 {side}" Properties=species:S:1:pos:R:3 pbc="T T T"'
    skip = 0  # of the next part's frames
    for part in film.parts:
        for first in range(skip, part.frames, every * at_once):
            data = client.frames(batch, part.number, first=first, count=at_once, every=every)
            for place in range(len(data) // each):
                potential, kinetic = struct.unpack_from("<dd", data, place * each)
                at = struct.unpack_from(f"<{3 * film.atoms}H", data, place * each + 16)
                step = part.first + (first + place * every) * film.every
                lines = [str(film.atoms), f"{lattice} step={step} time={step * film.dt:.9g} potential={potential:.10g} kinetic={kinetic:.10g}"]  # fmt: skip
                lines += [
                    f"{species} {x * scale:.5f} {y * scale:.5f} {z * scale:.5f}"
                    for x, y, z in zip(at[::3], at[1::3], at[2::3], strict=True)
                ]
                yield "\n".join(lines) + "\n"
        skip = (skip - part.frames) % every
