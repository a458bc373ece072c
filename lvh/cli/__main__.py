"""`python -m lvh`: the command `lvh`."""

import sys

from lvh.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
