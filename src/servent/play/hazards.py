"""What in a game's source would make two machines step differently: read, never run. Pure.

Reading finds what is plain to see, running it (`checking`) the rest. A line that ends in `# play: sure` is taken at its word.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Literal, NamedTuple

SURE = "# play: sure"
MOST_SOURCE = 256 * 1024  # characters: read within seconds
MOST_FOUND = 100  # hazards; who has more begins with these

_DICE = "take dice from servent.play.dice, whose memory lies in the state"
_FRAMES = "count frames in the state: 60 of them are a second"
_OUTSIDE = "a game sees its state and its inputs alone; read such things before `start` and hand them over as choices"
_ALONE = "`step` runs in one thread, as often as a rollback wants it"
IMPORTS = {
    "random": _DICE, "secrets": _DICE, "uuid": _DICE,
    "time": _FRAMES, "datetime": _FRAMES, "calendar": _FRAMES,
    "os": _OUTSIDE, "sys": _OUTSIDE, "platform": _OUTSIDE, "pathlib": _OUTSIDE, "io": _OUTSIDE, "socket": _OUTSIDE,
    "subprocess": _OUTSIDE, "tempfile": _OUTSIDE, "locale": _OUTSIDE, "urllib": _OUTSIDE, "http": _OUTSIDE,
    "asyncio": _ALONE, "threading": _ALONE, "multiprocessing": _ALONE, "concurrent": _ALONE,
    "pickle": "its bytes depend on which objects are shared; servent.play.states.pack has one form for each state",
    "marshal": "its bytes depend on which objects are shared; servent.play.states.pack has one form for each state",
    "copy": "a state is never changed, so it needs no copy: `{**state, 'frame': 1}` is the next one",
    "weakref": "what is still alive differs from machine to machine; keep keys in the state",
    "gc": "what is still alive differs from machine to machine; keep keys in the state",
    "numpy": "its sums differ from Python's and from each other; count in whole numbers",
}  # fmt: skip
CALLS = {
    "hash": "differs in each process for texts; use the value itself as the key, or zlib.crc32 of its bytes",
    "id": "is an address in memory; number things yourself, in the state",
    "open": _OUTSIDE,
    "input": _OUTSIDE,
    "eval": "nobody can read what it does; write it out",
    "exec": "nobody can read what it does; write it out",
    "__import__": "nobody can read what it does; import at the top",
    "globals": "a game keeps nothing outside its state",
    "vars": "a game keeps nothing outside its state",
}
EXACT = frozenset(
    {"isqrt", "gcd", "lcm", "comb", "perm", "factorial", "prod"}
)  # of math: whole numbers in, and out
ORDERLESS = frozenset({"sorted", "min", "max", "len", "any", "all", "sum", "set", "frozenset"})
CHANGING = frozenset(
    {
        "append",
        "add",
        "update",
        "pop",
        "extend",
        "insert",
        "remove",
        "clear",
        "setdefault",
        "discard",
        "sort",
        "reverse",
    }
    | {"popitem"}
)
GIVEN = {
    "step": 1,
    "draw": 1,
    "result": 1,
    "bot": 1,
    "turn": 1,
    "refusal": 1,
    "tap": 1,
}  # which argument is the state


class Hazard(NamedTuple):
    """One place. "wrong": it will desync sooner or later, or breaks a game's promise; "doubtful": it may be harmless."""

    line: int
    level: Literal["wrong", "doubtful"]
    words: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.words}"


def read(source: str, *, floats: bool = False) -> list[Hazard]:
    """Hazards in the text of a module, in the order of its lines.

    Args:
        floats: whether the game may count in floats (mode "authority").
    """
    if len(source) > MOST_SOURCE:
        return [
            Hazard(1, "wrong", f"the source has {len(source)} characters, over the limit of {MOST_SOURCE}")
        ]
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as wrong:
        said = (
            getattr(wrong, "msg", None) or str(wrong) or "it is nested too deeply"
        )  # MemoryError says nothing
        return [Hazard(getattr(wrong, "lineno", None) or 1, "wrong", f"this is no Python: {said}")]
    lines = source.splitlines()
    reader = _Reader(tree, floats)
    found = sorted(set(reader.module(tree)))
    return [
        one for one in found if not (one.line <= len(lines) and lines[one.line - 1].rstrip().endswith(SURE))
    ][:MOST_FOUND]


class _Reader:
    def __init__(self, tree: ast.Module, floats: bool) -> None:
        self._floats = floats
        self._outside = _bound(tree.body)  # names of the module itself

    def module(self, tree: ast.Module) -> Iterator[Hazard]:
        for node in _walk(tree):
            yield from self._import(node)
            if isinstance(node, ast.Call):
                yield from self._call(node)
            if isinstance(node, ast.Global):
                names = ", ".join(node.names)
                yield _wrong(node, f"`global {names}`: a game keeps nothing outside its state")
            if not self._floats:
                yield from self._float(node)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from self._function(node)
        yield from self._orders(tree.body)

    def _import(self, node: ast.AST) -> Iterator[Hazard]:
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "math" and not self._floats:
                for alias in node.names:
                    if alias.name not in EXACT:
                        yield _math(node, alias.name)
        for name in names:
            if why := IMPORTS.get(name.split(".")[0]):
                yield _wrong(node, f"`{name}`: {why}")

    def _call(self, node: ast.Call) -> Iterator[Hazard]:
        if isinstance(node.func, ast.Name) and node.func.id in CALLS and node.func.id not in self._outside:
            yield _wrong(node, f"`{node.func.id}()`: {CALLS[node.func.id]}")

    def _float(self, node: ast.AST) -> Iterator[Hazard]:
        whole = "count in whole numbers, hundredths or 1/256, and divide by `//`"
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield Hazard(node.lineno, "doubtful", f"`{node.value}` is a float: {whole}")
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield Hazard(node.lineno, "doubtful", f"`/` makes a float: {whole}")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float":
            yield Hazard(node.lineno, "doubtful", f"`float()`: {whole}")
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "math"
            and node.attr not in EXACT
        ):
            yield _math(node, node.attr)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Hazard]:
        yield from self._orders(node.body)
        arguments = [one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        own = _bound(node.body) | set(arguments)
        at = GIVEN.get(node.name)
        given = arguments[at] if at is not None and len(arguments) > at and arguments[0] == "self" else None
        if given in _bound(node.body):
            given = None  # `state = {**state}`: from then on it is its own
        for inner in _within(node.body):
            base, how = _changed(inner)
            if base is None:
                continue
            if base == given:
                yield _wrong(
                    inner,
                    f"`{node.name}` changes the state it is given: make the next one, `{{**{given}, …}}`",
                )
            elif base == "self" and arguments[:1] == ["self"] and how == "attribute":
                yield _wrong(
                    inner, "`self` is changed: one instance serves many matches, so keep it in the state"
                )
            elif base in self._outside and base not in own:
                yield _wrong(inner, f"`{base}` lies outside the state and is changed: keep it in the state")

    def _orders(self, body: list[ast.stmt]) -> Iterator[Hazard]:
        """Sets whose order is seen: it differs from process to process."""
        nodes = list(_within(body))
        sets = {
            target.id
            for node in nodes
            if isinstance(node, ast.Assign) and _is_set(node.value, set())
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in nodes:
            if isinstance(node, ast.Assign) and not _is_set(node.value, sets):
                sets -= {target.id for target in node.targets if isinstance(target, ast.Name)}
        words = "the order of a set differs from process to process: go through sorted(it), or keep a dict"
        fine: set[int] = set()
        for node in nodes:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ORDERLESS:
                for argument in node.args:
                    fine.add(id(argument))
                    if isinstance(argument, ast.GeneratorExp | ast.ListComp):
                        fine |= {id(one) for one in argument.generators}
            elif isinstance(node, ast.SetComp):
                fine |= {id(one) for one in node.generators}
        for node in nodes:
            if isinstance(node, ast.For) and _is_set(node.iter, sets):
                yield _wrong(node, words)
            elif isinstance(node, ast.ListComp | ast.GeneratorExp | ast.DictComp):
                for one in node.generators:
                    if _is_set(one.iter, sets) and id(one) not in fine:
                        yield _wrong(node, words)
            elif isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else ""
                joins = isinstance(node.func, ast.Attribute) and node.func.attr == "join"
                if (joins or name in ("list", "tuple", "iter", "enumerate", "zip", "dict")) and any(
                    _is_set(argument, sets) for argument in node.args
                ):
                    yield _wrong(node, words)
                if (
                    isinstance(node.func, ast.Attribute)
                    and node.func.attr == "pop"
                    and not node.args
                    and _is_set(node.func.value, sets)
                ):
                    yield _wrong(node, words)


def _wrong(node: ast.AST, words: str) -> Hazard:
    return Hazard(getattr(node, "lineno", 1), "wrong", words)


def _math(node: ast.AST, name: str) -> Hazard:
    return Hazard(
        getattr(node, "lineno", 1),
        "doubtful",
        f"`math.{name}` may differ in its last bit from machine to machine: keep a table of whole numbers",
    )


def _walk(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but type annotations, in which nothing is counted."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        yield node
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns"):
                continue
            if isinstance(value, ast.AST):
                pending.append(value)
            elif isinstance(value, list):
                pending += [one for one in value if isinstance(one, ast.AST)]


def _within(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """The nodes of a scope, without those of functions in it."""
    pending: list[ast.AST] = [*body]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        yield node
        pending += ast.iter_child_nodes(node)


def _bound(body: list[ast.stmt]) -> set[str]:
    """Names that a scope gives a value to."""
    found = {
        node.id for node in _within(body) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    return found - {name for node in _within(body) if isinstance(node, ast.Global) for name in node.names}


def _is_set(node: ast.AST, sets: set[str]) -> bool:
    pending = [node]
    while pending:  # no recursion: somebody may write `a | a | a | …` ten thousand times
        one = pending.pop()
        if isinstance(one, ast.BinOp) and isinstance(one.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
            pending += (one.left, one.right)
        elif (
            isinstance(one, ast.Set | ast.SetComp)
            or (isinstance(one, ast.Name) and one.id in sets)
            or (
                isinstance(one, ast.Call)
                and isinstance(one.func, ast.Name)
                and one.func.id in ("set", "frozenset")
            )
        ):
            return True
    return False


def _changed(node: ast.AST) -> tuple[str | None, str]:
    """The name of what a statement changes in place, if it does, and whether by an attribute, a key or a method."""
    if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
        return _base(node), "attribute" if isinstance(node, ast.Attribute) else "key"
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in CHANGING
        and isinstance(node.func.value, ast.Name | ast.Subscript | ast.Attribute)
    ):
        return _base(node.func.value), "attribute" if isinstance(node.func.value, ast.Attribute) else "method"
    return None, ""


def _base(node: ast.AST) -> str | None:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None
