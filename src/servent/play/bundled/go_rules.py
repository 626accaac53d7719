"""The rules of go on a board of bytes: chains and liberties, captures, area. Pure.

A board has a rim around it, `wide` = size + 2 squares a row, so that each point has four neighbours: 0 is empty, 1 black,
2 white, 3 the rim. No suicide; area counts (stones and what only they surround), as in the Chinese rules.
"""

from __future__ import annotations

from hashlib import sha256

EMPTY, BLACK, WHITE, RIM = 0, 1, 2, 3
HASH_BYTES = 16  # of a position, for superko: nobody finds two that agree within a game, nor by searching


def empty(size: int) -> bytes:
    """A board of `size` by `size` points without a stone."""
    row = bytes((RIM,)) + bytes(size) + bytes((RIM,))
    return bytes((RIM,)) * (size + 2) + row * size + bytes((RIM,)) * (size + 2)


def place(point: int, size: int) -> int:
    """Where point 0 to size² - 1, counted in rows from the top left, lies on a board."""
    return (point // size + 1) * (size + 2) + point % size + 1


def around(at: int, wide: int) -> tuple[int, int, int, int]:
    """Its four neighbours."""
    return at - 1, at + 1, at - wide, at + wide


def chain(board: bytes | bytearray, wide: int, at: int) -> tuple[list[int], int]:
    """The stones that hang together with the one at `at`, and how many liberties they have."""
    colour = board[at]
    stones, seen, liberties = [at], {at}, 0
    for stone in stones:  # grows as it is walked
        for other in (stone - 1, stone + 1, stone - wide, stone + wide):
            if other in seen:
                continue
            if board[other] == colour:
                seen.add(other)
                stones.append(other)
            elif board[other] == EMPTY:
                seen.add(other)
                liberties += 1
    return stones, liberties


def played(board: bytes, wide: int, at: int, colour: int) -> tuple[bytes, int] | None:
    """The board after a stone at the empty point `at`, and how many it takes; None: it would have no liberty."""
    after = bytearray(board)
    after[at] = colour
    taken = 0
    for other in around(at, wide):
        if after[other] == 3 - colour:
            stones, liberties = chain(after, wide, other)
            if not liberties:
                taken += len(stones)
                for stone in stones:
                    after[stone] = EMPTY
    if not taken and not chain(after, wide, at)[1]:
        return None
    return bytes(after), taken


def position(board: bytes) -> bytes:
    """What a position is known by again."""
    return sha256(board).digest()[:HASH_BYTES]


def seen(history: bytes, one: bytes) -> bool:
    """Whether position `one` is among those of `history`, which lie one behind the other."""
    at = history.find(one)
    while at % HASH_BYTES and at >= 0:
        at = history.find(one, at + 1)
    return at >= 0


def without(board: bytes, dead: bytes) -> bytes:
    """`board` without the stones that `dead` marks with 1."""
    return bytes(EMPTY if gone and stone != RIM else stone for stone, gone in zip(board, dead, strict=True))


def area(board: bytes, wide: int) -> bytes:
    """For each square whose area it is: BLACK, WHITE, EMPTY for nobody's, RIM."""
    owner = bytearray(board)
    done = set()
    for start, stone in enumerate(board):
        if stone != EMPTY or start in done:
            continue
        region, borders = [start], set()
        done.add(start)
        for point in region:  # grows as it is walked
            for other in around(point, wide):
                if board[other] in (BLACK, WHITE):
                    borders.add(board[other])
                elif board[other] == EMPTY and other not in done:
                    done.add(other)
                    region.append(other)
        if len(borders) == 1:
            (one,) = borders
            for point in region:
                owner[point] = one
    return bytes(owner)


def alike(board: bytes, wide: int, at: int) -> list[int]:
    """All stones of the colour at `at` that can be reached from it without crossing the other colour: dead together."""
    colour = board[at]
    found, known = [at], {at}
    for point in found:  # grows as it is walked
        for other in around(point, wide):
            if board[other] in (EMPTY, colour) and other not in known:
                known.add(other)
                found.append(other)
    return [point for point in found if board[point] == colour]


def stars(size: int) -> list[tuple[int, int]]:
    """Columns and rows of the marked points, in the order in which handicap stones are put on them."""
    if size < 7:
        return []
    near, middle = (3 if size >= 13 else 2), size // 2
    far = size - 1 - near
    found = [(far, near), (near, far), (far, far), (near, near)]
    if size % 2:
        found += [(middle, middle), (near, middle), (far, middle), (middle, near), (middle, far)]
    return found


def handicap(size: int, stones: int) -> list[tuple[int, int]]:
    """Where black puts `stones` before the beginning. There are never more than `len(stars(size))`."""
    points = stars(size)
    if stones in (5, 7, 9):
        return [*points[:4], *points[5:stones], points[4]]
    return [*points[:4], *points[5:]][:stones]
