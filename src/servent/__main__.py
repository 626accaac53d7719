"""`servent …` and `python -m servent …`."""

import sys


def main() -> None:
    """The command line; ends the process with its exit code."""
    from servent.cli.main import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
