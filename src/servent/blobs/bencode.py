"""Bencode, BitTorrent's plain encoding (BEP 3): an encoder, and a strict reader for bytes from outside.

The reader takes only the one canonical form of a value: no leading zeros, no minus zero, the keys of a
dictionary strictly ascending. What it accepts encodes back to the same bytes.
"""

from __future__ import annotations

from servent.errors import BadMessage

Value = int | bytes | list["Value"] | dict[bytes, "Value"]

MAX_DEPTH = 100  # lists and dictionaries inside each other
MAX_VALUES = (
    2_000_000  # read by one reader's `value`; an empty dictionary is two bytes outside and 64 in memory
)
_MAX_DIGITS = 20  # of an integer or a length

_D, _E, _I, _L, _0, _9, _MINUS = b"deil09-"


class Reader:
    """Walks over `data` from the front. Every method raises BadMessage and moves on only over what it took."""

    __slots__ = ("_left", "at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self._left = MAX_VALUES

    def peek(self) -> int:
        """The next byte, not taken; -1 at the end."""
        return self.data[self.at] if self.at < len(self.data) else -1

    def take(self, byte: bytes) -> None:
        """Take exactly this one byte."""
        if self.data[self.at : self.at + 1] != byte:
            raise BadMessage(f"bencode: {byte!r} expected at byte {self.at}")
        self.at += 1

    def taken(self, byte: int) -> bool:
        """Whether the next byte was `byte`; then it is taken."""
        if self.at < len(self.data) and self.data[self.at] == byte:
            self.at += 1
            return True
        return False

    def string(self) -> bytes:
        """A byte string."""
        data, at = self.data, self.at
        colon = data.find(b":", at, at + _MAX_DIGITS)
        digits = data[at:colon] if colon > at else b""
        if not digits.isdigit() or (digits[0] == _0 and len(digits) > 1):
            raise BadMessage(f"bencode: no string at byte {at}")
        size = int(digits)
        if size > len(data) - colon - 1:
            raise BadMessage(f"bencode: a string of {size} bytes goes past the end")
        self.at = colon + 1 + size
        return data[colon + 1 : self.at]

    def integer(self) -> int:
        """A whole number of at most 20 digits."""
        data, at = self.data, self.at
        end = data.find(b"e", at, at + _MAX_DIGITS + 3)
        digits = data[at + 1 : end] if end > at and data[at] == _I else b""
        plain = digits[1:] if digits.startswith(b"-") else digits
        if not plain.isdigit() or (plain[0] == _0 and digits != b"0"):
            raise BadMessage(f"bencode: no integer at byte {at}")
        self.at = end + 1
        return int(digits)

    def key(self, previous: bytes | None) -> bytes:
        """A dictionary's next key, which must sort after `previous`."""
        key = self.string()
        if previous is not None and key <= previous:
            raise BadMessage(f"bencode: key {key[:40]!r} is a duplicate or out of order")
        return key

    def value(self, depth: int = 0) -> Value:
        """Whatever comes next."""
        kind = self.peek()
        self._left -= 1
        if self._left < 0:
            raise BadMessage(f"bencode: more than {MAX_VALUES} values")
        if kind == _I:
            return self.integer()
        if _0 <= kind <= _9:
            return self.string()
        if depth >= MAX_DEPTH:
            raise BadMessage(f"bencode: nested deeper than {MAX_DEPTH}")
        if self.taken(_L):
            items: list[Value] = []
            while not self.taken(_E):
                items.append(self.value(depth + 1))
            return items
        if self.taken(_D):
            entries: dict[bytes, Value] = {}
            key: bytes | None = None
            while not self.taken(_E):
                key = self.key(key)
                entries[key] = self.value(depth + 1)
            return entries
        raise BadMessage(f"bencode: nothing begins at byte {self.at}")

    def end(self) -> None:
        """Nothing may follow."""
        if self.at != len(self.data):
            raise BadMessage(f"bencode: {len(self.data) - self.at} bytes too many")


def decode(data: bytes, limit_bytes: int) -> Value:
    """The one value that `data` is.

    Raises:
        BadMessage: too long, not canonical, nested too deep, or something follows.
    """
    if len(data) > limit_bytes:
        raise BadMessage(f"bencode of {len(data)} bytes, over the limit of {limit_bytes}")
    reader = Reader(data)
    value = reader.value()
    reader.end()
    return value


def string(text: bytes) -> bytes:
    """One encoded byte string."""
    return b"%d:%s" % (len(text), text)


def encode(value: Value) -> bytes:
    """The canonical form of `value`."""
    match value:
        case int():
            return b"i%de" % value
        case bytes():
            return string(value)
        case list():
            return b"l" + b"".join([encode(item) for item in value]) + b"e"
        case dict():
            return b"d" + b"".join([string(key) + encode(value[key]) for key in sorted(value)]) + b"e"
