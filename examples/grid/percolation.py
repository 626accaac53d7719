"""At which density does a forest fire cross a forest? Site percolation on a square lattice, as an app for volunteers.

    servent grid build examples/grid/percolation.py
    echo '{"density": 0.6, "side": 64, "forests": 20}' | servent grid try percolation.wasm

or all at once, with a project of yours:

    python examples/grid/percolation.py

A unit plants some forests at one density and says in how many of them fire gets from the left edge to the right one. Between many volunteers the
answer becomes sharp: below 0.592746 (Newman and Ziff, PRL 85, 2000) hardly any, above nearly all.
"""

import random
import time

import servent


@servent.grid.app
def percolation(what: dict) -> dict:
    """How often fire crosses a random forest of a given density."""
    side, density = int(what.get("side", 64)), float(what["density"])
    forests = int(what.get("forests", 20))
    crossed = sum(crosses(side, density) for _ in range(forests))
    return {"density": density, "side": side, "forests": forests, "crossed": crossed}


def crosses(side: int, density: float) -> bool:
    """Whether fire that begins at the left edge of one random forest reaches the right one."""
    trees = [[random.random() < density for _ in range(side)] for _ in range(side)]
    burning = [(row, 0) for row in range(side) if trees[row][0]]
    for row, _ in burning:
        trees[row][0] = False
    while burning:
        row, column = burning.pop()
        if column == side - 1:
            return True
        for r, c in ((row, column + 1), (row + 1, column), (row - 1, column), (row, column - 1)):
            if 0 <= r < side and 0 <= c < side and trees[r][c]:
                trees[r][c] = False
                burning.append((r, c))
    return False


if __name__ == "__main__":
    densities = [0.50 + 0.01 * step for step in range(20)]
    items = [{"density": round(density, 3), "side": 64, "forests": 40} for density in densities]
    began = time.monotonic()
    found = {}
    for result in servent.Grid().compute(percolation, items):
        if result.error:
            print(result.item, result.error)
        else:
            found[result.value["density"]] = result.value["crossed"] / result.value["forests"]
    for density, share in sorted(found.items()):
        print(f"{density:.3f} {share:5.0%} {'#' * round(40 * share)}")
    print(f"{len(found)} units in {time.monotonic() - began:.1f} s")
