"""Score cards: which run is shown, who sees which run."""

from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import Listing, ModelRepo
from inference.models import EvaluationRun
from inference.services import evaluations, scoreboards
from inference.services.claims import claims_of
from inference.services.scoreboards import history_plot, score_card
from tests.factories import make_repo, proved_viewer
from tests.inference.measured import add_commit, make_run, make_suite

OLD, OLDER = "1" * 40, "2" * 40


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    """A public model of alice's."""
    return make_repo(alice, "words", files={"README.md": b"# Words\n"})


def head_of(repo: ModelRepo) -> str:
    """The head of main."""
    return Listing.objects.get(repo=repo).head_oid


def test_the_card_shows_the_newest_revision_that_was_measured(repo: ModelRepo) -> None:
    suite = make_suite()
    add_commit(repo, OLD, -1)
    add_commit(repo, OLDER, -2)
    make_run(repo, suite, 0.4, commit_oid=OLDER, days=9)  # measured last, but of the oldest
    newer = make_run(repo, suite, 0.6, commit_oid=OLD, days=3)

    (line,) = score_card(repo, head_of(repo))

    assert line.run == newer
    assert line.is_head is False
    assert [score.value for score in line.history] == [0.4, 0.6]
    assert line.reading.text == "60\u202f%"
    assert line.reading.between == "50\u201370\u202f%"

    head = make_run(repo, suite, 0.5, days=1)
    (line,) = score_card(repo, head_of(repo))
    assert line.run == head
    assert line.is_head is True


def test_the_listing_draws_the_scores_of_all_revisions(repo: ModelRepo, client: Client) -> None:
    suite = make_suite()
    add_commit(repo, OLD, -1)
    add_commit(repo, OLDER, -2)
    runs = [
        make_run(repo, suite, 0.4, commit_oid=OLDER),
        make_run(repo, suite, 0.6, commit_oid=OLD, days=1),
        make_run(repo, suite, 0.3, days=2),
    ]

    page = client.get(f"/{repo.full_name}").text

    _before, drawn = page.split("Arithmetic over 3 revisions", 1)
    drawn = drawn.split("</details>", 1)[0]
    links = [f'href="/{repo.full_name}/evaluations/{run.public_id}"' for run in runs]
    places = [drawn.index(link) for link in links]
    assert places == sorted(places)  # the oldest first
    for run, value in zip(runs, ("40", "60", "30"), strict=True):
        assert run.commit_oid[:8] in drawn
        assert f"{value}\u202f%" in drawn


def test_only_finished_public_runs_are_on_the_card(repo: ModelRepo, bob: User) -> None:
    suite = make_suite()
    make_run(repo, suite, state=EvaluationRun.State.RUNNING, commit_oid=OLD)
    make_run(repo, suite, state=EvaluationRun.State.FAILED, commit_oid=OLDER)
    make_run(repo, suite, asked_by=bob, is_public=False)

    assert score_card(repo, head_of(repo)) == []


def test_versions_of_a_suite_are_not_mixed(repo: ModelRepo) -> None:
    first, second = make_suite(), make_suite(version=2)
    make_run(repo, first, 0.9)
    newest = make_run(repo, second, 0.3)

    (line,) = score_card(repo, head_of(repo))

    assert line.run == newest
    assert len(line.history) == 1
    assert history_plot(line, repo.full_name) is None


def test_the_range_is_that_of_public_models(repo: ModelRepo, alice: User) -> None:
    suite = make_suite()
    make_run(repo, suite, 0.5)
    make_run(make_repo(alice, "other"), suite, 0.7)
    make_run(make_repo(alice, "hidden", is_private=True), suite, 0.05, half=0.04)

    (line,) = score_card(repo, head_of(repo))

    assert line.span == pytest.approx((40, 80))


def test_a_card_takes_two_queries(repo: ModelRepo, django_assert_num_queries: Any) -> None:
    for key in ("a", "b", "c"):
        make_run(repo, make_suite(key))

    head = head_of(repo)
    with django_assert_num_queries(2):
        assert len(score_card(repo, head)) == 3
    with django_assert_num_queries(1):  # the ranges are kept for a moment
        assert len(score_card(repo, head)) == 3


def test_private_runs_are_their_askers_alone(
    repo: ModelRepo, alice: User, bob: User, staff: User
) -> None:
    run = make_run(repo, make_suite(), asked_by=bob, is_public=False)

    assert list(evaluations.visible_runs(Viewer(user=bob), repo)) == [run]
    for other in (Viewer(), Viewer(user=alice), proved_viewer(staff)):
        assert list(evaluations.visible_runs(other, repo)) == []
        with pytest.raises(evaluations.EvaluationNotFoundError):
            scoreboards.run_for(other, repo, run.public_id)


def test_a_run_is_found_at_its_own_model_only(repo: ModelRepo, alice: User) -> None:
    run = make_run(repo, make_suite())

    with pytest.raises(evaluations.EvaluationNotFoundError):
        scoreboards.run_for(Viewer(), make_repo(alice, "other"), run.public_id)


RESULTS = b"""
- dataset: {id: cais/mmlu, task_id: default}
  value: 0.42
  source: {url: "https://example.org/run", name: A run}
"""
INDEX = b"""---
model-index:
- name: words
  results:
  - task: {type: text-generation}
    dataset: {type: wikitext, name: WikiText}
    metrics: [{type: perplexity, value: 24.1}, {type: odd, value: [1]}]
    source: {url: "javascript:alert(1)", name: x}
---
# Words
"""


def test_claims_come_from_files_and_card(alice: User) -> None:
    repo = make_repo(alice, "claims", files={".eval_results/a.yaml": RESULTS, "README.md": INDEX})

    claims = claims_of(repo, head_of(repo), repo.card.model_index)

    assert [(c.dataset, c.metric, c.value) for c in claims.rows] == [
        ("cais/mmlu", "default", "0.42"),
        ("WikiText", "perplexity", "24.1"),
        ("WikiText", "odd", "\u2013"),
    ]
    assert [c.source_url for c in claims.rows] == ["https://example.org/run", "", ""]


def test_the_listing_keeps_claims_apart_from_what_was_measured(alice: User, client: Client) -> None:
    repo = make_repo(alice, "claims", files={".eval_results/a.yaml": RESULTS, "README.md": INDEX})
    make_run(repo, make_suite(), 0.625, half=0.05, samples=300)

    text = client.get("/alice/claims").content.decode()

    measured, claimed = text.split("3 results reported by the publisher")
    assert "62.5\u202f%" in measured
    assert "cais/mmlu" not in measured
    assert "Not verified" in claimed
    assert "WikiText" in claimed
    assert "javascript:" not in text


def test_a_listing_without_scores_says_why(repo: ModelRepo, client: Client) -> None:
    text = client.get("/alice/words").content.decode()

    assert "The store cannot run this model" in text
    assert "There are no weights to run" in text
