"""What a game's state is made of, its one form in bytes, its checksum, and where two states first differ. Pure.

A state is plain data: None, bool, int, str, bytes, list, tuple, and dict with keys of int or str. Floats only where a game asks
for them (mode `authority`), since sums of floats differ between versions of Python. Equal states have equal bytes whatever
the order in which a dict was filled, and a state that is read back has the very types it was written with. Neither holds for
pickle and marshal (their bytes depend on which objects are shared), nor for MessagePack (no tuples).
"""

from __future__ import annotations

import math
import struct
from hashlib import sha256
from typing import Any, NamedTuple

from servent.errors import BadMessage, UsageError

State = Any  # plain data as above; Python's types cannot say it without a wall of casts in each game

DEEPEST = 32  # containers inside each other
MOST_STATE = (
    4 * 1024 * 1024
)  # bytes; a snapshot for somebody who joins has to fit into two seconds of a slow line
MOST_INT_BYTES = 64  # of one int; wider ones are mistakes, or an attack on those who multiply them
CHECKSUM_BYTES = 8
SHOWN = 60  # characters of a value in a difference

_NONE, _TRUE, _FALSE, _INT, _FLOAT, _STR, _BYTES, _LIST, _TUPLE, _DICT = b"NTFidsbltm"


class Difference(NamedTuple):
    """The first place where two states differ: `ships[1].vx`, and what stands there on each side."""

    path: str
    left: str
    right: str

    def __str__(self) -> str:
        return f"{self.path or 'the state'} {self.left} ≠ {self.right}"


class NotPlain(UsageError):
    """A state holds something that has no bytes of its own."""

    advice = (
        "Keep whole numbers, text, bytes, lists, tuples and dicts (keys: text or whole numbers) in the state."
    )


def pack(state: State, *, floats: bool = False) -> bytes:
    """The canonical bytes of `state`: keys sorted, ints before texts; about 0.3 µs for each value.

    Args:
        floats: whether finite floats are let through.

    Raises:
        NotPlain: it holds something else, naming the place; is deeper than 32; or has more than 4 MiB.
    """
    out = bytearray()
    _pack(state, out, floats, "", 0)
    if len(out) > MOST_STATE:
        raise NotPlain(f"a state of {len(out)} bytes, over the limit of {MOST_STATE}")
    return bytes(out)


def unpack(data: bytes, *, floats: bool = False) -> State:
    """The state that `pack` made `data` of, with the same types. Only canonical bytes are read.

    Raises:
        BadMessage: these are no canonical bytes of a state, or too many.
    """
    if len(data) > MOST_STATE:
        raise BadMessage(f"state of {len(data)} bytes, over the limit of {MOST_STATE}")
    state, end = _Reader(data, floats).value(0, 0)
    if end != len(data):
        raise BadMessage(f"{len(data) - end} bytes behind a state")
    return state


def checksum(state: State, *, floats: bool = False) -> int:
    """64 bits of the canonical bytes' SHA-256. Raises NotPlain as `pack`."""
    return int.from_bytes(sha256(pack(state, floats=floats)).digest()[:CHECKSUM_BYTES], "big")


def difference(left: State, right: State) -> Difference | None:
    """The first place, in the order of the canonical bytes, where two states differ; None: they are the same."""
    return _difference(left, right, "")


def same(left: State, right: State) -> bool:
    """Whether two states have the same bytes: `1` is not `True` here, and a list no tuple."""
    return difference(left, right) is None


def _pack(value: State, out: bytearray, floats: bool, path: str, depth: int) -> None:
    kind = type(value)
    if kind is int:
        out.append(_INT)
        _pack_int(value, out, path)
    elif kind is bool:
        out.append(_TRUE if value else _FALSE)
    elif value is None:
        out.append(_NONE)
    elif kind is str:
        try:
            data = value.encode()
        except UnicodeEncodeError as wrong:
            raise NotPlain(f"{path or 'the state'} is a text with half a character in it") from wrong
        out.append(_STR)
        _pack_size(len(data), out)
        out += data
    elif kind is bytes:
        out.append(_BYTES)
        _pack_size(len(value), out)
        out += value
    elif depth >= DEEPEST:
        raise NotPlain(f"{path} lies deeper than {DEEPEST} containers")
    elif kind is list or kind is tuple:
        out.append(_LIST if kind is list else _TUPLE)
        _pack_size(len(value), out)
        for index, item in enumerate(value):
            _pack(item, out, floats, f"{path}[{index}]", depth + 1)
    elif kind is dict:
        out.append(_DICT)
        _pack_size(len(value), out)
        for key in _keys(value, path):
            _pack(key, out, floats, path, depth + 1)
            _pack(value[key], out, floats, _below(path, key), depth + 1)
    elif kind is float and floats and math.isfinite(value):
        out.append(_FLOAT)
        out += struct.pack(">d", value)
    else:
        raise NotPlain(f"{path or 'the state'} is {_a(value)}", advice=_instead(value))


def _a(value: State) -> str:
    kind = type(value).__name__
    if type(value) is float:
        return f"the float {value!r}"
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _instead(value: State) -> str | None:
    if isinstance(value, float):
        return "Count in whole numbers: hundredths, or 1/256 of a cell; floats are for mode authority, and finite."
    if isinstance(value, set | frozenset):
        return "Keep a sorted list, or a dict with True as values: the order of a set differs from process to process."
    if isinstance(value, bytearray | memoryview):
        return "Keep bytes: work on a bytearray within `step`, and put bytes(it) into the state."
    return None


def _keys(value: dict[Any, Any], path: str) -> list[Any]:
    numbers, texts = [], []
    for key in value:
        if type(key) is int:
            numbers.append(key)
        elif type(key) is str:
            texts.append(key)
        else:
            raise NotPlain(f"{path or 'the state'} has {_a(key)} as a key")
    return sorted(numbers) + sorted(texts)


def _below(path: str, key: int | str) -> str:
    if isinstance(key, str) and key.isidentifier():
        return f"{path}.{key}" if path else key
    return f"{path}[{key!r}]"


def _pack_size(size: int, out: bytearray) -> None:
    while size > 127:
        out.append(size & 127 | 128)
        size >>= 7
    out.append(size)


def _width(value: int) -> int:
    """Bytes of a whole number as two's complement, the sign in them."""
    return ((value if value >= 0 else ~value).bit_length() + 8) // 8


def _pack_int(value: int, out: bytearray, path: str) -> None:
    if -64 <= value < 64:
        out.append(value & 127)
        return
    size = _width(value)
    if size > MOST_INT_BYTES:
        raise NotPlain(f"{path or 'the state'} is a whole number of {value.bit_length()} bits")
    out.append(128 | size)
    out += value.to_bytes(size, "big", signed=True)


class _Reader:
    """Reads canonical bytes; all that is not exactly what `pack` writes is refused."""

    def __init__(self, data: bytes, floats: bool) -> None:
        self._data, self._floats = data, floats

    def value(self, at: int, depth: int) -> tuple[State, int]:
        tag = self._byte(at)
        at += 1
        if tag == _INT:
            return self._int(at)
        if tag == _NONE:
            return None, at
        if tag in (_TRUE, _FALSE):
            return tag == _TRUE, at
        if tag == _FLOAT and self._floats:
            (number,) = struct.unpack(">d", self._slice(at, 8))
            if not math.isfinite(number):
                raise BadMessage("a float without end in a state")
            return number, at + 8
        size, at = self._size(at)
        if tag == _BYTES:
            return self._slice(at, size), at + size
        if tag == _STR:
            try:
                return self._slice(at, size).decode(), at + size
            except UnicodeDecodeError as wrong:
                raise BadMessage("a text in a state is no UTF-8") from wrong
        if depth >= DEEPEST:
            raise BadMessage(f"a state deeper than {DEEPEST} containers")
        if size > len(self._data) - at:  # each value has a byte at least: nothing is allocated for a lie
            raise BadMessage("a state promises more than it has")
        if tag == _DICT:
            return self._dict(at, size, depth)
        if tag != _LIST and tag != _TUPLE:
            raise BadMessage(f"{tag:#x} is no kind of value")
        items = []
        for _ in range(size):
            item, at = self.value(at, depth + 1)
            items.append(item)
        return (items if tag == _LIST else tuple(items)), at

    def _dict(self, at: int, size: int, depth: int) -> tuple[State, int]:
        found: dict[Any, State] = {}
        last: tuple[bool, Any] | None = None
        for _ in range(size):
            key, at = self.value(at, depth + 1)
            if type(key) is not int and type(key) is not str:
                raise BadMessage("a key of a state is neither text nor whole number")
            order = (type(key) is str, key)
            if last is not None and order <= last:
                raise BadMessage("the keys of a state are out of order")
            last = order
            found[key], at = self.value(at, depth + 1)
        return found, at

    def _int(self, at: int) -> tuple[int, int]:
        first = self._byte(at)
        at += 1
        if first < 128:
            return (first - 128 if first >= 64 else first), at
        size = first & 127
        if size > MOST_INT_BYTES:
            raise BadMessage("too wide a whole number in a state")
        number = int.from_bytes(self._slice(at, size), "big", signed=True)
        if -64 <= number < 64 or _width(number) != size:
            raise BadMessage("a whole number of a state is written too wide")
        return number, at + size

    def _size(self, at: int) -> tuple[int, int]:
        size = shift = 0
        while True:
            byte = self._byte(at)
            at += 1
            size |= (byte & 127) << shift
            if byte < 128:
                if byte == 0 and shift:
                    raise BadMessage("a size of a state is written too wide")
                return size, at
            shift += 7
            if shift > 28:
                raise BadMessage("too big a size in a state")

    def _byte(self, at: int) -> int:
        if at >= len(self._data):
            raise BadMessage("a state ends in the middle")
        return self._data[at]

    def _slice(self, at: int, size: int) -> bytes:
        if at + size > len(self._data):
            raise BadMessage("a state ends in the middle")
        return self._data[at : at + size]


def _difference(left: State, right: State, path: str) -> Difference | None:
    if type(left) is not type(right):
        return Difference(
            path, f"{_short(left)} ({type(left).__name__})", f"{_short(right)} ({type(right).__name__})"
        )
    if isinstance(left, dict):
        both = {**left, **right}
        for key in sorted(both, key=lambda key: (isinstance(key, str), key)):
            below = _below(path, key)
            if key not in left:
                return Difference(below, "nothing", _short(right[key]))
            if key not in right:
                return Difference(below, _short(left[key]), "nothing")
            if found := _difference(left[key], right[key], below):
                return found
        return None
    if isinstance(left, list | tuple):
        for index, (one, other) in enumerate(zip(left, right, strict=False)):
            if found := _difference(one, other, f"{path}[{index}]"):
                return found
        if len(left) != len(right):
            return Difference(path, f"{len(left)} items", f"{len(right)} items")
        return None
    if left == right and (type(left) is not float or repr(left) == repr(right)):  # 0.0 is not -0.0
        return None
    if isinstance(left, bytes):
        if len(left) != len(right):
            return Difference(path, f"{len(left)} bytes", f"{len(right)} bytes")
        index = next(at for at in range(len(left)) if left[at] != right[at])
        return Difference(f"{path}[{index}]", str(left[index]), str(right[index]))
    return Difference(path, _short(left), _short(right))


def _short(value: State) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
