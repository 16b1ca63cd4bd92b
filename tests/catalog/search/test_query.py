"""Searches as URLs: there and back, chip by chip, and what junk does."""

from typing import Any

import pytest
from django.http import QueryDict
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.search.fields import FIELD, FIELDS, MEASURES
from catalog.search.ordering import ORDERS
from catalog.search.params import MAX_TEXT_CHARS, MAX_VALUES, BadQueryError
from catalog.search.query import SearchQuery

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def url(text: str) -> SearchQuery:
    return SearchQuery.from_params(QueryDict(text))


@st.composite
def params(draw) -> dict[str, list[str]]:
    """Parameters as anybody could type them, good ones and junk."""
    made = {
        name: draw(st.lists(TEXTS, max_size=3)) for name in ("q", "search", "author", "nonsense")
    }
    for field in FIELDS:
        known = [value for value, _label in field.choices] or ["a", "b c", "x:y", "ü&="]
        made[field.name] = draw(st.lists(st.sampled_from(known) | TEXTS, max_size=3))
    for measure in MEASURES:
        for end in ("min", "max"):
            amount = st.integers(0, 2**64).map(str) | st.sampled_from(["1.5M", "20k", "-1", "M"])
            made[f"{measure.name}_{end}"] = draw(st.lists(amount, max_size=1))
    made["sort"] = draw(st.lists(st.sampled_from([*ORDERS, "junk"]), max_size=1))
    made["currency"] = draw(st.lists(st.sampled_from(["EUR", "jpy", "XXX", "e"]), max_size=1))
    price = st.sampled_from(["19", "19,5", "0.00", "-1", "1e9", "9" * 14, "4.9999"]) | TEXTS
    for end in ("min", "max"):
        made[f"price_{end}"] = draw(st.lists(price, max_size=1))
    return {name: values for name, values in made.items() if values}


@settings(deadline=None)  # shared machines pause
@given(made=params())
def test_a_search_survives_its_own_url(made: dict[str, list[str]]) -> None:
    query = SearchQuery.from_params(made)

    assert SearchQuery.from_params(query.to_params(), strict=True) == query
    assert url(query.query_string) == query
    assert url(query.query_string).query_string == query.query_string


@settings(deadline=None)  # shared machines pause
@given(made=params())
def test_each_chip_takes_away_one_condition_and_all_of_them_leave_the_order(
    made: dict[str, list[str]],
) -> None:
    query = SearchQuery.from_params(made)

    rest = query
    for chip in query.chips:
        assert len(chip.rest.chips) == len(query.chips) - 1
        assert chip.rest.sort == query.sort
        rest = rest.without(chip.field, chip.value)

    assert rest == SearchQuery(sort=query.sort, currency=query.currency)
    assert rest.is_empty


def test_reads_every_parameter() -> None:
    query = url(
        "q=long+novel&search=gpt&author=alice&task=text-generation&language=fr&language=en"
        "&license=mit&commercial=yes&base_model=a/b&architecture=GPT2LMHeadModel&format=gguf"
        "&library=transformers&publisher=bob&tag=x&runnable=yes&gated=none&sort=likes"
        "&parameters_min=100M&parameters_max=1.5B&size_min=10MB&size_max=2GiB"
    )

    assert query == SearchQuery(
        text="long novel",
        name_part="gpt",
        author="alice",
        task=("text-generation",),
        language=("en", "fr"),
        license=("mit",),
        commercial=("yes",),
        base_model=("a/b",),
        architecture=("GPT2LMHeadModel",),
        format=("gguf",),
        library=("transformers",),
        publisher=("bob",),
        tag=("x",),
        runnable=("yes",),
        gated=("none",),
        parameters_min=100_000_000,
        parameters_max=1_500_000_000,
        size_min=10_000_000,
        size_max=2 * 1024**3,
        sort="likes",
    )
    assert [chip.text for chip in query.chips][-2:] == [
        "100\u202fM to 1.5\u202fB",
        "10\u202fMB to 2.1\u202fGB",
    ]


def test_a_chosen_bar_reads_as_it_did_before_it_was_chosen() -> None:
    chips = url("parameters_min=1M&parameters_max=2999999").chips

    assert [chip.text for chip in chips] == ["1\u202fM to 3\u202fM"]


JUNK: list[tuple[str, str | list[str], str]] = [
    ("q", "x" * (MAX_TEXT_CHARS + 1), "text"),
    ("q", "a\0b", "text"),
    ("sort", "junk", "sort"),
    ("commercial", "maybe", "commercial"),
    ("runnable", "1", "runnable"),
    ("task", "x" * 201, "task"),
    ("task", "a\0", "task"),
    ("tag", [f"t{n:02}" for n in range(MAX_VALUES + 1)], "tag"),
    ("parameters_min", "many", "parameters_min"),
    ("parameters_max", "99999999999B", "parameters_max"),
    ("size_min", "1 light year", "size_min"),
    ("price", "cheap", "price"),
    ("price_min", "-1", "price_min"),
    ("price_max", "9" * 13, "price_max"),
    ("price_max", "1e3", "price_max"),
    ("price_max", "19 EUR", "price_max"),
    ("currency", "XAU", "currency"),
    ("currency", "' OR 1", "currency"),
]


@pytest.mark.parametrize(("name", "value", "attribute"), JUNK)
def test_programs_are_told_of_junk_and_pages_leave_it_out(
    name: str, value: Any, attribute: str
) -> None:
    with pytest.raises(BadQueryError) as caught:
        SearchQuery.from_params({name: value}, strict=True)
    gently = SearchQuery.from_params({name: value})

    assert caught.value.extra == {"parameter": name}
    assert caught.value.status == 400
    kept = {"q": ["x" * MAX_TEXT_CHARS, "a b"], "tag": [tuple(f"t{n:02}" for n in range(20))]}
    assert getattr(gently, attribute) in [*kept.get(name, []), "", (), None]


def test_a_range_with_crossed_ends_is_turned_round_for_people() -> None:
    assert url("parameters_min=3M&parameters_max=1M").bounds("parameters") == (10**6, 3 * 10**6)
    with pytest.raises(BadQueryError, match="larger than parameters_max"):
        SearchQuery.from_params({"parameters_min": "3M", "parameters_max": "1M"}, strict=True)


def test_the_order_is_relevance_with_words_and_trending_without() -> None:
    assert SearchQuery().order == "trending"
    assert SearchQuery(text="gpt").order == "relevance"
    assert SearchQuery(sort="relevance").order == "trending"
    assert SearchQuery(text="gpt", sort="likes").order == "likes"


def test_values_come_and_go() -> None:
    query = SearchQuery(language=("en",))

    both = query.with_("language", "fr")

    assert both.language == ("en", "fr")
    assert both.with_("language", "fr") == both
    assert both.without("language", "fr") == query == both.toggled("language", "fr")
    assert both.without("language") == SearchQuery()
    assert query.with_("parameters", "1M..3M").bounds("parameters") == (10**6, 3 * 10**6)
    assert query.with_("parameters", "..3M").bounds("parameters") == (None, 3 * 10**6)
    assert query.with_("parameters", "1M..").without("parameters") == query
    assert query.with_("text", "novel").without("text") == query


def test_one_sided_ranges_have_readable_chips() -> None:
    texts = [
        SearchQuery(parameters_min=low, parameters_max=high).chips[0].text
        for low, high in [(10**9, None), (None, 10**6), (124, 124)]
    ]

    assert texts == ["≥ 1\u202fB", "≤ 1\u202fM", "124"]


def test_labels_of_fixed_values_are_words() -> None:
    chips = SearchQuery(commercial=("yes",), gated=("manual",)).chips

    assert [(chip.label, chip.text) for chip in chips] == [
        ("Commercial use", "Allowed"),
        ("Access", "On request"),
    ]


def test_hub_parameters_become_a_search() -> None:
    query = SearchQuery.from_hub(
        name_part="GPT2",
        author="alice",
        tags=["license:mit", "gguf"],
        task="text-generation",
        parameters="min:6B,max:128B",
        gated="true",
        apps=["llama.cpp", "vllm", "some-app"],
        sort="downloads",
    )

    assert query == SearchQuery(
        name_part="GPT2",
        author="alice",
        tag=("gguf", "license:mit"),
        task=("text-generation",),
        parameters_min=6 * 10**9,
        parameters_max=128 * 10**9,
        gated=("auto", "manual", "sold"),
        format=("gguf", "safetensors", "some-app"),
        sort="downloads",
    )
    assert SearchQuery.from_hub() == SearchQuery()
    assert SearchQuery.from_hub(gated="False").gated == ("none",)
    assert SearchQuery.from_hub(parameters="max:1K").bounds("parameters") == (None, 1000)


@pytest.mark.parametrize(
    ("parameter", "arguments"),
    [
        ("num_parameters", {"parameters": "6B"}),
        ("num_parameters", {"parameters": "most:6B"}),
        ("parameters_min", {"parameters": "min:big"}),
        ("gated", {"gated": "perhaps"}),
        ("sort", {"sort": "mood"}),
        ("tag", {"tags": [str(n) for n in range(30)]}),
    ],
)
def test_hub_parameters_that_mean_nothing_are_refused(
    parameter: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(BadQueryError) as caught:
        SearchQuery.from_hub(**arguments)

    assert caught.value.extra == {"parameter": parameter}


def test_every_field_is_an_attribute_of_a_search() -> None:
    assert all(SearchQuery().chosen(name) == () for name in FIELD)
