"""Locks a process in as a box is, then runs the harness: ``python -m inference.harness.locked``.

The locks come as one JSON argument. They must hold before anything large is imported: a library's
threads that are there already would stay outside.
"""

import sys
import tempfile

from inference.box.hardening import lock_in
from inference.box.protocol import SetupRequest


def main() -> None:
    """Lock in; leave at once where the machine cannot do that, unless the site allows it."""
    setup = SetupRequest.model_validate_json(sys.argv[1])
    held = lock_in(setup)
    is_enough = held.files == "landlock" and (setup.may_connect or held.network != "open")
    if not (is_enough or setup.limits.allow_unprotected):
        sys.exit(
            f"this machine cannot lock lm-evaluation-harness in ({'; '.join(held.notes)});"
            " set STORE_ALLOW_UNPROTECTED_BOX=true if no stranger publishes here"
        )
    tempfile.tempdir = setup.writable[0]
    from inference.harness.child import main as serve

    serve()


if __name__ == "__main__":
    main()
