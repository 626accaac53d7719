"""`python -m simulations`."""

import sys

from simulations.run import main

if __name__ == "__main__":
    sys.exit(main())
