"""``gpt-store license verify`` as its holder runs it: a process of its own, without the store."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def verify(
    license_file: Path, keys: Path, *folder: Path, machine: str = ""
) -> subprocess.CompletedProcess[str]:
    """Verify a license file, and a folder if there is one, with a file of the store's keys."""
    command = [
        *(sys.executable, "-m", "licensing.offline", "license", "verify", str(license_file)),
        *(map(str, folder)),
        *("--keys", str(keys)),
        *(("--machine", machine) if machine else ()),
    ]
    environment = {"HOME": str(keys.parent), "PATH": "/usr/bin"}
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False
    )
