"""`python -m lvh.select`: the former name of `lvh export`."""

import sys

from lvh.cli.export import main

if __name__ == "__main__":
    sys.exit(main())
