"""A beginner at go: takes and saves what is in danger, keeps out of trouble, leaves its eyes alone, passes in the end. Pure."""

from __future__ import annotations

from servent.play import dice
from servent.play.bundled import go_rules
from servent.play.states import State

LEAST = 12  # worth below which it rather passes, in the beginning; noise alone reaches 7


def best(state: State, seat: int) -> int | None:
    """The point, counted from 1, at which it plays; None: it passes."""
    board, size, colour = state["board"], state["size"], seat + 1
    wide = size + 2
    regions = _regions(board, wide)
    roll = dice.new(state["dice"] ^ state["moves"])
    least = LEAST + 20 * max(0, state["moves"] - size * size) // (size * size)  # it tries less and less
    found: tuple[int, int] | None = None
    for point in range(size * size):
        at = go_rules.place(point, size)
        noise, roll = dice.roll(roll, 8)
        if board[at] or eye(board, wide, at, colour):
            continue
        worth = _worth(state, wide, at, colour, regions.get(at, (0, 0))) + noise
        if worth >= least and (found is None or worth > found[0]):
            after = go_rules.played(board, wide, at, colour)
            if after and not go_rules.seen(state["history"], go_rules.position(after[0])):
                found = worth, point + 1
    return found[1] if found else None


def agrees(state: State, seat: int) -> bool:
    """Whether it takes the marks as they are: no chain of its own that has two eyes is called dead."""
    board, wide = state["board"], state["size"] + 2
    for at, gone in enumerate(state["dead"]):
        if gone and board[at] == seat + 1:
            stones, _ = go_rules.chain(board, wide, at)
            near = {other for stone in stones for other in go_rules.around(stone, wide) if not board[other]}
            if sum(eye(board, wide, one, seat + 1) for one in near) >= 2:
                return False
    return True


def eye(board: bytes, wide: int, at: int, colour: int) -> bool:
    """An empty point with only `colour` beside it, and at most one other stone at its corners, none at the rim."""
    if any(board[other] not in (colour, go_rules.RIM) for other in go_rules.around(at, wide)):
        return False
    corners = [board[other] for other in (at - wide - 1, at - wide + 1, at + wide - 1, at + wide + 1)]
    return corners.count(3 - colour) <= (0 if go_rules.RIM in corners else 1)


def _regions(board: bytes, wide: int) -> dict[int, tuple[int, int]]:
    """For each empty point how big its region is, and whose stones surround it: 1, 2, or 3 for both."""
    found: dict[int, tuple[int, int]] = {}
    for start, stone in enumerate(board):
        if stone != go_rules.EMPTY or start in found:
            continue
        region, borders, known = [start], 0, {start}
        for point in region:  # grows as it is walked
            for other in go_rules.around(point, wide):
                if board[other] == go_rules.EMPTY:
                    if other not in known:
                        known.add(other)
                        region.append(other)
                elif board[other] != go_rules.RIM:
                    borders |= board[other]
        found.update(dict.fromkeys(region, (len(region), borders)))
    return found


def _worth(state: State, wide: int, at: int, colour: int, region: tuple[int, int]) -> int:
    board, size = state["board"], state["size"]
    after = go_rules.played(board, wide, at, colour)
    if after is None:
        return -1000
    _, liberties = go_rules.chain(after[0], wide, at)
    worth = 40 + 30 * after[1] if after[1] else 0
    for other in go_rules.around(at, wide):
        if board[other] not in (go_rules.BLACK, go_rules.WHITE):
            continue
        stones, free = go_rules.chain(board, wide, other)
        if board[other] == colour and free == 1 and liberties >= 3:
            worth += 35 + 12 * len(stones)
        elif board[other] != colour and free == 2 and liberties >= 2:
            worth += 14 + 3 * len(stones)
        elif board[other] != colour and liberties >= 3:
            worth += 6
    if liberties == 1 and not after[1]:
        worth -= 200
    room, borders = region
    if borders in (1, 2) and room <= 2 * size and not after[1]:
        return worth - 60  # somebody's already
    if liberties == 2 and not after[1]:
        worth -= 10
    worth += min(room, 40) // 3
    row, column = divmod(at, wide)
    edge = min(row, column, size + 1 - row, size + 1 - column)
    worth += (0, -6, 4, 9, 8)[min(edge, 4)]
    near = [board[at + down * wide + across] for down in (-1, 0, 1) for across in (-1, 0, 1)]
    if go_rules.BLACK in near and go_rules.WHITE in near:
        worth += 8
    elif colour not in near and 3 - colour not in near:
        worth += 6
    wide_open = all(
        board[at + down * wide + across] in (go_rules.EMPTY, go_rules.RIM)
        for down in (-2, -1, 0, 1, 2)
        for across in (-2, -1, 0, 1, 2)
        if 0 <= at + down * wide + across < len(board)
    )
    if wide_open and edge in (3, 4):
        worth += 16
    if state["last"]:
        away = abs(at // wide - state["last"] // wide) + abs(at % wide - state["last"] % wide)
        worth += max(0, 8 - 2 * away)
    return worth
