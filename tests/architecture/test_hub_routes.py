"""Every route of the hub protocol is documented, with a test that exists."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest
from django.urls import URLPattern

from catalog.urls import urlpatterns as pages
from hub.urls import urlpatterns

ROOT = Path(__file__).resolve().parents[2]
SPOKEN = {
    r"^api/models/(?P<alias>[^/]+)/(?:": "/api/models/{alias}/…",
    r"^api/models/(?P<ns>[^/]+)/(?P<name>": "/api/models/{alias}/…",
    r"^(?P<alias>[^/]+)/(?:resolve|raw)/": "/{alias}/resolve or raw/…",
    r"^api/(?P<kind>": "/api/{kind}",
    r"^(?P<kind>": "/{kind}/{id}/resolve, raw or info/lfs/…",
    r"^api/(?!v1/)": "/api/…",
    r"^(?P<alias>[^/]+?)(?:\.git)?/info/refs": "/{alias}.git/info/refs",
}
"""Regular expressions, by how they begin, in the table's words."""


class Row(NamedTuple):
    """A line of the table."""

    methods: set[str]
    path: str
    state: str
    test: str


def rows() -> list[Row]:
    table = (ROOT / "docs/hub-protocol.md").read_text().split("|---|---|---|---|\n")[1]
    found = []
    for line in table.splitlines():
        methods, path, state, test = (cell.strip() for cell in line.strip("|").split("|"))
        found.append(Row(set(methods.split(", ")), path.strip("`"), state, test.strip("`")))
    return found


def spoken(pattern: URLPattern) -> str:
    """Return a route as the table writes it."""
    route = str(pattern.pattern)
    for start, words in SPOKEN.items():
        if route.startswith(start):
            return (
                f"{words}/…" if "(?P<kind>" in start and route.endswith("/(?P<rest>.+)$") else words
            )
    if route.startswith("^xet/"):
        return _spoken_xet(route)
    route = route.replace("<seg:ns>/<seg:name>", "{id}")
    return "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route)


def _spoken_xet(route: str) -> str:
    """Return a route of the Xet service in its newest spelling; older ones go the same way."""
    route = route.replace("(?:(?P<generation>[0-9]+)/)?", "").strip("^$")
    route = re.sub(r"\(\?P<(\w+)>\[\^/\]\+\)", r"{\1}", route)
    route = route.replace("(?:v1/)?", "v1/").replace("s?", "s").replace("[^/]+", "{prefix}")
    return "/" + re.sub(r"\(\?:.*\)\?$", "", route)


def test_each_route_is_in_the_table_with_its_methods() -> None:
    served: dict[str, set[str]] = {}
    for pattern in urlpatterns:
        methods = getattr(pattern.callback, "hub_methods", ("GET",))
        shown = set(methods) - {"HEAD"} or {"HEAD"}
        served.setdefault(spoken(pattern), set()).update(shown)
    for pattern in pages:
        if spoken(pattern) == "/{id}/ask-access":  # the one page the contract names
            served["/{id}/ask-access"] = {"GET", "POST"}

    documented = {row.path: row.methods for row in rows() if not row.state.startswith("not served")}

    assert documented == served


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.path)
def test_each_line_names_a_test_that_exists(row: Row) -> None:
    path, _, name = row.test.partition("::")

    assert f"\ndef {name}(" in (ROOT / path).read_text()
    assert row.state
