"""Tries the few tests that failed again, alone and after one another, and names them.

Eleven thousand tests on a machine that is busy with them fail now and then for what is not the
store's fault. One that fails alone, too, is a defect; one that passes alone is named at the end of
the run, because it depends on its neighbours or on the machine's pace and is to be mended.
"""

import json
import subprocess
import sys
from pathlib import Path

MOST = 5
"""More failures than this have one cause, and get no second look."""
_CACHE = Path(".pytest_cache/v/cache/lastfailed")


def failed() -> list[str]:
    """Return the ids of the tests that failed in the last run, as the command line takes them."""
    if not _CACHE.exists():
        return []
    return list(json.loads(_CACHE.read_text()))


def second_look(env: dict[str, str]) -> int:
    """Return the status of the run as a whole: 0 when each test that failed passes alone."""
    again = failed()
    if not 0 < len(again) <= MOST:
        return 1
    print(f"── second look: {len(again)} failed; each is tried once more, alone", flush=True)
    command = [sys.executable, "-m", "pytest", "-n", "0", *again]
    status = subprocess.run(command, env=env, check=False).returncode
    if status == 0:
        print("── second look: these passed ALONE ONLY; mend what they depend on:")
        print(*(f"   {each}" for each in again), sep="\n", flush=True)
    return status
