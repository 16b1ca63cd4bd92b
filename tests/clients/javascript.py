"""Hugging Face's JavaScript clients, from npm, as the package file beside them pins them."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "js"
MODULES = FOLDER / "node_modules"
INSTALL = ["npm", "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"]


def installed() -> Path:
    """Return the folder with the clients, installed unless ``make test`` did it before."""
    assert shutil.which("node"), "install Node.js: make system"
    mark = MODULES / ".installed"
    wanted = (FOLDER / "package.json").read_text()
    if not mark.is_file() or mark.read_text() != wanted:
        done = subprocess.run(
            INSTALL, cwd=FOLDER, capture_output=True, text=True, timeout=280, check=False
        )
        assert done.returncode == 0, done.stderr[-4000:]
        mark.write_text(wanted)
    return FOLDER


def run(script: str, *args: str, timeout_s: int = 120) -> Any:
    """Run a script of the folder; return the JSON it prints."""
    done = subprocess.run(
        ["node", script, *args],
        cwd=installed(),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.strip().splitlines()[-1])
