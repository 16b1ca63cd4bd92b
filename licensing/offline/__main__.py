"""``python -m licensing.offline`` is the command ``gpt-store``."""

import sys

from licensing.offline.command import main

sys.exit(main())
