"""What `bench.python_apps` has volunteers compute, and computes itself with the Python that runs it."""

import hashlib
import json
import random

import servent


@servent.grid.app
def work(what: dict) -> dict:
    """Several kinds of pure Python work."""
    kind, size = what["kind"], what["size"]
    return {"kind": kind, "found": KINDS[kind](size)}


def loop(size):
    """Additions and multiplications of integers, as in the facts of others."""
    total = 0
    for n in range(size):
        total = (total * 3 + n) % 1000003
    return total


def floats(size):
    """An orbit: arithmetic of floats in a loop."""
    x, y, vx, vy = 1.0, 0.0, 0.0, 1.0
    for _ in range(size):
        pull = (x * x + y * y) ** -1.5
        vx -= 0.001 * x * pull
        vy -= 0.001 * y * pull
        x += 0.001 * vx
        y += 0.001 * vy
    return round(x, 6)


def objects(size):
    """Lists, tuples and calls: fire in random forests."""
    dice, crossed = random.Random(size), 0
    for _ in range(size):
        side = 48
        trees = [[dice.random() < 0.6 for _ in range(side)] for _ in range(side)]
        burning = [(row, 0) for row in range(side) if trees[row][0]]
        while burning:
            row, column = burning.pop()
            crossed += column == side - 1
            for r, c in ((row, column + 1), (row + 1, column), (row - 1, column), (row, column - 1)):
                if 0 <= r < side and 0 <= c < side and trees[r][c]:
                    trees[r][c] = False
                    burning.append((r, c))
    return crossed


def words(size):
    """Text: what of Python is C."""
    text = " ".join(str(n * 7919 % 1000) for n in range(size))
    counts = {}
    for word in text.split():
        counts[word] = counts.get(word, 0) + 1
    said = json.dumps(sorted(counts.items()))
    return hashlib.sha256(said.encode()).hexdigest()


KINDS = {"loop": loop, "floats": floats, "objects": objects, "words": words}
