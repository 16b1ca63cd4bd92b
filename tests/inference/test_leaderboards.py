"""Leaderboards: order and doubt, who is on them, filters, the picture, the tables."""

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import Listing, ModelRepo
from catalog.search.query import SearchQuery
from catalog.services.repos import change_settings
from inference.models import EvaluationRun, Suite
from inference.services import leaderboards
from inference.services.board_plot import AXES, MOST_DOTS, picture
from inference.services.leaderboards import Board, Row, ranked
from licensing.services.offers import NewPrice, make_offer
from store.core.ui.plotting import front
from tests.factories import make_repo, make_user
from tests.inference.measured import add_commit, make_run, make_suite
from tests.licensing.selling.shop import FIXED, make_model

ALL = SearchQuery()
AT = datetime(2026, 11, 1, tzinfo=UTC)


def row(name: str, value: float, low: float | None = None, high: float | None = None) -> Row:
    """A row that only has what ranks it."""
    return Row(1, name, None, 0, [], "r", "0" * 40, True, AT, 10, value, low, high, "share")


@pytest.fixture
def suite(db: None) -> Suite:
    """A suite with a board."""
    return make_suite()


@pytest.fixture
def three(alice: User, suite: Suite) -> list[ModelRepo]:
    """Three public models, the best first; the second and the third cannot be told apart."""
    repos = [make_repo(alice, name) for name in ("best", "good", "fair")]
    for repo, value in zip(repos, (0.9, 0.5, 0.45), strict=True):
        make_run(repo, suite, value, samples=100)
    sizes = {"best": 3_000_000, "good": 1_000_000, "fair": 2_000_000}
    for repo in repos:
        size = sizes[repo.name]
        Listing.objects.filter(repo=repo).update(parameters=size, weights_bytes=2 * size)
    return repos


def names(board: Board) -> list[str]:
    """Names of the models, in order."""
    return [each.full_name for each in board.rows]


# ── order and doubt ─────────────────────────────────────────────────────────────────────────────


def test_a_rank_counts_those_that_are_better_beyond_doubt() -> None:
    rows = ranked(
        [
            row("c", 0.5, 0.4, 0.6),
            row("a", 0.9, 0.85, 0.95),
            row("b", 0.62, 0.52, 0.72),
            row("d", 0.3, 0.2, 0.45),
            row("e", 0.1, 0.05, 0.15),
        ],
        is_higher_better=True,
    )

    assert [(each.full_name, each.rank, each.tied_with) for each in rows] == [
        ("a", 1, ""),
        ("b", 2, ""),
        ("c", 2, "b"),
        ("d", 3, "c"),
        ("e", 5, ""),
    ]


def test_lower_can_be_better_and_figures_without_interval_are_exact() -> None:
    rows = ranked([row("b", 3.0), row("a", 2.0), row("c", 3.0)], is_higher_better=False)

    assert [(each.full_name, each.rank, each.tied_with) for each in rows] == [
        ("a", 1, ""),
        ("b", 2, ""),
        ("c", 2, "b"),
    ]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9), st.integers(0, 9)), max_size=30))
def test_ranks_are_what_counting_one_by_one_gives(drawn: list[tuple[int, int, int]]) -> None:
    given_rows = [
        row(f"m{place:02}", value, value - down, value + up)
        for place, (value, down, up) in enumerate(drawn)
    ]

    found = ranked(given_rows, is_higher_better=True)

    for place, one in enumerate(found):
        assert one.high is not None
        better = [other for other in found if other.low is not None and other.low > one.high]
        above = [other for other in found[:place] if other not in better]
        assert one.rank == 1 + len(better)
        assert one.tied_with == (above[0].full_name if above else "")


# ── who is on it ────────────────────────────────────────────────────────────────────────────────


def test_only_public_models_and_runs_count(
    three: list[ModelRepo], suite: Suite, alice: User, bob: User
) -> None:
    make_run(make_repo(alice, "hidden", is_private=True), suite, 0.99)
    tried = make_repo(alice, "tried")
    make_run(tried, suite, 0.98, asked_by=bob, is_public=False)
    make_run(tried, suite, 0.97, state=EvaluationRun.State.FAILED)

    board = leaderboards.board(suite.key, ALL, has_facets=True)

    assert names(board) == ["alice/best", "alice/good", "alice/fair"]
    assert board.total == 3
    assert [line.models for line in leaderboards.boards()] == [3]
    counts = {value.count for facet in board.facets for value in facet.values}
    assert max(counts) == 3


def test_a_model_that_becomes_private_leaves_the_board(
    three: list[ModelRepo], suite: Suite, as_alice: Any, client: Client
) -> None:
    change_settings(as_alice, three[0], is_private=True)

    text = client.get(f"/leaderboards/{suite.key}").content.decode()

    assert "alice/best" not in text
    assert "<b>2</b> models of 2" in text


def test_the_newest_measured_revision_of_each_model_stands(
    three: list[ModelRepo], suite: Suite
) -> None:
    old = add_commit(three[2], "1" * 40, -1)
    make_run(three[2], suite, 0.99, commit_oid=old, days=9)

    board = leaderboards.board(suite.key, ALL)

    assert [each.value for each in board.rows] == [0.9, 0.5, 0.45]
    assert all(each.is_head for each in board.rows)


def test_the_newest_version_of_a_suite_has_the_board(three: list[ModelRepo], suite: Suite) -> None:
    newer = make_suite(version=2)
    make_run(three[1], newer, 0.2)

    assert names(leaderboards.board(suite.key, ALL)) == ["alice/good"]
    assert [(line.suite, line.models) for line in leaderboards.boards()] == [(newer, 1)]


def test_private_and_unranked_suites_have_no_board(alice: User, client: Client) -> None:
    make_suite("own", owner=alice, is_public=False)
    make_suite("plain", is_ranked=False)

    for key in ("own", "plain", "none", "lm-eval/x"):
        assert client.get(f"/leaderboards/{key}").status_code == 404
        assert client.get(f"/leaderboards/{key}.csv").status_code == 404
        assert client.get(f"/api/v1/leaderboards/{key}").status_code == 404


def test_filters_are_those_of_the_search(three: list[ModelRepo], suite: Suite) -> None:
    small = SearchQuery.from_params({"parameters_max": "2M"})

    board = leaderboards.board(suite.key, small)

    assert names(board) == ["alice/good", "alice/fair"]
    assert [each.rank for each in board.rows] == [1, 1]
    assert names(leaderboards.board(suite.key, SearchQuery(text="best"))) == ["alice/best"]


# ── the picture ─────────────────────────────────────────────────────────────────────────────────


def test_the_picture_marks_what_no_other_beats(three: list[ModelRepo], suite: Suite) -> None:
    board = leaderboards.board(suite.key, ALL)

    shown = picture(board, AXES["parameters"])

    assert shown.shape is not None
    marked = {each.dot.label for each in shown.shape.dots if each.dot.is_marked}
    assert marked == {"alice/best", "alice/good"}
    assert len(shown.shape.line) == 1
    assert picture(board, AXES["speed"]).shape is None


def test_speed_comes_from_the_speed_suite(three: list[ModelRepo], suite: Suite) -> None:
    speed = make_suite("speed")
    make_run(three[0], speed, 15.0, unit="tokens/s", metric="speed")
    make_run(three[1], speed, 90.0, unit="tokens/s", metric="speed")

    board = leaderboards.board(suite.key, ALL)
    leaderboards.add_costs(board.rows, board.currency)

    assert [each.speed for each in board.rows] == [15.0, 90.0, None]
    assert picture(board, AXES["speed"]).known == 2


def test_a_crowd_is_thinned_and_the_front_kept(suite: Suite) -> None:
    crowd = [
        replace(row(f"m{place}", place / 1000), repo_id=place, parameters=1000 + place)
        for place in range(MOST_DOTS + 50)
    ]
    worst = replace(row("tiny", 0.0001), repo_id=9999, parameters=10)
    board = Board(suite, "acc", "share", True, [*crowd[::-1], worst], len(crowd) + 1)

    shown = picture(board, AXES["parameters"])

    assert shown.shape is not None
    assert (shown.shown, shown.known) == (MOST_DOTS, MOST_DOTS + 51)


@pytest.mark.parametrize(
    ("axis", "numbers"),
    [
        ("speed", [{"speed": 10.0}, {"speed": 90.0}, {"speed": 50.0}]),
        ("price", [{"price_minor": 900}, {"price_minor": 0}, {"price_minor": 950}]),
    ],
)
def test_fast_is_good_and_dear_is_not(
    suite: Suite, axis: str, numbers: list[dict[str, Any]]
) -> None:
    values = [0.9, 0.5, 0.4]
    rows = [
        replace(row(f"m{place}", value), repo_id=place + 1, **more)
        for place, (value, more) in enumerate(zip(values, numbers, strict=True))
    ]

    board = replace(Board(suite, "acc", "share", True, rows, 3), currency="EUR")

    shown = picture(board, AXES[axis])

    # the best is on the front; of the others whoever is faster, or cheaper, than all above it;
    # turned round it would be others
    assert shown.best == {1, 2}


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12),
    st.booleans(),
    st.booleans(),
)
def test_the_front_is_whom_nobody_beats(
    points: list[tuple[int, int]], is_less_x: bool, is_less_y: bool
) -> None:
    def good(point: tuple[float, float]) -> tuple[float, float]:
        x, y = point
        return (-x if is_less_x else x, -y if is_less_y else y)

    def is_beaten(mine: tuple[float, float]) -> bool:
        return any(
            other != mine and all(o >= m for o, m in zip(good(other), good(mine), strict=True))
            for other in points
        )

    found = front(points, is_less_x_better=is_less_x, is_less_y_better=is_less_y)

    assert found == {place for place, point in enumerate(points) if not is_beaten(point)}


def test_a_board_is_narrowed_by_license_and_family(
    three: list[ModelRepo], suite: Suite, client: Client
) -> None:
    best, good, fair = (Listing.objects.filter(repo=repo) for repo in three)
    best.update(licenses=["mit"], architecture="LlamaForCausalLM")
    good.update(licenses=["apache-2.0"], architecture="GPT2LMHeadModel")
    fair.update(licenses=["mit"], architecture="GPT2LMHeadModel")

    def on(query: str) -> list[str]:
        page = client.get(f"/leaderboards/{suite.key}?{query}").text
        table = client.get(f"/leaderboards/{suite.key}.csv?{query}")
        body = b"".join(table.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
        models = [line["model"] for line in csv.DictReader(io.StringIO(body))]
        for repo in three:
            assert (f'value="{repo.full_name}"' in page) is (repo.full_name in models)
        return [model.removeprefix("alice/") for model in models]

    assert on("") == ["best", "good", "fair"]
    assert on("license=mit") == ["best", "fair"]
    assert on("license=apache-2.0&license=mit") == ["best", "good", "fair"]
    assert on("architecture=GPT2LMHeadModel") == ["good", "fair"]
    assert on("architecture=GPT2LMHeadModel&license=mit") == ["fair"]
    assert on("license=gpl-3.0") == []


def test_a_board_is_narrowed_and_drawn_by_what_is_asked(suite: Suite, client: Client) -> None:
    seller = make_user("maria")
    best, good, fair, poor = (make_model(seller, n) for n in ("best", "good", "fair", "poor"))
    for repo, value in ((best, 0.9), (good, 0.6), (fair, 0.5), (poor, 0.1)):
        make_run(repo, suite, value, half=0.01, samples=100)
    for repo, amount_minor in ((best, 1900), (good, 2900), (fair, 500)):
        draft = replace(FIXED, prices=(NewPrice("EUR", amount_minor),))
        make_offer(Viewer(user=seller), [repo], draft)

    def on(query: str) -> list[str]:
        said = client.get(f"/api/v1/leaderboards/{suite.key}?{query}").json()
        return [each["model"].removeprefix("maria/") for each in said["results"]]

    assert on("") == ["best", "good", "fair", "poor"]
    assert on("price_max=19&currency=EUR") == ["best", "fair", "poor"]
    assert on("price_min=6&currency=EUR") == ["best", "good"]
    page = client.get(f"/leaderboards/{suite.key}?x=price").text
    assert ("€19" in page, "€29" in page, "€5" in page) == (True, True, True)
    board = leaderboards.board(suite.key, ALL)
    leaderboards.add_costs(board.rows, board.currency)
    # nobody is better for less: all but the one that is dearer than the best
    assert picture(board, AXES["price"]).best == {repo.pk for repo in (best, fair, poor)}


# ── pages and tables ────────────────────────────────────────────────────────────────────────────


def test_the_page_has_ranks_doubt_and_links(
    three: list[ModelRepo], suite: Suite, client: Client
) -> None:
    text = client.get(f"/leaderboards/{suite.key}").content.decode()

    assert "cannot be told from alice/good" in text
    assert text.count('name="m"') == 3
    assert 'aria-label="alice/best: 90\u202f% (80\u2013100\u202f%), 3\u202fM"' in text
    assert 'href="?x=price"' in text


def test_links_keep_the_axis_and_the_filters(
    three: list[ModelRepo], suite: Suite, client: Client
) -> None:
    text = client.get(f"/leaderboards/{suite.key}?x=size&q=best").content.decode()

    assert 'href="?q=best&amp;x=price"' in text
    assert f"/leaderboards/{suite.key}.csv?q=best" in text


def test_the_page_takes_few_queries_however_many_models(
    three: list[ModelRepo],
    suite: Suite,
    alice: User,
    client: Client,
    django_assert_num_queries: Any,
) -> None:
    client.get(f"/leaderboards/{suite.key}")  # facets are read into the process
    # suite, rows of heads and older ones, changes, what changed in this very transaction, speeds
    # likewise, prices, price notes
    with django_assert_num_queries(9):
        client.get(f"/leaderboards/{suite.key}")
    for number in range(5):
        make_run(make_repo(alice, f"more{number}"), suite, 0.1)
    client.get(f"/leaderboards/{suite.key}")
    with django_assert_num_queries(9):
        client.get(f"/leaderboards/{suite.key}")


def test_the_table_has_exact_numbers_and_runs_nothing(
    three: list[ModelRepo], suite: Suite, client: Client
) -> None:
    Listing.objects.filter(repo=three[0]).update(licenses=["=evil()"])

    answer = client.get(f"/leaderboards/{suite.key}.csv")
    body = b"".join(answer.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    lines = list(csv.DictReader(io.StringIO(body)))

    assert [line["model"] for line in lines] == ["alice/best", "alice/good", "alice/fair"]
    assert lines[0]["score"] == "0.9"
    assert lines[0]["licenses"] == "'=evil()"
    assert lines[2]["not_distinguishable_from"] == "alice/good"


def test_empty_boards_say_what_to_do(suite: Suite, client: Client) -> None:
    assert (
        "Nobody is on this board yet" in client.get(f"/leaderboards/{suite.key}").content.decode()
    )
    Suite.objects.all().delete()
    assert "No leaderboard yet" in client.get("/leaderboards").content.decode()


def test_the_api_answers_the_same(three: list[ModelRepo], suite: Suite, client: Client) -> None:
    found = client.get("/api/v1/leaderboards").json()
    board = client.get(f"/api/v1/leaderboards/{suite.key}?limit=2").json()
    rest = client.get(f"/api/v1/leaderboards/{suite.key}?limit=2&cursor={board['next']}").json()

    assert [(each["key"], each["models"]) for each in found["results"]] == [(suite.key, 3)]
    assert [each["model"] for each in board["results"]] == ["alice/best", "alice/good"]
    assert [each["model"] for each in rest["results"]] == ["alice/fair"]
    assert rest["results"][0]["not_distinguishable_from"] == "alice/good"
    assert rest["next"] is None
    bad = client.get(f"/api/v1/leaderboards/{suite.key}?parameters_min=x")
    assert bad.status_code == 400
    assert json.loads(bad.content)["error"]["code"] == "bad_query"
