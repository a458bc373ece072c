"""`python -m lvh.select`: the old name of `lvh export`."""

import sys

from lvh.cli import export
from lvh.errors import warn_renamed


def main() -> int:
    """Say the new name, and export."""
    warn_renamed("lvh select", "lvh export")
    return export.main()


if __name__ == "__main__":
    sys.exit(main())
