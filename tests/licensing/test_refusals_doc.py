"""docs/refusals.md lists every code the shop refuses with, with its status and what to do next."""

import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import licensing
from store.core.errors import StoreError

TEXT = (Path(__file__).resolve().parents[2] / "docs/refusals.md").read_text()
NOT_OURS = {"purchase_required"}
"""Codes of other rooms, which buyers meet first."""


def refusals() -> Iterator[type[StoreError]]:
    """Every class of refusal that is defined in the room."""
    for module in pkgutil.walk_packages(licensing.__path__, "licensing."):
        if not module.name.endswith("__main__") and ".migrations" not in module.name:
            import_module(module.name)
    todo = [StoreError]
    while todo:
        found = todo.pop()
        todo += found.__subclasses__()
        if found.__module__.startswith("licensing."):
            yield found


def wanted() -> dict[str, set[int]]:
    """The statuses of each code."""
    found: dict[str, set[int]] = {}
    for each in refusals():
        found.setdefault(each.code, set()).add(each.status)
    return found


def test_every_code_is_listed_once_with_its_status_and_what_to_do() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([\d/]+) \| (.+) \|$", TEXT, re.MULTILINE)
    told = {code: {int(status) for status in text.split("/")} for code, text, _words in rows}

    assert len(rows) == len(told), "a code is listed twice"
    assert {code: told[code] for code in told if code not in NOT_OURS} == wanted()
    assert told.keys() >= NOT_OURS
    assert all(words.endswith(".") for _code, _status, words in rows)
