"""Rooms stay small enough to hold in the head."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 50
ROOMS = ("store", "accounts", "catalog", "licensing", "inference", "hub", "workers")


def sources() -> list[Path]:
    """Every Python file of the product that git knows, migrations aside."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return [
        ROOT / name
        for name in listed
        if name.split("/")[0] in ROOMS and "/migrations/" not in name and (ROOT / name).exists()
    ]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_functions_keep_their_budget(path: Path) -> None:
    text = path.read_text()
    long_functions = [
        f"{node.name}: {(node.end_lineno or 0) - node.lineno + 1}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > MAX_FUNCTION_LINES
    ]

    assert len(text.splitlines()) <= MAX_MODULE_LINES
    assert long_functions == []


@pytest.mark.parametrize("folder", ["accounts", "catalog", "inference"])
def test_services_know_no_http(folder: str) -> None:
    for path in (ROOT / folder / "services").glob("*.py"):
        names = {
            name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
        }
        assert not {name for name in names if name.startswith("django.http")}, path


def test_no_module_is_called_utils() -> None:
    shapeless = {"utils.py", "helpers.py", "manager.py", "misc.py", "common.py"}

    assert [path for path in sources() if path.name in shapeless] == []
