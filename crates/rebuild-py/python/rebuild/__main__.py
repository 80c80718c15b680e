"""`python -m rebuild`: the command line, with functions of Python modules as steps."""

from __future__ import annotations

import sys

from . import _rebuild
from .steps import Functions


def main() -> int:
    """Runs the command line of this process, and returns its exit code."""
    return _rebuild.cli(["rebuild", *sys.argv[1:]], Functions())


if __name__ == "__main__":
    sys.exit(main())
