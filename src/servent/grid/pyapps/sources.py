"""A person's Python file, read without running it: which functions are apps, what it imports. Pure."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from servent.errors import UsageError
from servent.grid.pyapps.marks import kind_of

SOURCE_BYTES = 4 * 1024 * 1024
# Packages of machine code that people will try; none of them runs inside of WebAssembly here.
COMPILED = frozenset(
    {"numpy", "scipy", "pandas", "polars", "numba", "torch", "tensorflow", "jax", "sklearn", "matplotlib"}
    | {"cupy", "pyarrow", "xarray", "astropy", "h5py", "cv2", "skimage"}
)


@dataclass(frozen=True, slots=True)
class Found:
    """An app in a source. `input`, `output`: how they travel, see `marks.kind_of`. `about`: the first line of its docstring."""

    name: str
    function: str
    input: str
    output: str
    about: str


@dataclass(frozen=True, slots=True)
class Source:
    """`imports`: all modules that it names, also inside of functions."""

    apps: tuple[Found, ...]
    functions: tuple[str, ...]
    imports: tuple[str, ...]

    @property
    def compiled(self) -> list[str]:
        """What of it is machine code, which cannot be taken along."""
        return sorted(COMPILED & {one.split(".")[0] for one in self.imports})

    def choose(self, function: str = "") -> Found:
        """The one app of it, or the one that is meant, by its own name or that of its function. Raises UsageError."""
        named = [one for one in self.apps if function in (one.function, one.name)] if function else self.apps
        if len(named) == 1:
            return named[0]
        if function:
            raise UsageError(f"there is no app {function!r} in it", advice=self._advice())
        if not self.apps:
            raise UsageError("no function in it is marked as an app", advice=self._advice())
        names = ", ".join(one.function for one in self.apps)
        raise UsageError(f"there are several apps in it: {names}", advice="Say `--function NAME`.")

    def _advice(self) -> str:
        here = f" There are {', '.join(self.functions[:8])}." if self.functions else ""
        return f"Put `@servent.grid.app` above a function at the left margin.{here}"


def read(text: bytes, name: str = "the source") -> Source:
    """Raises UsageError: it is no Python."""
    if len(text) > SOURCE_BYTES:
        raise UsageError(f"{name} has more than {SOURCE_BYTES} bytes")
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as wrong:
        line = f", line {wrong.lineno}" if isinstance(wrong, SyntaxError) and wrong.lineno else ""
        words = wrong.msg if isinstance(wrong, SyntaxError) else str(wrong)
        raise UsageError(f"{name} is no Python{line}: {words}") from None
    functions = [one for one in tree.body if isinstance(one, ast.FunctionDef)]
    apps = [_app(one, mark) for one in functions for mark in one.decorator_list if _marks(mark)]
    return Source(tuple(apps), tuple(one.name for one in functions), tuple(_imports(tree)))


def found(text: bytes, function: str) -> Found:
    """What a function of the source would be as an app, marked or not. Raises UsageError."""
    for one in ast.parse(text).body:
        if isinstance(one, ast.FunctionDef) and one.name == function:
            return next((_app(one, mark) for mark in one.decorator_list if _marks(mark)), _app(one, None))
    raise UsageError(
        f"{function} is no function at the left margin of its file",
        advice="Only those can go to volunteers, since they are built from the file.",
    )


def _app(function: ast.FunctionDef, mark: ast.expr | None) -> Found:
    places = [*function.args.posonlyargs, *function.args.args]
    if not places:
        raise UsageError(f"{function.name} takes no input: an app takes it as first parameter")
    name = function.name
    for word in mark.keywords if isinstance(mark, ast.Call) else ():
        if word.arg == "name" and isinstance(word.value, ast.Constant) and isinstance(word.value.value, str):
            name = word.value.value or name
    about = (ast.get_docstring(function) or "").strip().partition("\n")[0][:200]
    return Found(name, function.name, _kind(places[0].annotation), _kind(function.returns), about)


def _kind(annotation: ast.expr | None) -> str:
    return "json" if annotation is None else kind_of(ast.unparse(annotation))


def _marks(mark: ast.expr) -> bool:
    """Whether it is `app`, `grid.app` or `servent.grid.app`, called or not."""
    said = ast.unparse(mark.func if isinstance(mark, ast.Call) else mark)
    return said in ("app", "grid.app", "servent.grid.app")


def _imports(tree: ast.Module) -> list[str]:
    names: dict[str, None] = {}
    for one in ast.walk(tree):
        if isinstance(one, ast.Import):
            names |= dict.fromkeys(alias.name for alias in one.names)
        elif isinstance(one, ast.ImportFrom) and one.module and not one.level:
            names[one.module] = None
    return [name for name in names if name.split(".")[0] not in ("servent", "__future__")]
