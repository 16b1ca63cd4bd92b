#!/usr/bin/env python
"""Administrative commands. Brings the embedded engines up for as long as a command runs."""

import os
import sys

ENGINELESS = {
    *("help", "makemessages", "compilemessages", "collectstatic", "spectacular", "license_keys"),
}
"""Commands that touch neither database nor queue."""


def main() -> None:
    """Run one management command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "store.settings")
    from django.core.management import execute_from_command_line

    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    if command in ENGINELESS or "--help" in sys.argv or "--version" in sys.argv:
        execute_from_command_line(sys.argv)
        return
    from store.boot import hold_engines

    with hold_engines():
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
