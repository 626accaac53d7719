"""Knows wasmtime: compiles modules, keeps what was compiled, and runs one instance at a time.

It goes to wasmtime's C interface for what is called per unit, since the wrappers around it take ten times as long. Components, which are Python
apps, are `components_engine`'s.
"""

from __future__ import annotations

import ctypes
import hashlib
import platform
from collections import OrderedDict
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import wasmtime
from wasmtime import _ffi as ffi

from servent.grid.manifests import PAGE, Abi, Limits
from servent.grid.sandbox import modules
from servent.grid.sandbox.compiled import CompiledCode
from servent.grid.sandbox.modules import FUNCTION, Shape, Unfit
from servent.grid.sandbox.wasi import FUNCTIONS, Outside

STACK = 1024 * 1024  # bytes of stack that a module may use
TABLE_ELEMENTS = 1_000_000  # of 8 bytes each
KEPT = 8  # compiled modules in memory
OFF = (
    "wasm_threads",
    "wasm_memory64",
    "wasm_multi_memory",
    "wasm_gc",
    "wasm_function_references",
    "wasm_exceptions",
    "wasm_component_model",
    "wasm_stack_switching",
    "wasm_wide_arithmetic",
    "wasm_custom_page_sizes",
    "shared_memory",
)
TRAPS = {
    wasmtime.TrapCode.STACK_OVERFLOW: ("stack", "it called itself until its stack was full"),
    wasmtime.TrapCode.MEMORY_OUT_OF_BOUNDS: ("trap", "it reached beyond the end of its memory"),
    wasmtime.TrapCode.TABLE_OUT_OF_BOUNDS: ("trap", "it reached beyond the end of a table"),
    wasmtime.TrapCode.INDIRECT_CALL_TO_NULL: ("trap", "it called a function pointer that points to nothing"),
    wasmtime.TrapCode.BAD_SIGNATURE: ("trap", "it called a function pointer as what it is not"),
    wasmtime.TrapCode.INTEGER_OVERFLOW: ("trap", "a division of whole numbers has no answer that fits"),
    wasmtime.TrapCode.INTEGER_DIVISION_BY_ZERO: ("trap", "it divided by zero"),
    wasmtime.TrapCode.BAD_CONVERSION_TO_INTEGER: (
        "trap",
        "it made a whole number of one that is none or too large",
    ),
    wasmtime.TrapCode.UNREACHABLE: ("trap", "it gave up (abort, or a failed assertion)"),
}

_Deadline = ctypes.CFUNCTYPE(
    ctypes.c_size_t,
    ctypes.POINTER(ffi.wasmtime_context_t),
    ctypes.c_void_p,
    ctypes.POINTER(ctypes.c_uint64),
    ctypes.POINTER(ffi.wasmtime_update_deadline_kind_t),
)
_Trap = ctypes.POINTER(ffi.wasm_trap_t)
_names: dict[str, Any] = {}  # of exports, as C wants them: those of the ABIs, and of globals
_Finalizer = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_NOTHING: Any = ctypes.cast(0, _Finalizer)
_TYPES: dict[str, Callable[[], Any]] = {"i32": wasmtime.ValType.i32, "i64": wasmtime.ValType.i64}


def flags(settings: str) -> str:
    """What compiled code depends on, beside the module."""
    return f"{version('wasmtime')} {platform.system()} {platform.machine()} {settings}"


class Halted(Exception):
    """A module is over before its end. `outcome` as in `wire.Outcome`; `words` say why, for people."""

    def __init__(self, outcome: str, words: str) -> None:
        super().__init__(words)
        self.outcome, self.words = outcome, words


class Compiled:
    """A module that may be run. `globals`: names under which its mutable globals are exported, of a "slice" module."""

    def __init__(self, pre: wasmtime.InstancePre, shape: Shape, globals: list[str]) -> None:
        self.pre = pre
        self.globals = globals
        self.kinds = [shape.globals[int(name.removeprefix(modules.OURS))][0] for name in globals]
        self.trusted: set[str] = set()  # functions whose signature wasmtime has confirmed
        self.functions = {name for name, (kind, _) in shape.exports.items() if kind == FUNCTION}


class Engine:
    """Compiles and keeps modules, for one setting of NaNs.

    Args:
        folder: private, of compiled modules.
        on_tick: called in the thread of the module after each `tick`; what it raises ends the module, and comes out of `Instance.call`.
        on_call: a call to WASI: (name, unsigned arguments) to its errno.
    """

    def __init__(
        self,
        folder: Path,
        on_tick: Callable[[], None],
        on_call: Callable[[str, list[int]], int],
        *,
        canonical_nans: bool = False,
    ) -> None:
        config = wasmtime.Config()
        config.epoch_interruption = True
        config.parallel_compilation = False  # one lent core is one core
        config.max_wasm_stack = STACK
        config.wasm_relaxed_simd_deterministic = True
        for feature in OFF:
            setattr(config, feature, False)
        if canonical_nans:
            ffi.wasmtime_config_cranelift_nan_canonicalization_set(config.ptr(), True)
        self.engine = wasmtime.Engine(config)
        self.pointer = self.engine.ptr()
        self.raised: BaseException | None = None  # what a callback raised, on its way out
        self._code = CompiledCode(folder, flags(f"nans={canonical_nans} 1"))
        self._kept: OrderedDict[tuple[bytes, Abi], Compiled] = OrderedDict()
        self._on_tick = on_tick
        self._linker = wasmtime.Linker(self.engine)
        self._callbacks: list[Any] = []  # ctypes' functions live as long as something here holds them
        for name, (takes, gives) in FUNCTIONS.items():
            self._define(name, takes, gives, on_call)
        self.deadline = _Deadline(self._deadline)

    def tick(self) -> None:
        """From any thread."""
        self.engine.increment_epoch()

    # -- modules

    def has(self, digest: bytes, abi: Abi) -> bool:
        """Whether `load` needs no time."""
        return (digest, abi) in self._kept

    def load(self, digest: bytes, abi: Abi, limits: Limits, read: Callable[[], bytes]) -> Compiled:
        """The module with this SHA-256, compiled, from memory, from our folder, or from what `read` gives.

        Raises:
            Halted: it does not compile, does not fit the ABI, or is not what its hash says.
        """
        key = (digest, abi)
        if (kept := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return kept
        module = read()
        if hashlib.sha256(module).digest() != digest:
            raise Halted("module", "it is not the module that its manifest names")
        try:
            shape = modules.read(module)
            modules.fit(shape, module, abi, limits)
        except Unfit as why:
            raise Halted("module", str(why)) from None
        changed, names = modules.with_globals(module, shape) if abi == "slice" else (module, [])
        try:
            compiled = self._compiled(digest, abi, changed)
            pre = self._linker.instantiate_pre(compiled)
        except wasmtime.WasmtimeError as wrong:
            raise Halted("module", f"it does not compile: {_line(wrong)}") from None
        self._kept[key] = made = Compiled(pre, shape, names)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return made

    def _compiled(self, digest: bytes, abi: Abi, module: bytes) -> wasmtime.Module:
        if (code := self._code.get(digest, abi)) is not None:
            try:
                return wasmtime.Module.deserialize(self.engine, code)
            except wasmtime.WasmtimeError:
                pass  # of another processor: compiled anew
        compiled = wasmtime.Module(self.engine, module)
        self._code.keep(digest, abi, bytes(compiled.serialize()))
        return compiled

    # -- what wasmtime calls

    def _define(
        self,
        name: str,
        takes: tuple[str, ...],
        gives: tuple[str, ...],
        on_call: Callable[[str, list[int]], int],
    ) -> None:
        wide = [kind == "i64" for kind in takes]
        narrow = None if any(wide) else range(len(takes))

        def called(_env: Any, _caller: Any, values: Any, _count: int) -> Any:
            try:
                if narrow:
                    arguments = [values[i].i32 & 0xFFFFFFFF for i in narrow]
                else:
                    arguments = [
                        values[i].i64 & 0xFFFFFFFFFFFFFFFF if w else values[i].i32 & 0xFFFFFFFF
                        for i, w in enumerate(wide)
                    ]
                answer = on_call(name, arguments)
                if gives:
                    values[0].i32 = answer
                return 0
            except BaseException as raised:  # noqa: BLE001 - it comes out of `Instance.call`; through C it cannot go
                self.raised = raised
                return _address(wasmtime.Trap("ended")._consume())

        callback = ffi.wasmtime_func_unchecked_callback_t(called)
        self._callbacks.append(callback)
        kind = wasmtime.FuncType([_TYPES[t]() for t in takes], [_TYPES[g]() for g in gives])
        place, said = modules.WASI.encode(), name.encode()
        error = ffi.wasmtime_linker_define_func_unchecked(
            self._linker.ptr(),
            ctypes.create_string_buffer(place),
            len(place),
            ctypes.create_string_buffer(said),
            len(said),
            kind.ptr(),
            callback,
            None,
            _NOTHING,
        )
        if error:
            raise wasmtime.WasmtimeError._from_ptr(error)

    def _deadline(self, _context: Any, _data: Any, delta: Any, kind: Any) -> int:
        delta[0] = 1
        kind[0] = 0  # WASMTIME_UPDATE_DEADLINE_CONTINUE
        try:
            self._on_tick()
        except BaseException as raised:  # noqa: BLE001 - as above
            self.raised = raised
            return _address(wasmtime.WasmtimeError("ended")._consume()) or 0
        return 0


class Instance:
    """One run of a module. Close it; nothing of it is left then.

    Raises:
        Halted: its memory or its start function does not fit.
    """

    def __init__(self, engine: Engine, compiled: Compiled, limits: Limits) -> None:
        self._engine, self._compiled = engine, compiled
        self._store: Any = ffi.wasmtime_store_new(engine.pointer, None, _NOTHING)
        self._context = ffi.wasmtime_store_context(self._store)
        self._instance = ffi.wasmtime_instance_t()
        self._trap = _Trap()
        self._functions: dict[str, Any] = {}
        self._place: tuple[int, int] | None = (
            None  # of memory: address and bytes, until the module runs again
        )
        ffi.wasmtime_store_limiter(self._store, limits.memory_bytes, TABLE_ELEMENTS, 1, 16, 1)
        ffi.wasmtime_store_epoch_deadline_callback(self._store, engine.deadline, None, _NOTHING)
        ffi.wasmtime_context_set_epoch_deadline(self._context, 1)
        try:
            self._begin(compiled)
        except BaseException:
            self.close()
            raise

    def _begin(self, compiled: Compiled) -> None:
        error = ffi.wasmtime_instance_pre_instantiate(
            compiled.pre.ptr(), self._context, ctypes.byref(self._instance), ctypes.byref(self._trap)
        )
        self._over(error)
        memory = self._export("memory")
        if memory.kind != ffi.WASMTIME_EXTERN_MEMORY.value:
            raise Halted("module", 'it has no memory exported as "memory"')
        self._memory = memory.of.memory
        self._globals = [self._export(name).of.global_ for name in compiled.globals]

    def close(self) -> None:
        """Its memory goes back to the system. Twice does no harm."""
        store, self._store = self._store, None
        self._place = (0, 0)
        if store is not None:
            ffi.wasmtime_store_delete(store)

    def exports(self, name: str) -> bool:
        """Whether there is such a function."""
        return name in self._compiled.functions

    def call(self, name: str, arguments: Iterable[int] = (), gives: str = "") -> Any:
        """Calls an exported function with 32-bit numbers.

        Args:
            gives: "i32", "i64" or "f64"; empty for nothing.

        Raises:
            Halted: a trap. And what `on_tick` or `on_call` raised.
        """
        function = self._functions.get(name)
        if function is None:
            function = self._functions[name] = self._function(name)
        values = (ffi.wasmtime_val_raw_t * 4)()
        count = 0
        for value in arguments:
            values[count].i32 = value if value < 2**31 else value - 2**32
            count += 1
        error = ffi.wasmtime_func_call_unchecked(
            self._context, ctypes.byref(function), values, max(count, 1), ctypes.byref(self._trap)
        )
        self._place = None
        self._over(error)
        return getattr(values[0], gives) if gives else None

    # -- memory; see `wasi.Memory`

    def moved(self) -> None:
        """The module ran: its memory may have grown."""
        self._place = None

    def _look(self) -> tuple[int, int]:
        if self._place is None:
            memory = ctypes.byref(self._memory)
            data = ffi.wasmtime_memory_data(self._context, memory)
            size = int(ffi.wasmtime_memory_data_size(self._context, memory))
            self._place = (ctypes.addressof(data.contents) if size else 0, size)
        return self._place

    @property
    def size(self) -> int:
        """Bytes of linear memory now."""
        return self._look()[1]

    def _at(self, at: int, size: int) -> int:
        """The address on this machine. Raises Outside."""
        base, most = self._place or self._look()
        if at < 0 or size < 0 or at + size > most:
            raise Outside
        return base + at

    def read(self, at: int, size: int) -> bytes:
        return ctypes.string_at(self._at(at, size), size)

    def write(self, at: int, data: bytes) -> None:
        ctypes.memmove(self._at(at, len(data)), data, len(data))

    def view(self, at: int, size: int) -> memoryview:
        """The memory itself, good until the module runs again or is closed."""
        start = self._at(at, size)
        if not size:
            return memoryview(b"")
        return memoryview((ctypes.c_ubyte * size).from_address(start)).cast("B")

    def grow_to(self, pages: int) -> None:
        """Raises Halted where there is more already, or no room."""
        more = pages - self.size // PAGE
        before = ctypes.c_uint64()
        if more < 0:
            raise Halted("checkpoint", "it holds less memory than the module begins with")
        error = ffi.wasmtime_memory_grow(
            self._context, ctypes.byref(self._memory), more, ctypes.byref(before)
        )
        self._place = None
        if error:
            raise Halted(
                "checkpoint", f"its memory has no room: {_line(wasmtime.WasmtimeError._from_ptr(error))}"
            )

    # -- globals

    def globals(self) -> list[bytes]:
        """The bytes of each mutable one, little-endian."""
        found = []
        for one, kind in zip(self._globals, self._compiled.kinds, strict=True):
            value = ffi.wasmtime_val_t()
            ffi.wasmtime_global_get(self._context, ctypes.byref(one), ctypes.byref(value))
            found.append(bytes(ctypes.string_at(ctypes.addressof(value.of), _WIDTHS[kind])))
        return found

    def set_globals(self, values: list[bytes]) -> None:
        """Raises Halted where they are not those of this module."""
        kinds = self._compiled.kinds
        if [len(value) for value in values] != [_WIDTHS[kind] for kind in kinds]:
            raise Halted("checkpoint", "its globals are not those of the module")
        for one, kind, data in zip(self._globals, kinds, values, strict=True):
            value = ffi.wasmtime_val_t()
            value.kind = _KINDS[kind]  # type: ignore[assignment]
            ctypes.memmove(ctypes.addressof(value.of), data, len(data))
            error = ffi.wasmtime_global_set(self._context, ctypes.byref(one), ctypes.byref(value))
            if error:
                raise Halted("checkpoint", _line(wasmtime.WasmtimeError._from_ptr(error)))

    # -- what went wrong

    def _function(self, name: str) -> Any:
        """It is called with bare numbers, which wasmtime does not check: once for each module, its own word on the signature has to be ours."""
        item = self._export(name)
        if name not in self._compiled.trusted:
            if item.kind != ffi.WASMTIME_EXTERN_FUNC.value:
                raise Halted("module", f"what it exports as {name} is no function")
            kind = wasmtime.FuncType._from_ptr(
                ffi.wasmtime_func_type(self._context, ctypes.byref(item.of.func)), None
            )
            found = tuple(map(str, kind.params)), tuple(map(str, kind.results))
            wanted = modules.ALL[name]
            if found != wanted:
                raise Halted("module", f"what it exports as {name} is not {modules.written(name, wanted)}")
            self._compiled.trusted.add(name)
        return item.of.func

    def _export(self, name: str) -> Any:
        item = ffi.wasmtime_extern_t()
        said = _names.get(name) or _names.setdefault(name, ctypes.create_string_buffer(name.encode()))
        found = ffi.wasmtime_instance_export_get(
            self._context,
            ctypes.byref(self._instance),
            said,
            len(said) - 1,
            ctypes.byref(item),
        )
        if not found:
            raise Halted("module", f"it does not export {name}")
        return item

    def _over(self, error: Any) -> None:
        """Raises what ended a call, if something did."""
        if not error and not self._trap:
            return
        trap, self._trap = self._trap, _Trap()
        raised, self._engine.raised = self._engine.raised, None
        wrong = wasmtime.WasmtimeError._from_ptr(error) if error else None
        stopped = wasmtime.Trap._from_ptr(trap) if trap else None
        if raised is not None:
            raise raised
        if stopped is not None:
            try:
                code = stopped.trap_code
            except ValueError:  # one that this version of the wrapper does not know
                code = None
            outcome, words = TRAPS.get(code, ("trap", _line(stopped))) if code else ("trap", _line(stopped))
            raise Halted(outcome, words)
        said = _line(wrong)
        if "memory" in said and "limit" in said:
            raise Halted("memory", f"it begins with more memory than it may have ({said})")
        raise Halted("trap", said)


_WIDTHS = {"i32": 4, "i64": 8, "f32": 4, "f64": 8, "v128": 16}
_KINDS = {
    "i32": ffi.WASMTIME_I32.value,
    "i64": ffi.WASMTIME_I64.value,
    "f32": ffi.WASMTIME_F32.value,
    "f64": ffi.WASMTIME_F64.value,
    "v128": ffi.WASMTIME_V128.value,
}


def _address(pointer: Any) -> int | None:
    return ctypes.cast(pointer, ctypes.c_void_p).value


def _line(wrong: object) -> str:
    """The part of wasmtime's message that says what happened, on one line: its end."""
    lines = [line.strip() for line in str(wrong).splitlines() if line.strip()]
    return (lines[-1] if lines else "no reason given")[:300]
