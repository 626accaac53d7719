"""`servent …` and `python -m servent …`."""

import gc
import os
import sys

UNCOLLECTED = (
    50_000  # objects; a short command makes fewer that last, and looking through them is a tenth of its time
)


def main() -> None:
    """The command line; ends the process with its exit code."""
    gc.set_threshold(UNCOLLECTED, *gc.get_threshold()[1:])
    from servent.cli.main import run

    code = run(sys.argv[1:])
    if "asyncio" not in sys.modules and "concurrent.futures" not in sys.modules:
        _leave(code)
    sys.exit(code)


def _leave(code: int) -> None:
    """End at once: what ran no loop and no threads has nothing to put away, and taking modules apart takes 15 ms."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return  # the usual end says what is wrong with them
    os._exit(code)


if __name__ == "__main__":
    main()
