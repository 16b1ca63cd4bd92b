"""What is added for keyboards lands on tags, never inside a value."""

from html.parser import HTMLParser

import nh3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.cards.keyboard import reachable
from catalog.cards.rendering import render_card


class Shape(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_tables_code_and_empty_headings() -> None:
    card = "|   | loss |\n|---|---|\n| a | 3.7 |\n\n```python\nx = 1\n```\n"
    html = render_card(card, file_base="/f/", page_base="/p/").html

    assert html.startswith('<div class="wide" tabindex="0"><table>')
    assert "</table></div>" in html
    assert "<th></th>" not in html
    assert '<pre tabindex="0"' in html


@pytest.mark.parametrize(
    "value",
    ['<table onclick="x">', "<pre>", "</table>", '"><table>', "<th></th>", "<pre onload=x"],
)
def test_values_that_look_like_tags_stay_values(value: str) -> None:
    html = nh3.clean(
        f'<a title="{nh3.clean_text(value)}">t</a><pre>{nh3.clean_text(value)}</pre>',
        attributes={"a": {"title"}},
    )

    before, after = Shape(html), Shape(reachable(html))

    assert after.text == before.text
    assert len(after.tags) == len(before.tags)
    assert after.tags[0][0] == "a"
    assert dict(after.tags[0][1]).keys() == {"title", "rel"}


pieces = st.sampled_from(
    [
        *("<table>", "</table>", "<pre>", "</pre>", "<th>", "</th>", "<tr>", "<td>"),
        *("a", '"', "<", ">", '<a title="', '<img alt="<pre>">', "&lt;table&gt;"),
    ]
)


@given(st.lists(pieces, max_size=12).map("".join))
def test_nothing_but_our_own_is_added(raw: str) -> None:
    html = nh3.clean(raw)

    added = [tag for tag in Shape(reachable(html)).tags if ("tabindex", "0") in tag[1]]

    shape = Shape(reachable(html))
    assert shape.text == Shape(html).text
    assert {name for name, _ in added} <= {"div", "pre"}
    assert nh3.clean(reachable(html), attributes={}) is not None
    allowed = {"tabindex", "class", "title", "alt", "rel"}
    assert {name for _, attrs in shape.tags for name, _ in attrs} <= allowed
