"""Python functions that a script gives in place of an app's name: built, added to the project where it does not have them, and their items and results."""

from __future__ import annotations

import contextlib
import inspect
import json
import tempfile
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from servent.api import schema_grid as grid
from servent.api import wasm_build
from servent.api.client import Client
from servent.errors import UsageError
from servent.grid.pyapps import build, marks, sources
from servent.grid.pyapps.sources import Found

SECONDS = 3600.0  # s of a core that a unit of such an app may take


class Encoded(bytes):
    """An item that is a unit's input already."""


class Kinds:
    """How what a function takes and returns travels, see `marks.kind_of`."""

    def __init__(self, found: Found) -> None:
        self.input, self.output = found.input, found.output

    def encoded(self, item: Any) -> Encoded | Path:
        """An item as a unit's input; a path stands for what is in that file. Raises UsageError."""
        return item if isinstance(item, Path) else Encoded(_encoded(item, self.input))


class PythonApp(Kinds):
    """A function as an app of a project. `named`: "name/version"."""

    def __init__(self, named: str, found: Found) -> None:
        super().__init__(found)
        self.named = named


def is_plain(function: object) -> bool:
    """Whether it may be one that can be built: it has a name, and stands at the left margin."""
    return (
        inspect.isfunction(function) and "." not in function.__qualname__ and function.__name__ != "<lambda>"
    )


def kinds(function: Callable[..., Any]) -> Kinds:
    """Of a function, which is looked at and not built. Raises UsageError: it cannot be; it says why."""
    return Kinds(sources.found(_source(function)[0], function.__name__))


def prepare(
    client: Client, project: str, function: Callable[..., Any], sample: Any, args: Sequence[str] = ()
) -> PythonApp:
    """The app that `function` is, in its newest version; built where it is not in our cache, and added to `project` where it is not there. Blocks.

    Args:
        sample, args: an item, `Encoded` or not, and a unit's arguments, by which the operations of a unit are measured when the app is added.

    Raises:
        UsageError: the function cannot be built; it says why. ApiError: the node says why not.
    """
    found, made = _built(function)
    known = made.with_suffix(".apps")
    added: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError):
        added = json.loads(known.read_text())
    id = client.my_project(project).id
    for app in client.my_project(project).apps:
        if app.id == added.get(id) and not app.retired:
            return PythonApp(f"{app.name}/{app.version}", found)
    app = _added(client, id, found, made, sample, args)
    with contextlib.suppress(OSError):
        known.write_text(json.dumps({**added, id: app.id}))
    return PythonApp(f"{app.name}/{app.version}", found)


def built(function: Callable[..., Any]) -> Path:
    """The component of a function, from our cache or built now. Blocks. Raises UsageError."""
    return _built(function)[1]


def value(output: bytes, kind: str) -> tuple[Any, str]:
    """A result as what the function returned; or None, and words that say why it is none."""
    try:
        return marks.decoded(output, kind), ""
    except (ValueError, RecursionError) as wrong:  # strangers may send [[[[…
        return None, f"its result cannot be read: {wrong}"


def _built(function: Callable[..., Any]) -> tuple[Found, Path]:
    text, name, folder = _source(function)
    found = sources.found(text, function.__name__)
    return found, build.built(text, name, folder, found, wasm_build.cache())


def _added(
    client: Client, project: str, found: Found, module: Path, sample: Any, args: Sequence[str]
) -> grid.GridApp:
    with tempfile.TemporaryDirectory(prefix="servent-sample-") as folder:
        path = sample if isinstance(sample, Path) else Path(folder) / "sample"
        if path is not sample:
            path.write_bytes(_encoded(sample, found.input))
        wish = grid.NewApp(
            name=found.name,
            module=str(module),
            abi="python",
            sample=str(path.absolute()),
            sample_args=[one.replace("{name}", "sample").replace("{number}", "0") for one in args],
            seconds=SECONDS,
            about=found.about,
        )
        return client.add_app(project, wish)


def _encoded(item: Any, kind: str) -> bytes:
    if isinstance(item, Encoded):
        return item
    try:
        return marks.encoded(item, kind)
    except (TypeError, ValueError) as wrong:
        raise UsageError(
            f"an item is not what the function takes: {wrong}",
            advice="The type of its first parameter says what that is: bytes, str, or else whatever JSON has.",
        ) from None


def _source(function: Callable[..., Any]) -> tuple[bytes, str, Path | None]:
    """Its file, the file's name and folder; in a notebook, which has none, the function alone. Raises UsageError."""
    if not is_plain(function):
        raise UsageError(
            f"{function!r} is no plain function", advice="Give one that stands at the left margin."
        )
    path = Path(inspect.getsourcefile(function) or "")
    if path.is_file():
        return build.read(path), path.name, path.parent
    try:
        text = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        raise UsageError(
            f"there is no source of {function.__name__}", advice="Write it into a file."
        ) from None
    return f"import servent\nfrom servent.grid import app\n{text}".encode(), "notebook.py", None
