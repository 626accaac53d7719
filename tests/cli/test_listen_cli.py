"""`servent listen …`: from a recording, or from nothing, to units, work and candidates."""

from __future__ import annotations

import json
import random
import struct
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servent.cli.main import run
from servent.grid.sandbox import cc
from servent.listen import units
from tests.api.running import client, fake_daemon

Servent = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    data_dir = tmp_path_factory.mktemp("node")
    with fake_daemon(data_dir):
        yield data_dir


@pytest.fixture
def servent(folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Servent:
    monkeypatch.delenv("SERVENT_DATA_DIR", raising=False)

    def go(*line: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = run(["--data-dir", str(folder), "listen", *line])
        out, err = capfd.readouterr()
        return code, out, err

    return go


def test_units_are_made_with_signals_in_them_and_said_where(servent: Servent, tmp_path: Path) -> None:
    line = [
        "make",
        str(tmp_path / "sky"),
        "--bits",
        "14",
        "--parts",
        "3",
        "--signal",
        "spike",
        "--signal",
        "pulse",
    ]
    code, out, _ = servent(*line)
    assert code == 0 and "spike: " in out and "pulse: " in out and "3 parts in" in out
    files = sorted((tmp_path / "sky").iterdir())
    heads = [units.read_head(path.read_bytes())[0] for path in files]
    assert len(files) == 3 and [one.last for one in heads[:-1]] == [one.first for one in heads[1:]]
    first = files[0].read_bytes()
    code, out, _ = servent(*line, "--json")
    assert files[0].read_bytes() == first, "the same seed"
    said = json.loads(out)
    assert [one["kind"] for one in said["signals"]] == ["spike", "pulse"] and len(said["files"]) == 3


@pytest.mark.parametrize("form", ["u8", "s8", "s16", "wav"])
def test_a_recording_is_split_into_units(servent: Servent, tmp_path: Path, form: str) -> None:
    count, rate = (1 << 14) + 100, 48000
    dice = random.Random(3)
    values = [round(dice.gauss(0, 30)) for _ in range(2 * count)]
    path = tmp_path / {"u8": "a.cu8", "s8": "a.cs8", "s16": "a.cs16", "wav": "a.wav"}[form]
    if form == "wav":
        with wave.open(str(path), "wb") as sound:
            sound.setnchannels(2)
            sound.setsampwidth(2)
            sound.setframerate(rate)
            sound.writeframes(struct.pack(f"<{len(values)}h", *values))
    elif form == "s16":
        path.write_bytes(struct.pack(f"<{len(values)}h", *values))
    else:
        path.write_bytes(bytes((value + (128 if form == "u8" else 0)) % 256 for value in values))
    given = [] if form == "wav" else ["--rate", "48k"]
    line = [
        "split",
        str(path),
        str(tmp_path / "sky"),
        "--bits",
        "14",
        "--parts",
        "4",
        "--take",
        "2",
        "--skip",
        "40",
    ]
    code, out, err = servent(*line, *given, "--centre", "1420.4M", "--drift", "20000", "--json")
    assert code == 0, err
    files = json.loads(out)["files"]
    head, samples = units.read_head(Path(files[0]).read_bytes())
    assert (head.rate, head.centre, head.bits, len(files)) == (rate, 1420.4e6, 14, 2)
    signs = units.unpack_signs(samples)
    code, out, err = servent(*line, *given, "--centre", "1420.4M", "--drift", "20000")
    assert code == 0 and "0.341 s at 48,000 Hz each unit" in out, "less than a second is no 0 s"
    agree = sum(sign == (value > 0) for sign, value in zip(signs, values[80:], strict=False))
    assert agree > 0.97 * len(signs)
    assert head.first <= 0 < head.last or units.read_head(Path(files[1]).read_bytes())[0].first <= 0


def test_what_cannot_be_split_says_why(servent: Servent, tmp_path: Path) -> None:
    short = tmp_path / "a.cu8"
    short.write_bytes(bytes(1000))
    code, _, err = servent("split", str(short), str(tmp_path / "sky"))
    assert code == 2 and "1,048,576 samples" in err
    assert servent("split", str(short), str(tmp_path / "sky"), "--rate", "fast")[0] == 2
    for rate in ("0", "0.5", "1000G"):
        code, _, err = servent("split", str(short), str(tmp_path / "sky"), "--rate", rate)
        assert code == 2 and "cannot be searched" in err
    wav = (
        b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, 2, 0, 0, 4, 16)
        + b"data"
        + struct.pack("<I", 4000)
        + bytes(4000)
    )
    (tmp_path / "none.wav").write_bytes(b"RIFF" + struct.pack("<I", len(wav)) + wav)
    code, _, err = servent("split", str(tmp_path / "none.wav"), str(tmp_path / "sky"))
    assert code == 2 and "0 samples a second" in err
    (tmp_path / "b.dat").write_bytes(bytes(1000))
    code, _, err = servent("split", str(tmp_path / "b.dat"), str(tmp_path / "sky"))
    assert code == 2 and ".cu8" in err
    assert servent("split", str(tmp_path / "none.cu8"), str(tmp_path / "sky"))[0] == 1
    (tmp_path / "empty").mkdir()
    assert servent("submit", str(tmp_path / "empty"), "--project", "primes")[0] == 2
    assert servent("submit", str(short), "--project", "primes")[0] == 2


@pytest.mark.skipif(cc.zig() is None, reason="needs the extra `apps`")
def test_units_are_submitted_to_an_app_that_is_built_where_it_is_missing(
    servent: Servent, folder: Path, tmp_path: Path
) -> None:
    assert servent("make", str(tmp_path / "sky"), "--bits", "14", "--parts", "2")[0] == 0
    code, out, err = servent("submit", str(tmp_path / "sky"), "--project", "primes", "--title", "a try")
    assert code == 0 and "2 parts" in out and "was built" in err, err
    node = client(folder)
    made = next(one for one in node.batches("primes") if one.title == "a try")
    assert made.app.startswith("listen/") and made.units == 2
    code, out, err = servent("submit", str(tmp_path / "sky"), "--project", "primes", "--json")
    made_again = json.loads(out)
    assert code == 0 and "was built" not in err and made_again["units"] == 2
    assert made_again["title"] == "sky", "else every batch is called by how many files it has"


def test_candidates_are_listed_strongest_first(servent: Servent, folder: Path) -> None:
    batch = next(one for one in client(folder).batches("primes") if one.shows == "signals")
    code, out, err = servent("sky", batch.id, "-n", "5")
    rows = [line.split("\t") for line in out.splitlines()]
    assert code == 0 and len(rows) == 5 and "of 120 parts searched" in err
    assert [float(row[2]) for row in rows] == sorted((float(row[2]) for row in rows), reverse=True)
    code, out, _ = servent("sky", batch.id, "--kind", "pulse", "--json")
    said = json.loads(out)
    assert {one["kind"] for one in said["candidates"]} == {"pulse"} and said["candidates"][0]["plot"]
    other = next(one for one in client(folder).batches("primes") if not one.shows)
    assert servent("sky", other.id)[0] == 2
