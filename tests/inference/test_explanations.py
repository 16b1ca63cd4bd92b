"""Explanations from a question to its answer: rights, limits, the job, the REST API."""

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import ModelRepo
from catalog.services.repos import change_settings
from inference.models import Explanation, GenerationRun, UsageRecord
from inference.services import answering, explanations, quotas, retention, runs
from inference.services.explain_params import read_explanation, read_walk
from inference.services.params import InvalidParamsError
from store.core.errors import StoreError
from store.core.jobs import JobName
from store.core.models import Job
from workers.runner import run_job

Ask = Callable[..., GenerationRun]
Headers = dict[str, str]


@pytest.fixture(autouse=True)
def limits(settings: Any) -> None:
    """Tokens are counted."""
    settings.ENV = settings.ENV.model_copy(update={"rate_limits": "on"})


KINDS = ["tokens", "saliency", "attention", "lens"]


@pytest.fixture
def written(prompted: Ask, as_bob: Viewer) -> GenerationRun:
    """A run of bob's that has ended, without a model having worked."""
    run = prompted("Once upon")
    GenerationRun.objects.filter(pk=run.pk).update(
        state="done", texts=[" a time there was"], finish_reasons=["length"], new_tokens=5
    )
    run.refresh_from_db()
    Job.objects.all().delete()
    return run


def question(kind: str = "tokens", **values: Any) -> Any:
    return read_explanation({"kind": kind, **values})


def nothing_is_queued() -> bool:
    return not Explanation.objects.exists() and not Job.objects.filter(name=JobName.EXPLAIN)


# ── asking ──────────────────────────────────────────────────────────────────────────────────────


def test_a_question_is_queued_once_and_costs_tokens(written: GenerationRun, as_bob: Viewer) -> None:
    before = quotas.left_of(quotas.asker_of(as_bob), now=timezone.now())

    first = explanations.ask(as_bob, written, question("lens", target=3))
    again = explanations.ask(as_bob, written, question("lens", target="3", layer="9"))
    other = explanations.ask(as_bob, written, question("lens", target=4))

    assert first.pk == again.pk != other.pk
    assert first.params == {"sequence": 0, "target": 3, "top": 5}
    assert (first.user, first.commit_oid) == (as_bob.user, written.commit_oid)
    assert Job.objects.filter(name=JobName.EXPLAIN).count() == 2
    after = quotas.left_of(quotas.asker_of(as_bob), now=timezone.now())
    assert before is not None
    assert after is not None
    assert before - after == 2 * explanations.COST_TOKENS["lens"]


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "walk"},
        {"kind": "nothing"},
        {"kind": "lens", "target": -1},
        {"kind": "attention", "head": "best"},
        {"kind": "attention", "window": 0},
        {"kind": "tokens", "top": 1000},
        {"kind": "tokens", "sequence": "x"},
        {},
    ],
)
def test_values_out_of_range_are_named(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidParamsError) as caught:
        read_explanation(values)

    assert caught.value.extra["fields"]


def test_only_what_is_written_can_be_explained(
    prompted: Ask, written: GenerationRun, as_bob: Viewer
) -> None:
    for run, asked in ((prompted(), question()), (written, question(sequence=1))):
        with pytest.raises(explanations.NothingToExplainError):
            explanations.ask(as_bob, run, asked)

    assert nothing_is_queued()


def test_a_model_that_is_not_theirs_any_more_is_not_asked(
    written: GenerationRun, tiny_repo: ModelRepo, as_bob: Viewer, alice: User
) -> None:
    change_settings(Viewer(user=alice), tiny_repo, gate="manual")
    run = runs.read(as_bob, written.public_id)

    with pytest.raises(StoreError) as caught:
        explanations.ask(as_bob, run, question())

    assert caught.value.code == "gated_repo"
    assert nothing_is_queued()


def test_limits_hold_and_nothing_is_queued_past_them(
    written: GenerationRun, as_bob: Viewer, settings: Any
) -> None:
    for target in range(2, 2 + explanations.MAX_OPEN):
        explanations.ask(as_bob, written, question("saliency", target=target))
    with pytest.raises(explanations.TooManyExplanationsError):
        explanations.ask(as_bob, written, question())
    assert Explanation.objects.count() == explanations.MAX_OPEN

    Explanation.objects.all().delete()
    Job.objects.all().delete()
    settings.ENV = settings.ENV.model_copy(update={"user_tokens_per_day": 1})
    with pytest.raises(quotas.QuotaExceededError):
        explanations.ask(as_bob, written, question())
    assert nothing_is_queued()


def test_only_the_asker_reads_it(written: GenerationRun, as_bob: Viewer, alice: User) -> None:
    found = explanations.ask(as_bob, written, question())

    assert explanations.read(as_bob, found.public_id).pk == found.pk
    for viewer in (Viewer(user=alice), Viewer()):
        with pytest.raises(explanations.ExplanationNotFoundError):
            explanations.read(viewer, found.public_id)


def test_it_goes_with_its_run_and_walks_go_after_a_day(
    written: GenerationRun, tiny_repo: ModelRepo, as_bob: Viewer
) -> None:
    explanations.ask(as_bob, written, question())
    walk = explanations.ask_walk(as_bob, tiny_repo, "Once", read_walk({}))
    old = timezone.now() - timedelta(days=2)
    Explanation.objects.filter(pk=walk.pk).update(finished_at=old)
    GenerationRun.objects.update(finished_at=timezone.now() - timedelta(days=31))

    retention.forget_old()

    assert not Explanation.objects.exists()


# ── the job ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", KINDS)
def test_a_real_box_answers(
    written: GenerationRun, as_bob: Viewer, real_pool: Any, kind: str
) -> None:
    found = explanations.ask(as_bob, written, question(kind))

    run_job(found.job_id)  # type: ignore[arg-type]

    found.refresh_from_db()
    assert (found.state, found.error) == ("done", "")
    assert "".join(text for _id, text in found.result["tokens"]) == "Once upon a time there was"
    count = len(found.result["tokens"])
    if kind == "tokens":
        assert len(found.result["chances"]) == count - found.result["chances_from"]
    if kind == "saliency":
        assert math.fsum(found.result["saliency"]["shares"]) == pytest.approx(1, abs=1e-3)
    if kind == "attention":
        assert found.result["attention"]["side"] == count
    if kind == "lens":
        assert len(found.result["lens"]) == found.result["layers"] + 1
    assert found.reserved_tokens == 0


@pytest.mark.django_db(transaction=True)
def test_what_the_box_refuses_fails_with_words_and_gives_tokens_back(
    written: GenerationRun, as_bob: Viewer, real_pool: Any
) -> None:
    before = quotas.left_of(quotas.asker_of(as_bob), now=timezone.now())
    found = explanations.ask(as_bob, written, question("lens", target=900))

    run_job(found.job_id)  # type: ignore[arg-type]

    found.refresh_from_db()
    assert (found.state, found.error_code) == ("failed", "model_refused")
    assert "no token 900" in found.error
    assert quotas.left_of(quotas.asker_of(as_bob), now=timezone.now()) == before
    again = explanations.ask(as_bob, written, question("lens", target=900))
    assert again.pk != found.pk


@pytest.mark.django_db(transaction=True)
def test_a_lost_job_is_settled(written: GenerationRun, as_bob: Viewer) -> None:
    found = explanations.ask(as_bob, written, question())
    Job.objects.filter(pk=found.job_id).update(state="failed", error_code="gave_up", error="No.")

    assert answering.settle_all() == 1
    assert answering.settle_all() == 0

    found.refresh_from_db()
    assert (found.state, found.error_code, found.error) == ("failed", "gave_up", "No.")


# ── REST ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.django_db(transaction=True)
def test_a_program_asks_and_reads(
    client: Client, written: GenerationRun, bob: User, bearer: Callable[..., Headers],
    real_pool: Any,
) -> None:  # fmt: skip
    url = f"/api/v1/generations/{written.public_id}/explanations"
    headers = bearer(bob, "read")

    asked = client.post(
        url, {"kind": "saliency", "target": 3}, content_type="application/json", headers=headers
    )
    assert asked.status_code == 201, asked.content
    run_job(Explanation.objects.get().job_id)  # type: ignore[arg-type]
    read = client.get(f"{url}/{asked.json()['id']}", headers=headers).json()

    assert (read["state"], read["kind"], read["params"]["target"]) == ("done", "saliency", 3)
    assert len(read["result"]["saliency"]["shares"]) == 3
    listed = client.get(url, headers=headers).json()
    assert [each["id"] for each in listed] == [read["id"]]


def test_a_program_stops_it(
    client: Client, written: GenerationRun, bob: User, alice: User, bearer: Callable[..., Headers]
) -> None:
    url = f"/api/v1/generations/{written.public_id}/explanations"
    body: dict[str, Any] = {"content_type": "application/json"}
    asked = client.post(url, {"kind": "lens"}, headers=bearer(bob), **body).json()
    address = f"{url}/{asked['id']}/cancel"

    assert client.post(address, headers=bearer(alice)).status_code == 404
    assert Explanation.objects.get().is_open
    stopped = client.post(address, headers=bearer(bob))

    assert (stopped.status_code, stopped.json()["state"]) == (200, "failed")
    assert stopped.json()["error_code"] == "cancelled"
    again = client.post(url, {"kind": "lens"}, headers=bearer(bob), **body).json()
    assert again["id"] != asked["id"]
    Explanation.objects.filter(public_id=again["id"]).update(state="done", result={"tokens": []})
    late = client.post(f"{url}/{again['id']}/cancel", headers=bearer(bob))
    assert (late.status_code, late.json()["state"]) == (200, "done")


def test_strangers_and_bad_values_over_rest(
    client: Client, written: GenerationRun, bob: User, alice: User,
    bearer: Callable[..., Headers], prompted: Ask, as_bob: Viewer,
) -> None:  # fmt: skip
    url = f"/api/v1/generations/{written.public_id}/explanations"
    body: dict[str, Any] = {"content_type": "application/json"}

    for headers in (bearer(alice), {}):
        assert client.post(url, {"kind": "tokens"}, headers=headers, **body).status_code == 404
        assert client.get(url, headers=headers).status_code == 404
    bad = client.post(url, {"kind": "attention", "head": "x"}, headers=bearer(bob), **body)
    assert (bad.status_code, bad.json()["error"]["code"]) == (400, "invalid_params")
    assert nothing_is_queued()

    found = explanations.ask(as_bob, written, question())
    other = prompted()
    wrong = client.get(
        f"/api/v1/generations/{other.public_id}/explanations/{found.public_id}",
        headers=bearer(bob),
    )
    assert wrong.json()["error"]["code"] == "explanation_not_found"


# ── what they used ──────────────────────────────────────────────────────────────────────────────


def test_an_answered_question_is_recorded_once_whoever_answers_it_again(
    written: GenerationRun, as_bob: Viewer, bob: User, client: Client, bearer: Any
) -> None:
    found = explanations.ask(as_bob, written, question("lens", target=3))
    Explanation.objects.filter(pk=found.pk).update(trial_tokens=7)
    result = {"tokens": [[1, "Once"], [2, " upon"]], "explain_s": 0.5}

    with (
        pytest.raises(ZeroDivisionError),
        transaction.atomic(),
    ):  # a worker is killed before the end
        answering.finish(found.pk, result)
        1 / 0  # noqa: B018
    assert not UsageRecord.objects.exists()
    assert answering.finish(found.pk, result)
    assert not answering.finish(found.pk, result)  # one that was taken for dead comes back

    record = UsageRecord.objects.get()
    assert (record.kind, record.run, record.state) == ("explanation", found.public_id, "done")
    assert (record.user_id, record.payer) == (bob.pk, f"user:{bob.pk}")
    assert (record.prompt_tokens, record.new_tokens, record.trial_tokens) == (2, 0, 7)
    assert (record.model, record.seconds) == ("alice/tiny", 0.5)
    (row,) = client.get("/api/v1/usage", headers=bearer(bob)).json()["results"]
    assert (row["kind"], row["requests"], row["trial_tokens"]) == ("explanation", 1, 7)


def test_a_question_that_is_not_answered_costs_nothing_and_is_not_recorded(
    written: GenerationRun, as_bob: Viewer
) -> None:
    found = explanations.ask(as_bob, written, question())
    Job.objects.filter(pk=found.job_id).update(state="failed", error_code="x", error="X.")

    answering.settle(found.job_id or 0)

    assert not answering.finish(found.pk, {"tokens": []})
    assert not UsageRecord.objects.exists()
