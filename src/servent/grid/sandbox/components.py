"""What a component says of itself, read without compiling it, and whether it is a Python app that may run here. Pure.

The ABI "python" is a component as `componentize-py` makes it: CPython with a program in it, from the world below. It may ask for interfaces
of WASI 0.2, all of which are of our making, and most of which end the unit; and it exports `run`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from servent.grid.manifests import MODULE_BYTES
from servent.grid.sandbox.modules import Reader, Unfit, leb

MAGIC = b"\0asm\x0d\0\x01\0"
RUN = "run"
ABOUT = "servent:app"  # the custom section that says what the app is
ABOUT_BYTES = 16 * 1024
WORLD = """package servent:unit@1.0.0;

world python {
  export run: func(input: string, args: list<string>) -> result<string, string>;
}
"""
_CUSTOM, _IMPORTS, _EXPORTS, _LAST = 0, 10, 11, 12
_WASI = """
    cli/environment cli/exit cli/stderr cli/stdin cli/stdout cli/terminal-input cli/terminal-output cli/terminal-stderr cli/terminal-stdin
    cli/terminal-stdout clocks/monotonic-clock clocks/timezone clocks/wall-clock filesystem/preopens filesystem/types io/error io/poll
    io/streams random/insecure random/insecure-seed random/random sockets/instance-network sockets/ip-name-lookup sockets/network
    sockets/tcp sockets/tcp-create-socket sockets/udp sockets/udp-create-socket"""
INTERFACES = frozenset(f"wasi:{name}" for name in _WASI.split())


@dataclass(slots=True)
class Outline:
    """Names of what a component imports and exports. `about`: what its builder said of it, JSON."""

    imports: list[str] = field(default_factory=list)
    exports: list[str] = field(default_factory=list)
    about: bytes = b""


def is_component(data: bytes) -> bool:
    """Whether it begins as components do."""
    return data.startswith(MAGIC)


def read(data: bytes) -> Outline:
    """Names on the outside of a component; what it is made of is the engine's to read. Raises Unfit."""
    if len(data) > MODULE_BYTES:
        raise Unfit(f"it has {len(data)} bytes, more than {MODULE_BYTES}")
    if not data.startswith(b"\0asm"):
        raise Unfit("it is not WebAssembly")
    if not is_component(data):
        raise Unfit("it is no component; a Python app is one")
    found, at = Outline(), len(MAGIC)
    while at < len(data):
        head = Reader(data, at, len(data))
        which, size = head.byte(), head.number()
        begin, end = head.at, head.at + size
        if end > len(data):
            raise Unfit("a section says that it is longer than the component")
        if which > _LAST:
            raise Unfit(f"it has a section of an unknown kind ({which})")
        section = Reader(data, begin, end)
        if which == _CUSTOM and size <= ABOUT_BYTES and section.name() == ABOUT:
            found.about = data[section.at : end]
        elif which == _IMPORTS:
            for _ in range(section.count()):
                found.imports.append(_name(section))
                _description(section)
        elif which == _EXPORTS:
            for _ in range(section.count()):
                found.exports.append(_name(section))
                if section.byte() == 0:  # of a core sort: one byte more
                    section.byte()
                section.number()
                if section.byte():
                    _description(section)
        at = end
    return found


def fit(data: bytes) -> Outline:
    """Raises Unfit where it is no Python app that may run here. What it is made of and how `run` is called the engine looks at."""
    found = read(data)
    for name in found.imports:
        if interface(name) not in INTERFACES:
            raise Unfit(f"it wants {name[:100]}, which is not offered")
    if len(set(found.imports)) != len(found.imports):
        raise Unfit("it names an import twice")
    if RUN not in found.exports:
        raise Unfit("it must export run(input: string, args: list<string>) -> result<string, string>")
    return found


def section(about: bytes) -> bytes:
    """To be put behind a component: what it is. At most `ABOUT_BYTES`."""
    body = leb(len(ABOUT)) + ABOUT.encode() + about
    return bytes([_CUSTOM]) + leb(len(body)) + body


def interface(name: str) -> str:
    """ "wasi:io/poll@0.2.9" -> "wasi:io/poll"; nothing for a version that is not 0.2."""
    base, _, version = name.partition("@")
    return base if version.startswith("0.2.") else ""


def _name(section: Reader) -> str:
    kind = section.byte()
    if kind > 1:
        raise Unfit("a name in it is of a kind that is not offered")
    return section.name()


def _description(section: Reader) -> None:
    """Steps over what an import or export is."""
    kind = section.byte()
    if kind == 0:  # a core module
        section.byte()
        section.number()
    elif kind in (1, 4, 5):  # a function, a component, an instance, by the number of its type
        section.number()
    elif kind == 3:  # a type
        if section.byte() == 0:
            section.number()
    else:
        raise Unfit("it asks for something that is not offered")
