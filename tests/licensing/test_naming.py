"""The types that files are announced with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.formats.kinds import ACTIVE, Kind
from licensing.delivery.naming import content_type_for

PLAIN, OPAQUE = "text/plain; charset=utf-8", "application/octet-stream"
ACTIVE_ENDINGS = ["html", "htm", "xhtml", "shtml", "svg", "svgz", "xml", "xsl", "js", "mjs"]
ACTIVE_ENDINGS += ["css", "pdf", "swf", "wasm", "mht", "hta", "xul"]
INERT = {
    PLAIN,
    OPAQUE,
    "application/json",
    "application/zip",
    "application/gzip",
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
}
"""Types that neither run script nor style a page, in any browser."""


@pytest.mark.parametrize(
    ("path", "kind", "expected"),
    [
        ("config.json", Kind.JSON, "application/json"),
        ("README.md", Kind.TEXT, PLAIN),
        ("index.html", Kind.HTML, PLAIN),
        ("logo.svg", Kind.SVG, PLAIN),
        ("feed.xml", Kind.XML, PLAIN),
        ("empty", Kind.EMPTY, PLAIN),
        ("a/loss.PNG", Kind.PNG, "image/png"),
        ("photo", Kind.JPEG, "image/jpeg"),
        ("model.safetensors", Kind.SAFETENSORS, OPAQUE),
        ("paper.pdf", Kind.PDF, OPAQUE),
        ("all.ZIP", Kind.ZIP, "application/zip"),
        ("all.tar.gz", Kind.GZIP, "application/gzip"),
        ("index.html", "", OPAQUE),
        ("logo.svg", "", OPAQUE),
        ("run.js", "", OPAQUE),
        ("page.png", Kind.HTML, PLAIN),
        ("page.html", Kind.PNG, "image/png"),
        ("x.zip", Kind.HTML, PLAIN),
    ],
)
def test_types(path: str, kind: str, expected: str) -> None:
    assert content_type_for(path, kind) == expected


@given(
    path=st.text(max_size=40) | st.sampled_from(ACTIVE_ENDINGS).map(lambda end: f"a.{end}"),
    kind=st.sampled_from(["", "nonsense", *Kind]),
)
def test_no_name_and_no_kind_makes_a_browser_run_anything(path: str, kind: str) -> None:
    assert content_type_for(path, kind) in INERT


@pytest.mark.parametrize("kind", sorted(ACTIVE))
def test_active_kinds_are_text_or_a_download(kind: Kind) -> None:
    for path in ("x", "x.html", "x.pdf", "x.svg"):
        assert content_type_for(path, kind) in {PLAIN, OPAQUE}
