"""Cores stay cores: a module that waits for nothing is listed in the contract, and then has to stay so."""

import ast
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = (
    "trust",
    "net",
    "query",
    "overlay",
    "blobs",
    "share",
    "torrent",
    "talk",
    "grid",
    "listen",
    "cluster",
    "play",
)
GROUND = ("codec", "errors", "identity", "limits")
WAITS = {
    "asyncio", "concurrent", "iroh", "multiprocessing", "os", "psutil", "random", "secrets", "selectors", "socket",
    "servent.keyfile", "servent.store", "sqlite3", "subprocess", "threading", "time", "wasmtime", "websockets", "zeroconf",
}  # fmt: skip


def imports(path: Path) -> set[str]:
    """Full names of what a module imports, without what only type checkers read."""
    found: set[str] = set()
    pending: list[ast.AST] = [ast.parse(path.read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        pending += ast.iter_child_nodes(node)
    return found


def test_every_module_that_waits_for_nothing_is_held_to_it_by_the_contract() -> None:
    source = ROOT / "src" / "servent"
    paths = [path for room in ROOMS for path in (source / room).rglob("*.py") if path.name != "__init__.py"]
    paths += [source / f"{name}.py" for name in GROUND]
    modules = {
        ".".join(path.relative_to(source.parent).with_suffix("").parts): imports(path) for path in paths
    }
    pure = {
        name for name, found in modules.items() if not ({one.split(".")[0] for one in found} | found) & WAITS
    }
    while impure := {name for name in pure if modules[name] & (modules.keys() - pure)}:
        pure -= impure
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (cores,) = [one["source_modules"] for one in contracts if one["name"].startswith("Cores")]
    assert pure == set(cores), f"add {sorted(pure - set(cores))}; take out {sorted(set(cores) - pure)}"
