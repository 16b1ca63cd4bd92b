"""Search, counts and totals agree with a plain-Python search, for everybody."""

from decimal import Decimal

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import User
from accounts.viewer import VISITOR, Viewer
from catalog.api.serializers import FacetOut
from catalog.search import ordering
from catalog.search.fields import FIELD, FIELDS
from catalog.search.ordering import ORDERS
from catalog.search.query import SearchQuery
from catalog.search.run import facets, search, search_with_facets
from tests.catalog.search.shelf import Made, Shelf, names, put

WORDS = ["austen", "novel", "gpt2", "poem"]
TASKS = ["", "text-generation", "translation"]
LANGUAGES, LICENSES = ["en", "fr", "de"], ["mit", "other"]
TAGS = ["novel", "en", "license:mit", "quiet"]
AMOUNTS = [0, 1, 999_999, 1_000_000, 2_999_999, 3_000_000, 10**9, 10**12]


def some(values: list[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), unique=True, max_size=3).map(
        lambda found: tuple(sorted(found))
    )


def numbered(made: list[Made]) -> list[Made]:
    return [
        Made(**{**vars(each), "name": f"{each.name}-n{number}"}) for number, each in enumerate(made)
    ]


MADE = st.builds(
    Made,
    owner=st.sampled_from(["alice", "bob", "team"]),
    name=st.sampled_from(WORDS),
    is_private=st.booleans(),
    gate=st.sampled_from(["none", "auto", "manual"]),
    task=st.sampled_from(TASKS),
    language=some(LANGUAGES),
    license=some(LICENSES),
    commercial=st.sampled_from(["yes", "no", "conditional", "unknown"]),
    base_model=some(["alice/austen", "gpt2"]),
    architecture=st.sampled_from(["", "GPT2LMHeadModel"]),
    format=some(["safetensors", "gguf"]),
    library=st.sampled_from(["", "transformers"]),
    tag=some(TAGS),
    runnable=st.booleans(),
    parameters=st.sampled_from([None, *AMOUNTS[1:]]),
    weights_bytes=st.sampled_from(AMOUNTS),
    summary=st.sampled_from(["", *WORDS]),
    body=st.sampled_from(["", *WORDS]),
    downloads=st.integers(0, 3),
    likes=st.integers(0, 3),
    trending=st.sampled_from([0.0, 0.1, 1 / 3]),
    age_days=st.integers(0, 3),
    prices=st.dictionaries(
        st.sampled_from(["EUR", "JPY", "USD"]), st.sampled_from([0, 500, 1900]), max_size=2
    ).map(lambda found: tuple(found.items())),
    has_free_offer=st.booleans(),
)
SHELVES = st.lists(MADE, max_size=12).map(numbered)
AMOUNT = st.none() | st.sampled_from(AMOUNTS)
PRICE = st.none() | st.sampled_from([Decimal(0), Decimal("4.995"), Decimal(5), Decimal(500)])
QUERIES = st.builds(
    SearchQuery,
    text=st.sampled_from(["", "", "austen", "austen novel"]),
    name_part=st.sampled_from(["", "", "aus", "E/GPT", "%", "_"]),
    author=st.sampled_from(["", "", "ALICE", "nobody"]),
    task=some(TASKS[1:]),
    language=some(LANGUAGES),
    license=some(LICENSES),
    commercial=some(["yes", "no"]),
    format=some(["gguf"]),
    publisher=some(["bob", "team"]),
    tag=some(TAGS),
    runnable=some(["yes"]),
    gated=some(["auto"]),
    parameters_min=AMOUNT,
    parameters_max=AMOUNT,
    size_max=AMOUNT,
    price=some(["free", "paid"]),
    price_min=PRICE,
    price_max=PRICE,
    currency=st.sampled_from(["", "", "EUR", "JPY", "CHF"]),
    sort=st.sampled_from([sort for sort in ORDERS if sort != "relevance"]),
)


def everybody(alice: User, bob: User) -> list[Viewer]:
    return [VISITOR, Viewer(user=alice), Viewer(user=bob)]


# each example rolls back to the people of the fixtures, so sharing those is right
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(made=SHELVES, query=QUERIES)
def test_pages_totals_and_counts_equal_a_plain_search_for_every_viewer(
    made: list[Made], query: SearchQuery, publishers: None, alice: User, bob: User
) -> None:
    with transaction.atomic():
        shelf = Shelf(put(*made))
        for viewer in everybody(alice, bob):
            expected = shelf.ordered(viewer, query)

            page, counted = search_with_facets(viewer, query, limit=5)

            assert page.total == len(expected)
            assert page.is_total_exact
            assert names(page.rows) == expected[:5]
            assert (page.next_cursor is None) == (len(expected) <= 5)
            complete = shelf.counts(viewer, query)
            for facet in counted:
                check_counts(facet.name, shown(facet), complete[facet.name], query)
        transaction.set_rollback(True)


def shown(facet) -> dict[str, int]:
    if facet.is_histogram:
        return {str(bar): value.count for bar, value in enumerate(facet.values) if value.count}
    return {value.value: value.count for value in facet.values}


def check_counts(
    name: str, counts: dict[str, int], complete: dict[str, int], query: SearchQuery
) -> None:
    """Few values fit into every facet here, so all must be there; but for tags that repeat."""
    chosen = query.chosen(name) if name in FIELD else ()
    expected = {value: complete.get(value, 0) for value in {*complete, *chosen}}
    if name == "tag":
        expected = {v: n for v, n in expected.items() if v in counts or v in chosen}
        assert set(counts) >= {"quiet", "novel"} & set(complete)
        assert "license:mit" not in set(counts) - set(chosen)
    assert counts == expected


@pytest.fixture(params=["sorted", "taken in order", "walked to the end"])
def way(request, monkeypatch) -> None:
    """Make few rows take each way that many rows would."""
    if request.param != "sorted":
        monkeypatch.setattr(ordering, "DIRECT_MOST", 0)
        strides = (2, 100) if request.param == "taken in order" else (1, 2)
        monkeypatch.setattr(ordering, "STRIDES", strides)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(made=SHELVES, query=QUERIES, limit=st.integers(1, 4))
def test_following_the_cursors_gives_every_match_once_and_in_order(
    made: list[Made], query: SearchQuery, limit: int, way: None, publishers: None, alice: User
) -> None:
    with transaction.atomic():
        shelf, viewer = Shelf(put(*made)), Viewer(user=alice)
        found, cursor, pages = [], None, 0

        while pages == 0 or cursor:
            page = search(viewer, query, limit=limit, cursor=cursor)
            found += names(page.rows)
            cursor, pages = page.next_cursor, pages + 1
            assert pages <= 13

        assert found == shelf.ordered(viewer, query)
        transaction.set_rollback(True)


def test_private_listings_of_others_change_nothing_at_all(
    publishers: None, alice: User, as_bob: Viewer
) -> None:
    public = Made(name="seen", task="text-generation", tag=("novel",), license=("mit",))
    put(public)
    query = SearchQuery(text="seen", tag=("novel",))
    before = [
        (
            viewer,
            search(viewer, query, limit=9),
            facets(viewer, query),
            facets(viewer, SearchQuery()),
        )
        for viewer in (VISITOR, as_bob)
    ]

    put(
        Made(name="seen-2", is_private=True, task="novel", tag=("novel",), language=("fr",)),
        Made(owner="team", name="seen-3", is_private=True, license=("secret",), format=("novel",)),
    )

    for viewer, page, chosen, all_facets in before:
        assert search(viewer, query, limit=9) == page
        assert facets(viewer, query) == chosen
        assert facets(viewer, SearchQuery()) == all_facets
    mine = search(Viewer(user=alice), query, limit=9)
    assert {row.full_name for row in mine.rows} == {"alice/seen", "alice/seen-2"}
    assert mine.total == 2


def test_a_facet_leaves_out_its_own_choice_and_shows_the_chosen_even_when_empty(
    publishers: None,
) -> None:
    put(
        Made(name="a", license=("mit",), language=("en",)),
        Made(name="b", license=("other",), language=("en",)),
        Made(name="c", license=("other",), language=("fr",)),
    )
    query = SearchQuery(license=("mit", "gone"), language=("en",))

    counted = {facet.name: facet for facet in facets(VISITOR, query)}

    values = [(v.value, v.count, v.is_selected) for v in counted["license"].values]
    assert values == [("mit", 1, True), ("gone", 0, True), ("other", 1, False)]
    assert [(v.value, v.count) for v in counted["language"].values] == [("en", 1)]


def test_tags_count_what_one_more_would_leave(publishers: None) -> None:
    put(
        Made(name="a", tag=("quiet", "novel")),
        Made(name="b", tag=("quiet",)),
        Made(name="c", tag=("novel",)),
    )

    counted = {f.name: f for f in facets(VISITOR, SearchQuery(tag=("quiet",)))}

    values = [(v.value, v.count) for v in counted["tag"].values]
    assert values == [("quiet", 2), ("novel", 1)]


def test_a_facet_shows_the_ten_largest_values_ties_by_name(publishers: None) -> None:
    put(
        *(
            Made(name=f"n{letter}{copy}", architecture=letter.upper())
            for letter in "zyxwvutsrqpo"
            for copy in range(2 if letter == "o" else 1)
        )
    )

    counted = {f.name: f for f in facets(VISITOR, SearchQuery())}

    assert [(v.value, v.count) for v in counted["architecture"].values] == [
        ("O", 2),
        *((letter, 1) for letter in "PQRSTUVWX"),
    ]


def test_bars_hold_their_lower_edge_and_lead_to_as_many_results(publishers: None) -> None:
    put(*(Made(name=f"n{n}", parameters=n, weights_bytes=n) for n in AMOUNTS[1:]))

    for facet in (f for f in facets(VISITOR, SearchQuery()) if f.is_histogram):
        for bar in facet.values:
            query = SearchQuery().with_(facet.name, bar.value)
            assert search(VISITOR, query, limit=1).total == bar.count
            assert SearchQuery.from_params({}).with_(facet.name, bar.value) == query
            again = {f.name: f for f in facets(VISITOR, query)}[facet.name]
            assert [v.value for v in again.values if v.is_selected] == [bar.value]
            assert [v.count for v in again.values] == [v.count for v in facet.values]
        assert sum(bar.count for bar in facet.values) == 7


def test_a_facet_as_programs_see_it(publishers: None) -> None:
    put(Made(name="a", license=("mit",)), Made(name="b", license=("mit",)))

    counted = {f.name: f for f in facets(VISITOR, SearchQuery(license=("mit",)))}

    assert dict(FacetOut(counted["license"]).data) == {
        "name": "license",
        "label": "License",
        "is_histogram": False,
        "values": [{"value": "mit", "label": "mit", "count": 2, "is_selected": True}],
    }


@pytest.mark.parametrize("name", [each.name for each in FIELDS if each.top])
def test_every_value_links_to_the_search_with_it_and_without_it(
    name: str, publishers: None
) -> None:
    put(
        Made(
            name="a",
            **(
                {}
                if name in {"publisher", "runnable", "commercial", "price"}
                else {name: ("x",) if FIELD[name].is_list else "x"}
            ),
        )
    )
    value = next(f for f in facets(VISITOR, SearchQuery()) if f.name == name).values[0]

    chosen = SearchQuery().toggled(name, value.value)

    assert value.query_string == chosen.query_string
    assert search(VISITOR, chosen, limit=1).total == value.count == 1
    back = next(f for f in facets(VISITOR, chosen) if f.name == name).values[0]
    assert (back.is_selected, back.query_string) == (True, "")
