"""Python apps: compiles components, gives them the world of `wasi2`, and calls them. With `engine`, what knows wasmtime; loaded when the first comes.

It uses wasmtime's own wrappers, which look at the type of everything that goes in or out: a component may declare what it likes, what does not fit ends it. What it
may copy out of itself in one call the runtime limits to 128 MiB.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import wasmtime
from wasmtime import _ffi as ffi
from wasmtime import component as wit

from servent.grid.manifests import Limits
from servent.grid.sandbox import components
from servent.grid.sandbox.compiled import CompiledCode
from servent.grid.sandbox.engine import OFF, TABLE_ELEMENTS, Halted, _Deadline, flags
from servent.grid.sandbox.modules import Unfit
from servent.grid.sandbox.wasi import Exit
from servent.grid.sandbox.wasi2 import FUNCTIONS, RESOURCES, NotThere, Own, Said, World

STACK = 4 * 1024 * 1024  # bytes: Python's own limit of recursion comes first
KEPT = 2  # compiled components in memory, 40 MB each
MOST_INSTANCES, MOST_TABLES, MOST_MEMORIES = (
    100,
    100,
    1,
)  # CPython comes as some twenty modules that share a memory
ROOM = 4  # times an input, as text and as bytes: so much memory must be there for it
_TRAPS = {  # the runtime's words, and ours
    "call stack exhausted": ("stack", "it called itself until its stack was full"),
    "out of bounds memory access": ("trap", "it reached beyond the end of its memory"),
    "unreachable": ("trap", "it gave up (abort, or a failed assertion)"),
    "divide by zero": ("trap", "it divided by zero"),
    "has been exhausted": ("output", "it handed over more than 128 MiB at once"),
}
_ABSENT = "unknown import: `"
_NOTHING: Any = ctypes.cast(0, ctypes.CFUNCTYPE(None, ctypes.c_void_p))


class Python:
    """A compiled Python app. `linker`: its world."""

    def __init__(self, component: wit.Component, linker: wit.Linker) -> None:
        self.component, self.linker = component, linker


class PythonEngine:
    """Compiles and runs components, one at a time.

    Args: as of `engine.Engine`.
    """

    def __init__(self, folder: Path, on_tick: Callable[[], None], *, canonical_nans: bool = False) -> None:
        config = wasmtime.Config()
        config.epoch_interruption = True
        config.parallel_compilation = False
        ffi.wasmtime_config_async_stack_size_set(config.ptr(), STACK * 2)  # the engine wants it larger
        config.max_wasm_stack = STACK
        config.wasm_relaxed_simd_deterministic = True
        for feature in OFF:
            setattr(config, feature, feature == "wasm_component_model")
        if canonical_nans:
            ffi.wasmtime_config_cranelift_nan_canonicalization_set(config.ptr(), True)
        self._engine = wasmtime.Engine(config)
        self._code = CompiledCode(folder, flags(f"nans={canonical_nans} components 1"))
        self._kept: OrderedDict[bytes, Python] = OrderedDict()
        self._on_tick = on_tick
        self._deadline_callback = _Deadline(self._deadline)
        self._raised: BaseException | None = None  # what a callback raised, on its way out
        self._world: World | None = None

    def tick(self) -> None:
        """From any thread."""
        self._engine.increment_epoch()

    def has(self, digest: bytes) -> bool:
        """Whether `load` needs no time."""
        return digest in self._kept

    def load(self, digest: bytes, read: Callable[[], bytes]) -> Python:
        """The component with this SHA-256, compiled: 5 s of a quiet core for CPython the first time, and a hundredth of a second later.

        Raises:
            Halted: it does not compile, does not fit the ABI, or is not what its hash says.
        """
        if (kept := self._kept.get(digest)) is not None:
            self._kept.move_to_end(digest)
            return kept
        data = read()
        if hashlib.sha256(data).digest() != digest:
            raise Halted("module", "it is not the module that its manifest names")
        try:
            outline = components.fit(data)
        except Unfit as why:
            raise Halted("module", str(why)) from None
        try:
            component = self._compiled(digest, data)
            made = Python(component, self._linked(component, outline.imports))
        except wasmtime.WasmtimeError as wrong:
            raise Halted("module", f"it does not compile: {_last_line(wrong)}") from None
        self._kept[digest] = made
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return made

    def _compiled(self, digest: bytes, data: bytes) -> wit.Component:
        if (kept := self._from_disk(digest)) is not None:
            return kept
        with self._code.alone(self._on_tick):
            if (kept := self._from_disk(digest)) is not None:  # another process was at it
                return kept
            compiled = wit.Component(self._engine, data)
            self._code.keep(digest, "python", bytes(compiled.serialize()))
            return compiled

    def _from_disk(self, digest: bytes) -> wit.Component | None:
        code = self._code.get(digest, "python")
        try:
            return None if code is None else wit.Component.deserialize(self._engine, code)
        except wasmtime.WasmtimeError:
            return None  # of another processor: compiled anew

    def _linked(self, component: wit.Component, imports: list[str]) -> wit.Linker:
        linker = wit.Linker(self._engine)
        with linker.root() as root:
            for name in imports:
                base = components.interface(name)
                if base not in FUNCTIONS:
                    continue
                with root.add_instance(name) as instance:
                    for resource, kind in RESOURCES.get(base, {}).items():
                        instance.add_resource(resource, wit.ResourceType.host(kind), self._drop(kind))
                    for function, does in FUNCTIONS[base].items():
                        instance.add_func(function, self._host(does))
        linker.define_unknown_imports_as_traps(component)
        return linker

    # -- one run

    def run(self, app: Python, limits: Limits, args: list[str], given: bytes, world: World) -> bytes:
        """Calls `run` in a fresh instance: what it gives back.

        Raises:
            Halted: the app raised an exception, trapped, or took too much. And what `on_tick` raised, or Exit.
        """
        if len(given) * ROOM > limits.memory_bytes:
            raise Halted("memory", f"an input of {len(given)} bytes needs {ROOM} times as much memory")
        self._world, self._raised = world, None
        store = wasmtime.Store(self._engine)
        try:
            ffi.wasmtime_store_limiter(
                store.ptr(), limits.memory_bytes, TABLE_ELEMENTS, MOST_INSTANCES, MOST_TABLES, MOST_MEMORIES
            )
            ffi.wasmtime_store_epoch_deadline_callback(store.ptr(), self._deadline_callback, None, _NOTHING)
            store.set_epoch_deadline(1)
            answer = self._called(app, store, given.decode("latin-1"), args)
        except Exception as wrong:
            if self._raised is not None:
                raise self._raised from None
            if isinstance(wrong, Halted):
                raise
            raise _ended(wrong) from None
        finally:
            self._world = None
            store.close()
        if isinstance(answer, wit.Variant) and answer.tag == "err":
            words = str(answer.payload)
            raise Halted("memory" if words.startswith("MemoryError") else "exit", words)
        try:
            return str(answer.payload).encode("latin-1")
        except UnicodeEncodeError:
            raise Halted("trap", "its result is no bytes: it has characters beyond 255") from None

    def _called(self, app: Python, store: wasmtime.Store, given: str, args: list[str]) -> Any:
        instance = app.linker.instantiate(store, app.component)
        run = instance.get_func(store, components.RUN)
        if run is None or not _is_run(run.type(store)):
            raise Halted(
                "module", "its run is not run(input: string, args: list<string>) -> result<string, string>"
            )
        return run(store, given, args)

    # -- what it calls

    def _host(self, does: Callable[..., Any]) -> Callable[..., Any]:
        def called(store: wasmtime.StoreContext, *given: Any) -> Any:
            try:
                if self._world is None:
                    raise NotThere("it does something while nobody calls it")
                return _out(does(self._world, *(_in(store, one) for one in given)))
            except NotThere as why:
                self._raised = Halted("trap", why.words)
            except (Exit, MemoryError) as raised:
                self._raised = raised
            except Exception as wrong:  # noqa: BLE001 - a component says itself what it gives; anything may be wrong with it
                self._raised = Halted(
                    "trap", f"it asks the world in a way that is none ({type(wrong).__name__})"
                )
            except BaseException as raised:  # noqa: BLE001 - it comes out of `run`; through C it cannot go
                self._raised = raised
            raise wasmtime.WasmtimeError("ended")

        return called

    def _drop(self, kind: int) -> Callable[[wasmtime.StoreContext, int], None]:
        def dropped(_store: wasmtime.StoreContext, number: int) -> None:
            if self._world is not None:
                self._world.dropped(kind, number)

        return dropped

    def _deadline(self, _context: Any, _data: Any, delta: Any, kind: Any) -> int:
        delta[0] = 1
        kind[0] = 0  # WASMTIME_UPDATE_DEADLINE_CONTINUE
        try:
            self._on_tick()
        except BaseException as raised:  # noqa: BLE001 - as above
            self._raised = raised
            return ctypes.cast(wasmtime.WasmtimeError("ended")._consume(), ctypes.c_void_p).value or 0
        return 0


def _in(store: wasmtime.StoreContext, value: Any) -> Any:
    """What the unit gives: resources as our numbers. Asking a resource for it takes it: a borrowed one is given back by that."""
    if isinstance(value, list):
        return [_in(store, one) for one in value]
    if isinstance(value, wit.Variant):
        return value.tag
    if isinstance(value, wit.ResourceAny):
        return value.to_host(store).rep
    return value


def _out(value: Any) -> Any:
    if isinstance(value, Own):
        return wit.ResourceHost.own(value.number, value.kind)
    if isinstance(value, Said):
        return wit.Variant(value.case)
    if isinstance(value, dict):
        record = wit.Record()
        for name, one in value.items():
            setattr(record, name, one)
        return record
    return value


def _is_run(kind: wit.FuncType) -> bool:
    takes, gives = [one for _, one in kind.params], kind.result
    return (
        len(takes) == 2
        and isinstance(takes[0], wit.String)
        and isinstance(takes[1], wit.ListType)
        and isinstance(takes[1].element, wit.String)
        and isinstance(gives, wit.ResultType)
        and isinstance(gives.ok, wit.String)
        and isinstance(gives.err, wit.String)
    )


def _ended(wrong: Exception) -> Halted:
    """What the runtime says of a call that did not end well."""
    said = str(wrong)
    if _ABSENT in said:
        name = said.split(_ABSENT, 1)[1].split("`", 1)[0]
        return Halted("trap", f"it wants {name[:150]}, which no unit has")
    if isinstance(wrong, MemoryError):
        return Halted("memory", "this machine has no room for it")
    for words, ending in _TRAPS.items():
        if words in said:
            return Halted(*ending)
    if "resource limit exceeded" in said or ("memory" in said and "limit" in said):
        return Halted("memory", f"it begins with more than it may have ({_last_line(wrong)})")
    return Halted("trap", _last_line(wrong))


def _last_line(wrong: object) -> str:
    lines = [line.strip() for line in str(wrong).splitlines() if line.strip()]
    return (lines[-1] if lines else "no reason given")[:300]
