"""``python -m store.supervise``: what ``make run`` ends in."""

import sys

from store.core.errors import StoreError
from store.env import read_env
from store.supervise.running import run
from store.supervise.table import plan


def main() -> int:
    """Run the store; return the exit status."""
    try:
        return run(plan(read_env()))
    except StoreError as exc:
        sys.stderr.write(f"{exc.message}\n")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
