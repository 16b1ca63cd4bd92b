"""Models side by side: who is on the page, what differs beyond doubt, answers."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import Listing, ModelRepo
from inference.models import EvaluationRun, Score, Suite
from inference.services import comparing, significance
from inference.services.comparing import Row
from tests.factories import make_repo
from tests.inference.measured import add_samples, make_run, make_suite

Browser = Callable[[User], Client]


@pytest.fixture
def two(alice: User) -> list[ModelRepo]:
    """Two public models."""
    card = b"---\nlicense: mit\n---\n# Words\n"
    return [make_repo(alice, name, files={"README.md": card}) for name in ("one", "two")]


def measured(repo: ModelRepo, suite: Suite, worths: list[float], half: float = 0.1) -> Score:
    """A run whose figure is the mean of its samples."""
    run = make_run(repo, suite, sum(worths) / len(worths), half=half, samples=len(worths))
    add_samples(run, worths)
    return run.scores.get()


def best_cells(rows: list[Row]) -> list[list[bool]]:
    """Where rows are marked."""
    return [[cell.is_best for cell in row.cells] for row in rows]


# ── beyond doubt ────────────────────────────────────────────────────────────────────────────────


def test_answers_see_what_intervals_do_not(two: list[ModelRepo]) -> None:
    suite = make_suite()
    one = measured(two[0], suite, [1.0] * 60 + [0.0] * 40, half=0.3)
    other = measured(two[1], suite, [1.0] * 48 + [0.0] * 52, half=0.3)

    answers = significance.answers_of([one, other])

    assert significance.best_of([one, other], {}) is None
    assert significance.best_of([one, other], answers) == one
    assert significance.best_of([other, one], answers) == one


def test_few_answers_prove_nothing(two: list[ModelRepo]) -> None:
    suite = make_suite()
    one = measured(two[0], suite, [1.0, 1.0, 1.0, 0.0])
    other = measured(two[1], suite, [1.0, 0.0, 0.0, 0.0])

    answers = significance.answers_of([one, other])

    assert significance.best_of([one, other], answers) is None


def test_answers_that_are_no_plain_mean_are_not_used(two: list[ModelRepo]) -> None:
    run = make_run(two[0], make_suite(), 0.9, samples=2)
    add_samples(run, [1.0, 0.0])

    assert significance.answers_of([run.scores.get()]) == {}


def test_real_numbers_are_drawn_again(two: list[ModelRepo]) -> None:
    suite = make_suite()
    one = measured(two[0], suite, [0.5 + 0.001 * (place % 7) for place in range(80)], half=0.5)
    other = measured(two[1], suite, [0.4 + 0.001 * (place % 5) for place in range(80)], half=0.5)

    answers = significance.answers_of([one, other])

    assert significance.differ(one, other, answers)


def test_figures_without_interval_prove_nothing(two: list[ModelRepo]) -> None:
    suite = make_suite()
    one, other = (
        make_run(repo, suite, value, half=None).scores.get()
        for repo, value in zip(two, (900.0, 100.0), strict=True)
    )

    assert significance.best_of([one, other], {}) is None


def test_huge_runs_fall_back_on_intervals(
    two: list[ModelRepo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(significance, "MOST_SAMPLES", 3)
    score = measured(two[0], make_suite(), [1.0, 0.0, 1.0, 0.0])

    assert significance.answers_of([score]) == {}


# ── the page ────────────────────────────────────────────────────────────────────────────────────


def test_the_page_has_facts_terms_scores_and_answers(two: list[ModelRepo], client: Client) -> None:
    suite = make_suite()
    measured(two[0], suite, [1.0] * 60 + [0.0] * 40)
    measured(two[1], suite, [1.0] * 30 + [0.0] * 70)

    text = client.get("/models/compare?m=alice/one&m=alice/two").content.decode()

    assert text.count('<th scope="col">\n') >= 2
    assert "MIT" in text
    assert "60\u202f%" in text
    assert "30\u202f%" in text
    assert text.count("Best") >= 1
    assert "What is 0 + 1?" in text
    assert 'href="/models/compare?m=alice%2Ftwo"' in text


def test_versions_of_a_suite_are_not_compared(two: list[ModelRepo], as_bob: Viewer) -> None:
    measured(two[0], make_suite(), [1.0] * 60)
    measured(two[1], make_suite(version=2), [0.0] * 60)
    found = comparing.compare(as_bob, ["alice/one", "alice/two"])

    rows = comparing.score_rows(found.columns)

    assert best_cells(rows) == [[False, False]]
    assert "not comparable" in rows[0].note


def test_equal_rows_say_so(two: list[ModelRepo], as_bob: Viewer) -> None:
    Listing.objects.filter(repo=two[0]).update(parameters=5)
    found = comparing.compare(as_bob, ["alice/one", "alice/two"])

    rows = {row.label: row.is_equal for row in comparing.fact_rows(found.columns)}

    assert rows["Architecture"] is True
    assert rows["Parameters"] is False


def test_hidden_models_look_absent(
    two: list[ModelRepo], alice: User, bob: User, browser_of: Browser, client: Client
) -> None:
    hidden = make_repo(alice, "hidden", is_private=True)
    make_run(hidden, make_suite(), 0.77)
    path = "/models/compare?m=alice/one&m=alice/{}"

    for stranger in (client, browser_of(bob)):
        text = stranger.get(path.format("hidden")).content.decode()
        assert "There is no model alice/hidden." in text
        assert "77\u202f%" not in text
        other = stranger.get(path.format("nobody")).content.decode()
        assert "There is no model alice/nobody." in other
    assert "77\u202f%" in browser_of(alice).get(path.format("hidden")).content.decode()


def test_names_are_taken_once_and_no_more_than_four(
    two: list[ModelRepo], alice: User, client: Client
) -> None:
    for name in ("three", "four", "five"):
        make_repo(alice, name)
    names = ["one", "ONE", "two", "three", "four", "five"]
    query = "&".join(f"m=alice/{name}" for name in names)

    text = client.get(f"/models/compare?{query}&m=%20&m=odd&m=//").content.decode()

    assert "Left out: alice/five, odd, //" in text or "Left out: alice/five" in text
    assert 'id="compare-m"' not in text


def test_nothing_to_compare_says_what_to_do(client: Client) -> None:
    text = client.get("/models/compare").content.decode()

    assert "Nothing to compare yet" in text
    assert 'id="compare-m"' in text


def test_private_runs_are_in_no_comparison(
    two: list[ModelRepo], bob: User, browser_of: Browser
) -> None:
    own = make_suite("bob/test", owner=bob, is_public=False, title="Bob's own")
    make_run(two[0], own, asked_by=bob, is_public=False)

    text = browser_of(bob).get("/models/compare?m=alice/one").content.decode()

    assert "Bob" not in text
    assert "None of these models has been measured yet." in text


def test_queries_grow_with_models_not_with_suites(
    two: list[ModelRepo], client: Client, django_assert_max_num_queries: Any
) -> None:
    for number in range(6):
        suite = make_suite(f"suite{number}")
        for repo in two:
            measured(repo, suite, [1.0, 0.0])

    with django_assert_max_num_queries(16):
        client.get("/models/compare?m=alice/one&m=alice/two")
    assert EvaluationRun.objects.count() == 12


def test_lists_have_boxes_to_tick(two: list[ModelRepo], client: Client) -> None:
    text = client.get("/models").content.decode()

    assert text.count('form="compare"') == 2
    assert 'action="/models/compare"' in text
