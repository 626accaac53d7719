"""What a WebAssembly module says of itself, read without running or compiling it; and whether that fits an ABI. Pure.

The engine validates again and decides; this says early, and in words for people, what does not fit. It also makes the one change that
"slice" needs: every mutable global is exported, so that it can be kept in a snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from servent.grid.manifests import MODULE_BYTES, PAGE, Abi, Limits
from servent.grid.sandbox.opcodes import Strange, changes_tables
from servent.grid.sandbox.wasi import FUNCTIONS

MAGIC = b"\0asm\x01\0\0\0"
WASI = "wasi_snapshot_preview1"
OURS = "servent:"  # how names of exports begin that we add
MOST_ITEMS = 1_000_000  # entries of one section; the engine's own limit
MOST_GLOBALS = 10_000  # mutable ones of a "slice" module
MOST_NAME = 100_000  # bytes
TYPES = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64", 0x7B: "v128", 0x70: "funcref", 0x6F: "externref"}
NUMBERS = ("i32", "i64", "f32", "f64", "v128")
FUNCTION, TABLE, MEMORY, GLOBAL = 0, 1, 2, 3

Signature = tuple[tuple[str, ...], tuple[str, ...]]

COMMAND: dict[str, Signature] = {"_start": ((), ())}
SLICE: dict[str, Signature] = {
    "alloc": (("i32",), ("i32",)),
    "begin": (("i32", "i32"), ("i32",)),
    "slice": ((), ("i32",)),
    "result": ((), ("i64",)),
}
OPTIONAL: dict[str, Signature] = {
    "fraction": ((), ("f64",)),
    "picture": ((), ("i64",)),
    "_initialize": ((), ()),
}
ALL: dict[str, Signature] = {**COMMAND, **SLICE, **OPTIONAL}


class Unfit(ValueError):
    """Why a module cannot run here, in words that can be printed, whatever names the module has."""

    def __init__(self, words: str) -> None:
        super().__init__(printable(words))


@dataclass(slots=True)
class Shape:
    """`functions`: signature of each, imported ones first. `globals`: (type, mutable) of each. `memory`: (first pages, most pages or None)."""

    imports: list[tuple[str, str, Signature | None]] = field(default_factory=list)
    functions: list[Signature] = field(default_factory=list)
    memories: list[tuple[int, int | None]] = field(default_factory=list)
    globals: list[tuple[str, bool]] = field(default_factory=list)
    exports: dict[str, tuple[int, int]] = field(default_factory=dict)
    exports_at: tuple[int, int, int] | None = None  # begin of the section, of its entries, and its end
    exports_before: int = 0  # where the section would stand
    code_at: tuple[int, int] | None = None

    def signature(self, name: str) -> Signature | None:
        """Of an exported function."""
        kind, index = self.exports.get(name, (-1, 0))
        return self.functions[index] if kind == FUNCTION and index < len(self.functions) else None


class Reader:
    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.data, self.at, self.end = data, at, end

    def byte(self) -> int:
        if self.at >= self.end:
            raise Unfit("it ends in the middle of a section")
        self.at += 1
        return self.data[self.at - 1]

    def number(self) -> int:
        value = shift = 0
        while shift < 70:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
        raise Unfit("a number in it has no end")

    def count(self) -> int:
        count = self.number()
        if count > MOST_ITEMS:
            raise Unfit(f"a section says that it has {count} entries")
        return count

    def name(self) -> str:
        size = self.number()
        if size > MOST_NAME or self.at + size > self.end:
            raise Unfit("a name in it is longer than the module")
        self.at += size
        return self.data[self.at - size : self.at].decode(errors="replace")

    def type(self) -> str:
        code = self.byte()
        if code not in TYPES:
            raise Unfit(f"it uses a type that is not offered (0x{code:02x})")
        return TYPES[code]

    def limits(self) -> tuple[int, int | None]:
        flags = self.number()
        if flags > 1:
            raise Unfit("it wants shared or 64-bit memory, which is not offered")
        first = self.number()
        return first, self.number() if flags else None

    def constant(self) -> None:
        """Steps over an initial value: one of the constant instructions, and `end`."""
        while (code := self.byte()) != 0x0B:
            if code in (0x23, 0x41, 0x42, 0xD0, 0xD2):
                self.number()
            elif code == 0x43:
                self.at += 4
            elif code == 0x44:
                self.at += 8
            elif code == 0xFD and self.number() == 12:
                self.at += 16
            elif code not in (0x6A, 0x6B, 0x6C, 0x7C, 0x7D, 0x7E):  # extended constant expressions
                raise Unfit("a global begins with a value that is not offered")


def read(module: bytes) -> Shape:
    """Reads the sections that matter here. Raises Unfit."""
    if len(module) > MODULE_BYTES:
        raise Unfit(f"it has {len(module)} bytes, more than {MODULE_BYTES}")
    if not module.startswith(b"\0asm"):
        raise Unfit("it is not WebAssembly")
    if not module.startswith(MAGIC):
        raise Unfit("it is a component or of an unknown version of WebAssembly; a core module is wanted")
    shape, types, at = Shape(), list[Signature](), len(MAGIC)
    shape.exports_before = len(module)
    while at < len(module):
        head = Reader(module, at, len(module))
        which, size = head.byte(), head.number()
        begin, end = head.at, head.at + size
        if end > len(module):
            raise Unfit("a section says that it is longer than the module")
        section = Reader(module, begin, end)
        if which == 1:
            types = _types(section)
        elif which == 2:
            _imports(section, shape, types)
        elif which == 3:
            shape.functions += [_typed(types, section.number()) for _ in range(section.count())]
        elif which == 5:
            shape.memories += [section.limits() for _ in range(section.count())]
        elif which == 6:
            for _ in range(section.count()):
                holds, mutable = section.type(), section.byte()
                section.constant()
                shape.globals.append((holds, bool(mutable)))
        elif which == 7:
            count = section.count()
            shape.exports_at = (at, section.at, end)
            for _ in range(count):
                name, kind, index = section.name(), section.byte(), section.number()
                shape.exports[name] = (kind, index)
        elif which == 10:
            shape.code_at = (begin, end)
        if which > 7 and shape.exports_before == len(module):
            shape.exports_before = at  # start, elements, data count, code, data stand behind the exports
        at = end
    return shape


def check(module: bytes, abi: Abi, limits: Limits) -> str:
    """What is wrong with `module` for `abi`, as far as can be seen without compiling it; empty where nothing is."""
    try:
        fit(read(module), module, abi, limits)
    except Unfit as why:
        return str(why)
    return ""


def fit(shape: Shape, module: bytes, abi: Abi, limits: Limits) -> None:
    """Raises Unfit where a module does not keep to the ABI, or has no room in its limits."""
    for place, name, signature in shape.imports:
        wanted = FUNCTIONS.get(name) if place == WASI else None
        if wanted is None:
            raise Unfit(f"it wants {place[:60]}.{name[:60]}, which is not offered")
        if signature is not None and signature != wanted:
            raise Unfit(f"it wants {name[:60]} with other arguments than WASI has")
    if len(shape.memories) != 1 or shape.exports.get("memory", (-1, 0))[0] != MEMORY:
        raise Unfit('it must have one memory, exported as "memory"')
    if shape.memories[0][0] * PAGE > limits.memory_bytes:
        raise Unfit(
            f"it begins with {shape.memories[0][0] * PAGE} bytes of memory; its manifest allows {limits.memory_bytes}"
        )
    wanted_all = COMMAND if abi == "command" else SLICE
    for name, wanted_here in wanted_all.items():
        if shape.signature(name) != wanted_here:
            raise Unfit(f"it must export {written(name, wanted_here)}")
    if abi == "slice":
        _fit_slice(shape, module)


def _fit_slice(shape: Shape, module: bytes) -> None:
    for name, wanted in OPTIONAL.items():
        if name in shape.exports and shape.signature(name) != wanted:
            raise Unfit(f"what it exports as {name} is not {written(name, wanted)}")
    mutable = [kind for kind, changes in shape.globals if changes]
    if len(mutable) > MOST_GLOBALS:
        raise Unfit(f"it has more than {MOST_GLOBALS} mutable globals")
    if any(kind not in NUMBERS for kind in mutable):
        raise Unfit("it has a mutable global that refers to a function, which no snapshot can hold")
    if any(name.startswith(OURS) for name in shape.exports):
        raise Unfit(f'names of exports that begin with "{OURS}" are ours')
    if shape.code_at is None:
        return
    section = Reader(module, *shape.code_at)
    for _ in range(section.count()):
        size = section.number()
        if section.at + size > section.end:
            raise Unfit("a function says that it is longer than the module")
        try:
            changes = changes_tables(module, section.at, section.at + size)
        except Strange as why:
            raise Unfit(str(why)) from None
        if changes:
            raise Unfit("it changes a table of functions while it runs, which no snapshot can hold")
        section.at += size


def with_globals(module: bytes, shape: Shape) -> tuple[bytes, list[str]]:
    """The module with each mutable global exported, and the names of these exports, in the order of the globals."""
    wanted = [index for index, (_, mutable) in enumerate(shape.globals) if mutable]
    names = [f"{OURS}{index}" for index in wanted]
    if not wanted:
        return module, []
    added = b"".join(
        leb(len(name)) + name.encode() + bytes([GLOBAL]) + leb(index)
        for name, index in zip(names, wanted, strict=True)
    )
    count = leb(len(shape.exports) + len(wanted))
    if shape.exports_at is None:
        section, before, after = count + added, shape.exports_before, shape.exports_before
    else:
        before, entries, after = shape.exports_at
        section = count + module[entries:after] + added
    return module[:before] + b"\x07" + leb(len(section)) + section + module[after:], names


def printable(words: str) -> str:
    """Without what would move a cursor, ring a bell or turn the direction of writing."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in words)


def written(name: str, signature: Signature) -> str:
    """As people write it: "alloc(i32) -> i32"."""
    takes, gives = signature
    return f"{name}({', '.join(takes)})" + (f" -> {', '.join(gives)}" if gives else "")


def _types(section: Reader) -> list[Signature]:
    found: list[Signature] = []
    for _ in range(section.count()):
        if section.byte() != 0x60:
            raise Unfit("it uses types of the garbage collection proposal, which is not offered")
        takes = tuple(section.type() for _ in range(section.count()))
        gives = tuple(section.type() for _ in range(section.count()))
        found.append((takes, gives))
    return found


def _typed(types: list[Signature], index: int) -> Signature:
    if index >= len(types):
        raise Unfit("a function has a type that is not there")
    return types[index]


def _imports(section: Reader, shape: Shape, types: list[Signature]) -> None:
    for _ in range(section.count()):
        place, name, kind = section.name(), section.name(), section.byte()
        if kind != FUNCTION:
            raise Unfit(
                f"it wants {place[:60]}.{name[:60]}, which is no function; only functions are offered"
            )
        signature = _typed(types, section.number())
        shape.imports.append((place, name, signature))
        shape.functions.append(signature)


def leb(value: int) -> bytes:
    out = bytearray()
    while True:
        byte, value = value & 0x7F, value >> 7
        if not value:
            return bytes([*out, byte])
        out.append(byte | 0x80)
