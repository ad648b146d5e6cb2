"""`python -m unlearnable` is the command `unlearnable`."""

import sys


def main() -> int:
    """Runs one command. What is imported first is no reason for a traceback when somebody stops it."""
    try:
        from unlearnable.cli import main as command
    except KeyboardInterrupt:
        return 130
    return command()


if __name__ == "__main__":
    sys.exit(main())
