"""``python -m licensing.offline`` is the command ``gpt-store``."""

import sys

from licensing.offline.command import main

if __name__ == "__main__":
    sys.exit(main())
