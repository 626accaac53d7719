"""`make bench`: every measurement in turn; `make bench ARGS="transfer --json"`: one of them."""

import subprocess
import sys
from pathlib import Path


def main() -> int:
    here = Path(__file__).parent
    names = sorted(
        p.stem for p in here.glob("*.py") if "def main(" in p.read_text() and not p.stem.startswith("_")
    )
    chosen = [a for a in sys.argv[1:] if a in names] or names
    passed_on = [a for a in sys.argv[1:] if a not in names]
    if unknown := [a for a in passed_on if not a.startswith("-")]:
        print(f"no bench is called {' '.join(unknown)}; there are {', '.join(names)}", file=sys.stderr)
        return 2
    worst = 0
    for name in chosen:
        print(f"== {name}", file=sys.stderr, flush=True)
        worst = max(
            worst, subprocess.run([sys.executable, "-m", f"bench.{name}", *passed_on], check=False).returncode
        )
    return worst


if __name__ == "__main__":
    sys.exit(main())
