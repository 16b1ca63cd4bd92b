"""Management commands of a live store in one process: ``python -m tests.clerk``.

Reads lines of JSON, each the words of a command; answers each with a line of JSON: what it printed,
or why it failed. Starting Django anew for each would take longer than all the commands.
"""

import io
import json
import os
import sys


def main() -> None:
    """Answer until the other side has no more."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "store.settings")
    from store.boot import hold_engines

    with hold_engines():
        import django
        from django.core.management import CommandError, call_command
        from django.db import connections

        django.setup()
        for line in sys.stdin:
            out = io.StringIO()
            try:
                call_command(*json.loads(line), stdout=out)
            except CommandError as error:
                answer = {"error": str(error)}
            else:
                answer = {"out": out.getvalue().strip()}
            connections.close_all()  # the next command may come when the database was replaced
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
