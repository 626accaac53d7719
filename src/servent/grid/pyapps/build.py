"""Python to a component, with `componentize-py` where it is installed: CPython, the function and all that it imports, as one file. For owners, on their own sources."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from hashlib import sha256
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

from servent.errors import DiskTrouble, NotFound, UsageError, WorldError
from servent.grid.manifests import MODULE_BYTES
from servent.grid.pyapps import sources
from servent.grid.pyapps.sources import Found
from servent.grid.sandbox import components
from servent.grid.sandbox.cc import DoesNotCompile
from servent.grid.sandbox.modules import Unfit

HERE = Path(__file__).parent
PATIENCE = 600.0  # s; a build takes six on a quiet core
BESIDE = 500  # sources beside the one that is built that are looked through for what it imports
_PROGRAM = "import sys; from componentize_py import script; sys.exit(script())"
_SERVENT = '''"""What of servent there is inside of a unit."""

from servent import grid


class _Outside:
    def __init__(self, *_given, **_named):
        raise RuntimeError("this is not there inside of a unit: put it under `if __name__ == '__main__':`")


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return _Outside
'''


class NoBuilder(UsageError):
    """Nothing here turns Python into WebAssembly."""

    advice = (
        f"python3 -m pip --python '{sys.executable}' install 'servent[python-apps]' brings what is missing."
    )


def available() -> bool:
    """Whether `build` can work here."""
    return find_spec("componentize_py") is not None


def read(path: Path) -> bytes:
    """A person's source. Blocks. Raises NotFound, DiskTrouble."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"there is no {str(path)!r}") from None
    except OSError as wrong:
        raise DiskTrouble(f"{path} cannot be read: {wrong.strerror}") from wrong


def build(source: Path, out: Path, function: str = "", cache: Path | None = None) -> Found:
    """The app of `source`, as a component in `out`. Blocks; takes six seconds of a quiet core, where it is not in `cache`.

    Whatever the source imports is imported now and taken along, from its own folder and from the packages of this Python; only packages without machine code can be.

    Raises:
        NoBuilder, DoesNotCompile, NotFound: see there. UsageError: no such app in it. WorldError: the builder itself does not run.
    """
    text = read(source)
    app = sources.read(text, source.name).choose(function)
    if cache is None:
        return build_text(text, source.name, source.parent, out, app)
    made = built(text, source.name, source.parent, app, cache)
    try:
        shutil.copyfile(made, out)
    except OSError as wrong:
        raise DiskTrouble(f"cannot write {out}: {wrong.strerror}") from wrong
    return app


def build_text(text: bytes, name: str, folder: Path | None, out: Path, app: Found) -> Found:
    """As `build`, of a source that need not be a file. Args: `name`: of its file, for tracebacks; `folder`: where it finds what lies beside it."""
    if not available():
        raise NoBuilder("there is nothing here that makes Python run in a sandbox")
    read_ = sources.read(text, name)
    if read_.compiled:
        raise UsageError(
            f"{name} imports {', '.join(read_.compiled)}, which is machine code and cannot be taken along",
            advice="Strangers run pure Python or C; among friends a cluster runs whatever is installed there.",
        )
    try:
        with tempfile.TemporaryDirectory(prefix="servent-python-") as place:
            work = Path(place)
            _lay_out(work, text, name, app, read_)
            made = work / "app.wasm"
            _run(work, folder, made)
            data = made.read_bytes() + components.section(_about(app))
            components.fit(data)
            out.write_bytes(data)
    except Unfit as wrong:
        raise WorldError(f"what was built is no app: {wrong}") from wrong
    except OSError as wrong:
        raise DiskTrouble(f"cannot write {out}: {wrong.strerror}") from wrong
    return app


def built(text: bytes, name: str, folder: Path | None, app: Found, cache: Path) -> Path:
    """The component of an app, built now or found in `cache`, where it lies by all that it was made from. Blocks. Raises as `build`."""
    said = sha256(b"servent python app 1\0")
    for part in (text, name.encode(), app.function.encode(), *_around(), *_beside(text, folder)):
        said.update(sha256(part).digest())
    path = cache / f"{said.hexdigest()[:40]}.wasm"
    if path.is_file():
        return path
    try:
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as wrong:
        raise DiskTrouble(f"cannot write to {cache}: {wrong.strerror}") from wrong
    waiting = path.with_suffix(f".{os.getpid()}")
    try:
        build_text(text, name, folder, waiting, app)
        waiting.replace(path)
    finally:
        waiting.unlink(missing_ok=True)
    return path


def _around() -> list[bytes]:
    """What else a build depends on: what packs it, and the packages that are installed."""
    parts = [(HERE / name).read_bytes() for name in ("guest.py", "marks.py", "build.py")]
    return parts + sorted(f"{one.name} {one.version}".encode() for one in distributions())


def _beside(text: bytes, folder: Path | None) -> list[bytes]:
    """Sources that lie in `folder` and are imported, also by each other; of a package all."""
    found: dict[Path, bytes] = {}
    waiting = [text]
    while folder is not None and waiting:
        for name in sources.read(waiting.pop()).imports:
            top = folder / name.split(".")[0]
            for path in [top.with_suffix(".py"), *sorted(top.glob("**/*.py"))]:
                if path not in found and path.is_file() and len(found) < BESIDE:
                    found[path] = path.read_bytes()
                    waiting.append(found[path])
    return [found[path] for path in sorted(found)]


def _lay_out(work: Path, text: bytes, name: str, app: Found, source: sources.Source) -> None:
    (work / "wit").mkdir()
    (work / "wit" / "unit.wit").write_text(components.WORLD)
    (work / "servent" / "grid").mkdir(parents=True)
    (work / "servent" / "__init__.py").write_text(_SERVENT)
    (work / "servent" / "grid" / "__init__.py").write_text("from servent_marks import app\n")
    (work / "servent_marks.py").write_bytes((HERE / "marks.py").read_bytes())
    (work / "servent_guest.py").write_bytes((HERE / "guest.py").read_bytes())
    stem = "".join(c if c.isalnum() else "_" for c in Path(name).stem) or "app"
    known = {
        "SOURCE": text.decode("utf-8-sig"),
        "FILE": name,
        "MODULE": stem,
        "FUNCTION": app.function,
        "IMPORTS": list(source.imports),
    }
    (work / "servent_unit.py").write_text(
        "".join(f"{key} = {value!r}\n" for key, value in known.items()), encoding="utf-8"
    )


def _run(work: Path, folder: Path | None, made: Path) -> None:
    paths = [work, *([] if folder is None else [folder.absolute()])]
    command = [sys.executable, "-c", _PROGRAM, "-d", str(work / "wit"), "-w", "python", "componentize"]
    for path in paths:
        command += ["-p", str(path)]
    command += ["servent_guest", "-o", str(made)]
    try:
        done = subprocess.run(
            command,
            cwd=work,
            env={**os.environ, "VIRTUAL_ENV": sys.prefix},  # whose packages it may take along
            capture_output=True,
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as trouble:
        raise WorldError(f"the builder does not run: {trouble}") from trouble
    if done.returncode != 0 or not made.is_file():
        said = (done.stderr + done.stdout).decode(errors="replace").strip()
        words = _telling(said) or f"the builder ended with {done.returncode}"
        missing = re.search(r"^(?:ModuleNotFound|Import)Error: ", words, re.MULTILINE)
        advice = (
            "Only pure Python can be taken along, of what is installed beside servent." if missing else None
        )
        raise DoesNotCompile(words, advice=advice)
    if made.stat().st_size > MODULE_BYTES:
        raise DoesNotCompile(
            f"it has {made.stat().st_size} bytes with all that it imports; {MODULE_BYTES} are allowed"
        )


def _telling(said: str) -> str:
    """Of what the builder says, the traceback of the person's own source, without what is ours and what is the builder's."""
    lines = said.partition("\nCaused by:")[0].partition("\nStack backtrace:")[0].splitlines()
    ours = [at for at, line in enumerate(lines) if 'servent_guest.py", line' in line]
    steps = [at for at, line in enumerate(lines) if line.startswith('  File "') and at > (ours or [-1])[-1]]
    if ours and steps:
        return "\n".join(["Traceback (most recent call last):", *lines[steps[0] :]])[-2000:]
    return "\n".join(lines)[-2000:].strip()


def _about(app: Found) -> bytes:
    said = {
        "name": app.name,
        "function": app.function,
        "input": app.input,
        "output": app.output,
        "about": app.about,
    }
    return json.dumps(said, ensure_ascii=False).encode()
