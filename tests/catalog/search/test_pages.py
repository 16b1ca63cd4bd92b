"""Pages: cursors that hold while the shelf changes, limits, and a constant number of questions."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from accounts.viewer import VISITOR, Viewer
from catalog.models import ModelRepo
from catalog.search import ordering
from catalog.search.ordering import ORDERS
from catalog.search.query import SearchQuery
from catalog.search.run import MAX_LIMIT, facets, search
from store.core.paging import BadCursorError, encode_cursor
from tests.catalog.search.shelf import Made, names, put

pytestmark = pytest.mark.usefixtures("publishers")


def shelf(count: int = 9) -> list[Made]:
    return put(
        *(
            Made(
                name=f"Poem-{n}",
                downloads=n // 2,
                likes=n // 3,
                trending=n / 7,
                age_days=n // 2,
                parameters=n // 2 * 10 or None,
                weights_bytes=n // 2,
                prices=(("EUR", n // 2 * 100),) if n % 3 else (),
            )
            for n in range(count)
        )
    )


def read_through(query: SearchQuery, between: Callable[[], object]) -> list[str]:
    found, cursor = [], None
    while True:
        page = search(VISITOR, query, limit=2, cursor=cursor)
        found += names(page.rows)
        cursor = page.next_cursor
        if cursor is None:
            return found
        between()


@pytest.mark.parametrize("sort", ORDERS)
def test_rows_that_come_while_one_reads_neither_repeat_nor_hide_others(sort: str) -> None:
    query = SearchQuery(text="poem", sort=sort)
    there = {made.full_name for made in shelf()}
    added = iter(range(1000))

    def add() -> None:
        n = next(added)
        put(
            Made(name=f"A-poem-{n}", downloads=99, likes=99, trending=9.0, parameters=10**9),
            Made(name=f"Z-poem-{n}", age_days=99),
        )

    found = read_through(query, add)

    assert len(found) == len(set(found))
    assert there <= set(found)


@pytest.mark.parametrize("sort", ORDERS)
def test_rows_that_go_while_one_reads_hide_no_others(sort: str) -> None:
    made = shelf()
    query, victims = SearchQuery(text="poem", sort=sort), made[::4]
    last = [victims.pop]

    def remove() -> None:
        if victims:
            ModelRepo.objects.get(pk=last[0]().repo_id).delete()

    found = read_through(query, remove)

    assert len(found) == len(set(found))
    assert {each.full_name for each in made if each not in made[::4]} <= set(found)


def test_the_whole_order_is_the_same_in_pages_of_any_size() -> None:
    shelf()
    for sort in ORDERS:
        query = SearchQuery(text="poem", sort=sort)
        whole = names(search(VISITOR, query, limit=100).rows)
        assert read_through(query, lambda: None) == whole
        assert len(whole) == 9


def test_a_page_has_at_least_one_and_at_most_a_thousand_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelf(3)
    asked: list[int] = []
    real = ordering.page_of

    def listen(*args: Any, **kwargs: Any) -> Any:
        asked.append(kwargs["limit"])
        return real(*args, **kwargs)

    monkeypatch.setattr("catalog.search.run.page_of", listen)
    assert len(search(VISITOR, SearchQuery(), limit=0).rows) == 1
    assert len(search(VISITOR, SearchQuery(), limit=10**9).rows) == 3
    assert asked == [2, MAX_LIMIT + 1]


BAD = [
    ["likes", 3, 1],  # another order
    ["trending", "x", 1],
    ["trending", None, 1],
    ["trending", True, 1],
    ["trending", float("nan"), 1],
    ["trending", 1.0, "1"],
    ["trending", 1.0, True],
    ["trending", 1.0, -1],
    ["trending", 1.0, 2**63],
    ["trending", [1.0], 1],
    [None, 1.0, 1],
    [["trending"], 1.0, 1],
    ["trending", 1.0],
    ["trending", 1.0, 1, 1],
]


@pytest.mark.parametrize("position", BAD, ids=str)
def test_cursors_we_did_not_make_are_refused(position: list[Any]) -> None:
    with pytest.raises(BadCursorError):
        search(VISITOR, SearchQuery(), limit=2, cursor=encode_cursor(position))


@pytest.mark.parametrize(
    ("sort", "value"),
    [
        ("newest", "yesterday"),
        ("newest", "2025-01-01T00:00:00"),  # no zone
        ("newest", 3),
        ("name", "a\0b"),
        ("name", 3),
        ("likes", 1.5),
        ("likes", 2**63),
        ("size", True),
    ],
)
def test_values_of_another_kind_are_refused(sort: str, value: Any) -> None:
    with pytest.raises(BadCursorError):
        search(VISITOR, SearchQuery(sort=sort), limit=2, cursor=encode_cursor([sort, value, 1]))


@pytest.mark.parametrize("cursor", ["x", "AAAA", "é", "x" * 10_000])
def test_no_cursor_at_all_is_refused(cursor: str) -> None:
    with pytest.raises(BadCursorError):
        search(VISITOR, SearchQuery(), limit=2, cursor=cursor)


def test_a_cursor_of_one_way_of_relevance_is_none_of_an_order() -> None:
    shelf()
    words = search(VISITOR, SearchQuery(text="poem"), limit=2).next_cursor

    with pytest.raises(BadCursorError):
        search(VISITOR, SearchQuery(text="poem", sort="likes"), limit=2, cursor=words)


def test_a_cursor_gives_nothing_of_others_away(as_bob: Viewer) -> None:
    put(Made(name="secret", is_private=True, trending=5.0), Made(name="seen", trending=1.0))
    start = encode_cursor(["trending", 9.0, 0])

    assert names(search(as_bob, SearchQuery(), limit=5, cursor=start).rows) == ["alice/seen"]


def test_a_listing_that_goes_between_finding_and_reading_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = put(Made(name="a", trending=2.0), Made(name="b", trending=1.0))
    real = ordering.page_of

    def hide_then_find(*args: Any, **kwargs: Any) -> Any:
        found = real(*args, **kwargs)
        ModelRepo.objects.filter(pk=made[0].repo_id).update(is_private=True)
        return found

    monkeypatch.setattr("catalog.search.run.page_of", hide_then_find)

    assert names(search(VISITOR, SearchQuery(), limit=5).rows) == ["alice/b"]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("trending", "c b a"),
        ("downloads", "a c b"),
        ("likes", "b a c"),
        ("newest", "a b c"),
        ("updated", "b a c"),
        ("parameters", "b a c"),
        ("size", "c b a"),
        ("name", "a b c"),
    ],
)
def test_each_order(sort: str, expected: str) -> None:
    put(
        Made(name="A", downloads=9, likes=2, trending=0.1, age_days=0, parameters=5),
        Made(
            name="b", downloads=1, likes=3, trending=0.2, age_days=1, parameters=7, weights_bytes=1
        ),
        Made(name="C", downloads=2, likes=1, trending=0.3, age_days=9, weights_bytes=2),
    )

    page = search(VISITOR, SearchQuery(sort=sort), limit=9)

    assert [name.split("/")[1].lower() for name in names(page.rows)] == expected.split()


@pytest.mark.parametrize(
    ("query", "more"),
    [
        (SearchQuery(), 0),
        (SearchQuery(text="poem"), 1),
        (SearchQuery(size_min=1), 0),
        (SearchQuery(size_max=5 * 10**11), 1),
    ],
)
def test_the_number_of_questions_does_not_grow_with_the_shelf(
    query: SearchQuery, more: int, alice: User
) -> None:
    def questions() -> list[int]:
        viewer, counts = Viewer(user=alice), []
        for ask in (lambda: search(viewer, query, limit=50), lambda: facets(viewer, query)):
            with CaptureQueriesContext(connection) as asked:
                ask()
            counts.append(len(asked))
        return counts

    shelf(4)
    few = questions()
    put(*(Made(name=f"more-poem-{n}", task=f"t{n}", weights_bytes=n) for n in range(40)))

    assert questions() == few
    # Who the viewer is (2), what changed, and, as this very transaction changed it, the whole
    # catalogue; the words or the ends of a range; the order and the rows.
    assert few == [6 + more, 2 + more]
