"""Searching recordings for signals with the app `listen`: units made here, computed by volunteers, and what was found in them."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from servent.api import schema_grid as schema
from servent.cli.asking import on_this_machine
from servent.cli.base import Session, command, group, hint, say, table
from servent.cli.completing import complete_batches
from servent.cli.grid_text import count, flops, my_batch, my_project, project_option
from servent.cli.people import one_line
from servent.cli.text import duration, many
from servent.errors import BadMessage, DiskTrouble, UsageError
from servent.listen.recordings import Form
from servent.listen.signals import KINDS, Kind

if TYPE_CHECKING:
    from servent.api import schema_sky
    from servent.api.client import Client
    from servent.listen.plan import Search

APP = "listen"
PARTS = 120  # of a whole unit: ten seconds of a core each
MOST_UNITS = 1000  # of one recording
SECONDS = 3600.0  # of a core; a part of a whole unit has ten on an ordinary one
ENDING = ".unit"
TITLE = 100  # characters, as the node takes them


@group(
    "listen",
    "servent listen make sky/ --signal spike --signal gaussian",
    "servent listen split recording.cu8 sky/ --rate 2.4M --centre 1420.4M",
    "servent listen submit sky/ --watch",
    "servent listen sky",
)
def listen() -> None:
    """Search what a radio telescope recorded for signals: tones that drift, that come and go with the beam, pulses, triplets.

    A unit is 2^20 samples, 107 s where 9,766 are taken a second; it is searched in parts, by whoever lends a machine to your project.
    """


def _size_options(function: Any) -> Any:
    for option in (
        click.option("--parts", type=click.IntRange(1, 10_000), default=PARTS, show_default=True, help="Of each unit, of equal work."),
        click.option("--take", type=click.IntRange(1), metavar="N", help="Write N parts only, those of the slowest drifts: to try it."),
        click.option("--bits", type=click.IntRange(14, 20), default=20, show_default=True, help="A unit has 2^BITS samples."),
        click.option("--drift", type=click.FloatRange(0), metavar="HZ/S", help="Of tones, to both sides.  [default: 50, less in a narrow band]"),
    ):  # fmt: skip
        function = option(function)
    return function


@command(
    "make",
    "servent listen make sky/ --signal spike --signal pulse --seed 7",
    "servent listen make noise/ --take 4",
    group=listen,
)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--signal",
    "kinds",
    multiple=True,
    type=click.Choice(KINDS),
    help="Hide one of that kind; may be repeated.",
)
@click.option(
    "--strength",
    type=click.FloatRange(0.1, 1000),
    default=4.0,
    show_default=True,
    help="Of each signal, in thresholds.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed makes the same unit.")
@_size_options
def make(
    session: Session,
    folder: Path,
    kinds: tuple[Kind, ...],
    strength: float,
    seed: int,
    parts: int,
    take: int | None,
    bits: int,
    drift: float | None,
) -> None:
    """Make a unit of noise with signals hidden in it, and say where: to see whether they are found. No node need run."""
    import random

    from servent.listen import making

    search, dice = _search(bits, 9765.625 / 2 ** (20 - bits), drift), random.Random(seed)
    pieces = _middle(search.split(parts), take)
    low, high = pieces[0][0] * search.step, (pieces[-1][1] - 1) * search.step
    truth = [
        making.anywhere(search, kind, dice, strength, dice.uniform(0.1, 0.9) * (high - low) + low)
        for kind in kinds
    ]
    written = _write(folder, search, making.make(search, truth, dice), pieces, "made", 0.0)

    def people() -> None:
        for one in truth:
            when = f" at {one.time:.1f} s" if one.time else ""
            again = f" every {one.period:.2f} s" if one.period else ""
            say(f"{one.kind}: {one.frequency:+.2f} Hz, drift {one.drift:+.4f} Hz/s{when}{again}")
        _said(search, written, folder)

    session.show({"signals": truth, "files": written}, people, written)


@command(
    "split",
    "servent listen split gqrx_20260714_1420400000_2400000.cu8 sky/ --rate 2.4M --centre 1420.4M",
    "servent listen split band.wav sky/ --units 3 --take 10",
    group=listen,
)
@click.argument("recording", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--form",
    type=click.Choice(get_args(Form)),
    help="Of its samples: I and Q in turn.  [default: by its name]",
)
@click.option(
    "--rate",
    metavar="HZ",
    help="Samples a second, such as 2.4M.  [default: what a WAV file says, else 9765.625]",
)
@click.option("--centre", metavar="HZ", default="0", help="The frequency it was tuned to, such as 1420.4M.")
@click.option("--skip", type=click.IntRange(0), default=0, help="So many samples at the beginning.")
@click.option(
    "--units",
    type=click.IntRange(1, MOST_UNITS),
    help="Take so many units, one after the other.  [default: all]",
)
@_size_options
def split(
    session: Session,
    recording: Path,
    folder: Path,
    form: Form | None,
    rate: str | None,
    centre: str,
    skip: int,
    units: int | None,
    parts: int,
    take: int | None,
    bits: int,
    drift: float | None,
) -> None:
    """Make units of a recording: 8 or 16 bits for I and for Q in turn, or a WAV file of both. No node need run."""
    from servent.listen import recordings

    form = form or recordings.form_of(recording)
    try:
        search = _search(bits, _hertz(rate) if rate else _rate(recording, form), drift)
        there = (recordings.count(recording, form) - skip) // search.samples
        if there < 1:
            raise UsageError(
                f"{recording.name} has not {count(search.samples)} samples after the first {count(skip)}",
                advice="--bits 18 makes units of a quarter of that.",
            )
        pieces, written = _middle(search.split(parts), take), list[str]()
        for number in range(min(there, units or MOST_UNITS)):
            with recording.open("rb") as file:
                samples = recordings.read(file, form, search.samples, skip=skip + number * search.samples)
            written += _write(
                folder, search, samples, pieces, f"{recording.stem}-{number:03}", _hertz(centre)
            )
    except OSError as trouble:
        raise DiskTrouble(f"{recording} cannot be read: {trouble.strerror}") from trouble
    session.show({"files": written, "rate": search.rate}, lambda: _said(search, written, folder), written)


@command(
    "submit", "servent listen submit sky/", "servent listen submit sky/ --project seti --watch", group=listen
)
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@project_option
@click.option(
    "--quorum",
    type=click.IntRange(1, 8),
    default=2,
    show_default=True,
    help="Machines that must agree, where they are not trusted.",
)
@click.option("--title", default="", help="What this is, for you.  [default: the names of the inputs]")
@click.option("--watch", "follow", is_flag=True, help="Return when all is searched.")
def submit(
    session: Session, inputs: tuple[Path, ...], project: str, quorum: int, title: str, follow: bool
) -> int:
    """Have parts searched by the volunteers of a project: files, or folders of them, that `make` and `split` wrote.

    The app is built from its source (the extra `apps` has the compiler) and added to the project where it is missing.
    """
    from servent.cli.grid_work import _watch

    client = session.client()
    whose = my_project(client, project, APP)
    files = [
        path for given in inputs for path in (sorted(given.glob(f"*{ENDING}")) if given.is_dir() else [given])
    ]
    if not files:
        raise UsageError(
            "there are no units", advice=f"`servent listen make` and `split` write files *{ENDING}."
        )
    work = sum(_operations(path) for path in files) / len(files)
    if not any(app.name == APP and not app.retired for app in whose.apps):
        _add(client, whose, work, quorum)
        hint(f"the app {APP} was built and added to {one_line(whose.name)}")
    wish = schema.NewBatch(
        app=APP,
        paths=[on_this_machine(path) for path in files],
        operations=work,
        title=(title or ", ".join(path.resolve().name for path in inputs))[:TITLE],
    )
    made = client.submit(whose.id, wish)
    if follow:
        return _watch(session, client, made)

    def people() -> None:
        say(
            f"batch {made.id}: {many(made.units, 'part')}, {flops(work)} each, for {one_line(made.project_name)}"
        )
        hint(f"`servent listen sky {made.id}` shows what is found, as it comes.")

    session.show(made, people, [made.id])
    return 0


@command("sky", "servent listen sky", "servent listen sky 3 --kind gaussian --json", group=listen)
@click.argument("batch", required=False, metavar="[BATCH]", shell_complete=complete_batches)
@click.option("--kind", type=click.Choice(KINDS), help="Only those.")
@click.option(
    "-n", "--most", type=click.IntRange(1, 500), default=20, show_default=True, help="So many candidates."
)
def sky(session: Session, batch: str | None, kind: Kind | None, most: int) -> None:
    """What was found in all parts of a batch, strongest first; those below their thresholds that came closest stand last."""
    client = session.client()
    now = my_batch(client, batch)
    seen = client.sky(now.id, most=500 if kind else most)
    some = [
        one
        for one in seen.candidates
        if kind is None or kind in (one.kind, *(other.kind for other in one.also))
    ][:most]

    def people() -> None:
        headers = ("", "kind", "score", "frequency", "drift", "time", "", "part")
        table(
            headers,
            [_row(rank, one) for rank, one in enumerate(some, 1)],
            empty="nothing yet",
            right=(2, 3, 4, 5),
        )
        hint(
            f"{count(seen.parts)} of {many(seen.units, 'part')} searched, {many(seen.signals, 'signal')} above threshold"
            f" in {duration(seen.seconds)} of listening"
        )
        if seen.full:
            hint(
                f"{many(seen.full, 'part')} heard more than a result has room for (32 of a kind), as interference makes it, or a band that is not flat: weaker signals of those are missing."
            )

    session.show({**_fields(seen), "candidates": some}, people)


def _row(rank: int, one: schema_sky.Candidate) -> tuple[str, ...]:
    where = f"{one.frequency / 1e6:.6f} MHz" if abs(one.frequency) >= 1e6 else f"{one.frequency:+.2f} Hz"
    again = f"every {one.period:.2f} s" if one.period else f"fit {one.chi:.2f}" if one.chi else ""
    score = f"({one.score:.2f})" if one.near else f"{one.score:.2f}"
    drift = f"{one.drift:+.4f} Hz/s"
    kinds = ", ".join([one.kind, *(other.kind for other in one.also)])
    return str(rank), kinds, score, where, drift, f"{one.time:.1f} s", again, str(one.unit)


def _fields(seen: schema_sky.Sky) -> dict[str, Any]:
    import msgspec

    return msgspec.structs.asdict(seen)


# -- units


def _search(bits: int, rate: float = 9765.625, drift: float | None = None) -> Search:
    """`drift`: Hz/s to both sides, of short spectra; the longest are searched to two fifths of it. A beam takes 12 s, or a ninth of what is shorter."""
    from servent.listen.plan import Search

    if not 1 <= rate <= 1e10:  # a WAV file may say 0
        raise UsageError(
            f"{rate:g} samples a second cannot be searched", advice="--rate says how many there are."
        )
    fast = 50.0 * min(1.0, rate / 9765.625) if drift is None else drift
    return Search(bits=bits, rate=rate, beam=min(12.0, 2**bits / rate / 9), drift=0.4 * fast, fast_drift=fast)


def _middle(pieces: list[tuple[int, int]], take: int | None) -> list[tuple[int, int]]:
    begin = 0 if take is None else max(0, (len(pieces) - take) // 2)
    return pieces[begin:][:take]


def _hertz(text: str) -> float:
    factor = {"k": 1e3, "m": 1e6, "g": 1e9}.get(text.strip()[-1:].lower(), 1.0)
    try:
        value = float(text.strip().rstrip("kKmMgG")) * factor
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1e12:
        raise UsageError(f"{text!r} is no frequency", advice="Write 1420.4M or 2400000.")
    return value


def _rate(recording: Path, form: Form) -> float:
    if form != "wav":
        return 9765.625
    try:
        with wave.open(str(recording), "rb") as sound:
            return float(sound.getframerate())
    except (wave.Error, EOFError) as trouble:
        raise UsageError(f"this is no WAV file that can be read: {trouble}") from trouble


def _write(
    folder: Path, search: Search, samples: bytes, pieces: list[tuple[int, int]], name: str, centre: float
) -> list[str]:
    from servent.listen import units

    def files() -> Iterator[str]:
        folder.mkdir(parents=True, exist_ok=True)
        for number, steps in enumerate(pieces):
            path = folder / f"{name}-{number:04}{ENDING}"
            path.write_bytes(units.pack(search, samples, steps, centre))
            yield str(path)

    try:
        return list(files())
    except OSError as trouble:
        raise DiskTrouble(f"units cannot be written into {folder}: {trouble.strerror}") from trouble


def _operations(path: Path) -> float:
    """Of the part in a file."""
    from servent.listen import units

    try:
        return float(max(1, units.operations(path.read_bytes())))
    except BadMessage as wrong:
        raise UsageError(f"{path} is no unit: {wrong}") from wrong
    except OSError as trouble:
        raise DiskTrouble(f"{path} cannot be read: {trouble.strerror}") from trouble


def _said(search: Search, written: list[str], folder: Path) -> None:
    say(
        f"{many(len(written), 'part')} in {folder}: {search.seconds:.3g} s at {search.rate:,.0f} Hz each unit, {flops(_operations(Path(written[0])))} a part"
    )
    hint(f"`servent listen submit {folder}` has them searched.")


def _add(client: Client, whose: schema.MyProject, work: float, quorum: int) -> None:
    import tempfile

    from servent.api import wasm_build
    from servent.listen import kernel

    with tempfile.TemporaryDirectory(prefix="servent-listen-") as place:
        module = wasm_build.build([kernel.SOURCE], Path(place) / "listen.wasm")
        app = schema.NewApp(
            name=APP,
            module=str(module),
            abi="slice",
            operations=work,
            seconds=SECONDS,
            memory_bytes=kernel.MEMORY_BYTES,
            output_bytes=kernel.OUTPUT_BYTES,
            checkpoint_bytes=kernel.CHECKPOINT_BYTES,
            quorum=quorum,
            about="Searches what a radio telescope recorded for signals",
        )
        client.add_app(whose.id, app)
