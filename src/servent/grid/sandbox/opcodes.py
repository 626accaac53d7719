"""A walk over WebAssembly instructions, to find those that change tables. Pure.

Snapshots hold memory and globals. A module that changes its tables of functions while it runs has state beside these, so it cannot be resumed
and is refused for the ABI "slice". Compilers of C, C++, Rust and Zig do not write such instructions for ordinary programs. The validity of the
code is the engine's business; here it is only stepped over. Opcodes as in the WebAssembly core specification 3.0, chapter 5.4.
"""

from __future__ import annotations

NONE, LEB, LEB2, MEMORY, FOUR, EIGHT, TABLE, TYPES, CHANGES, UNKNOWN, MISC, VECTOR = range(12)


def _table() -> bytes:
    kinds = [UNKNOWN] * 256
    for first, last, kind in (
        (0x00, 0x01, NONE),
        (0x02, 0x04, LEB),  # block, loop, if: their type
        (0x05, 0x05, NONE),
        (0x0B, 0x0B, NONE),
        (0x0C, 0x0D, LEB),
        (0x0E, 0x0E, TABLE),  # br_table
        (0x0F, 0x0F, NONE),
        (0x10, 0x10, LEB),
        (0x11, 0x11, LEB2),
        (0x12, 0x12, LEB),
        (0x13, 0x13, LEB2),
        (0x1A, 0x1B, NONE),
        (0x1C, 0x1C, TYPES),
        (0x20, 0x25, LEB),
        (0x26, 0x26, CHANGES),  # table.set
        (0x28, 0x3E, MEMORY),
        (0x3F, 0x42, LEB),
        (0x43, 0x43, FOUR),
        (0x44, 0x44, EIGHT),
        (0x45, 0xC4, NONE),
        (0xD0, 0xD0, LEB),
        (0xD1, 0xD1, NONE),
        (0xD2, 0xD2, LEB),
        (0xFC, 0xFC, MISC),
        (0xFD, 0xFD, VECTOR),
    ):
        kinds[first : last + 1] = [kind] * (last + 1 - first)
    return bytes(kinds)


_KINDS = _table()
# After 0xFC: how many LEB numbers follow; -1: it changes a table.
_MISC = {**dict.fromkeys(range(8), 0), 8: 2, 9: 1, 10: 2, 11: 1, 12: -1, 13: 1, 14: -1, 15: -1, 16: 1, 17: -1}


class Strange(ValueError):
    """Code that this walk cannot follow: damaged, or of a proposal that the sandbox does not offer."""


def changes_tables(code: bytes | memoryview, at: int, end: int) -> bool:
    """Whether the function body in `code[at:end]` (locals and instructions) has an instruction that changes a table.

    Raises:
        Strange: see there.
    """
    try:
        return _walk(bytes(code[at:end]))
    except IndexError:
        raise Strange("code that ends in the middle of an instruction") from None


def _number(code: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = code[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 70:
            raise Strange("a number without end")


def _walk(code: bytes) -> bool:
    end = len(code)
    groups, at = _number(code, 0)
    for _ in range(min(groups, end)):
        _, at = _number(code, at)
        at += 1  # the type; types of one byte only
    kinds = _KINDS
    while at < end:
        kind = kinds[code[at]]
        at += 1
        if kind == NONE:
            continue
        if kind == LEB:
            while code[at] & 0x80:
                at += 1
            at += 1
        elif kind in (MEMORY, LEB2):
            for _ in (0, 1):
                while code[at] & 0x80:
                    at += 1
                at += 1
        elif kind == FOUR:
            at += 4
        elif kind == EIGHT:
            at += 8
        elif kind == VECTOR:
            at = _vector(code, at)
        elif kind == CHANGES:
            return True
        elif kind == MISC:
            which, at = _number(code, at)
            follow = _MISC.get(which)
            if follow is None:
                raise Strange(f"an unknown instruction 0xFC {which}")
            if follow < 0:
                return True
            for _ in range(follow):
                _, at = _number(code, at)
        elif kind in (TABLE, TYPES):
            count, at = _number(code, at)
            for _ in range(min(count + (kind == TABLE), end)):
                _, at = _number(code, at)
        else:
            raise Strange(f"an instruction that is not offered: 0x{code[at - 1]:02x}")
    return False


def _vector(code: bytes, at: int) -> int:
    which, at = _number(code, at)
    if which <= 11 or 84 <= which <= 93:  # loads and stores
        _, at = _number(code, at)
        _, at = _number(code, at)
        return at + (1 if 84 <= which <= 91 else 0)
    if which <= 13:  # v128.const, i8x16.shuffle
        return at + 16
    return at + 1 if 21 <= which <= 34 else at  # lanes
