"""`python -m unlearnable` is the command `unlearnable`."""

import sys

from unlearnable.cli import main

if __name__ == "__main__":
    sys.exit(main())
