"""Whoever waits is told why and for how long: with scripts, without, and over REST."""

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import ModelRepo
from inference.models import Explanation, GenerationRun
from inference.services import explanations, follow, runs, scored_texts
from inference.services.explain_params import read_explanation, read_walk
from store.core import presence
from store.core.presence import Worker

Ask = Callable[..., GenerationRun]
Browser = Callable[[User], Client]
HTML = {"Accept": "text/html,application/xhtml+xml"}
NOBODY = "No worker for this runs now. It starts as soon as one does."


@pytest.fixture
def no_worker(a_worker: Worker) -> None:
    """All workers have left."""
    presence.retract(a_worker.name)


@pytest.mark.usefixtures("no_worker")
def test_a_run_no_worker_can_take_says_so(prompted: Ask, bob: User, browser_of: Browser) -> None:
    run = prompted()
    browser = browser_of(bob)

    page = browser.get(f"/runs/{run.public_id}", headers=HTML).content.decode()
    state = browser.get(f"/runs/{run.public_id}/state.json").json()
    both = browser.get(f"/playground/compare?run={run.public_id}", headers=HTML).content.decode()

    for text in (page, both):
        assert f"<strong>{NOBODY}</strong>" in text
        assert "you are next.\n" not in text
    assert (state["problem"], state["expected_wait_s"]) == (NOBODY, None)


@pytest.mark.django_db(transaction=True)
def test_the_stream_tells_it_and_that_it_is_over(
    prompted: Ask, a_worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "_WAIT_MS", 20)
    monkeypatch.setattr(follow, "_LOOK_EVERY_S", 0.0)
    presence.retract(a_worker.name)
    run = prompted()
    events = (event for event in follow.watch(run) if event is not None)

    assert next(events).data["problem"] == NOBODY
    presence.announce(a_worker)
    assert "problem" not in next(events).data


def questions(prompted: Ask, viewer: Viewer, repo: ModelRepo) -> dict[str, Explanation]:
    """Queue one question of each sort; return it by the address of its page."""
    run = prompted()
    GenerationRun.objects.filter(pk=run.pk).update(state="done", texts=[" a time"])
    run = runs.read(viewer, run.public_id)
    asked = explanations.ask(viewer, run, read_explanation({"kind": "tokens"}))
    walk = explanations.ask_walk(viewer, repo, "Once", read_walk({}))
    row = scored_texts.submit(viewer, [repo], "Once")
    return {
        f"/runs/{run.public_id}/explain?kind=tokens&sequence=0&top=5": asked,
        f"/how-it-works/{walk.public_id}": walk,
        f"/playground/score/{row.public_id}": row.explanations.get(),
    }


def test_questions_tell_their_place(
    prompted: Ask, tiny_repo: ModelRepo, as_bob: Viewer, bob: User, browser_of: Browser
) -> None:
    browser = browser_of(bob)
    for address, asked in questions(prompted, as_bob, tiny_repo).items():
        page = browser.get(address, headers=HTML).content.decode()
        ahead = runs.standing(asked).ahead
        assert ("you are next" if not ahead else f"{ahead} request") in page
        assert "This page shows the answer as soon as it is there." in page
        Explanation.objects.filter(pk=asked.pk).update(state="running")
        page = browser.get(address, headers=HTML).content.decode()
        assert "The model is being asked." in page
        assert "Waiting" not in page


@pytest.mark.usefixtures("no_worker")
def test_a_question_no_worker_can_take_says_so(
    prompted: Ask, tiny_repo: ModelRepo, as_bob: Viewer, bob: User, browser_of: Browser
) -> None:
    for address in questions(prompted, as_bob, tiny_repo):
        assert NOBODY in browser_of(bob).get(address, headers=HTML).content.decode()
