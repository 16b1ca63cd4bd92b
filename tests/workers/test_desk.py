"""The jobs pages and the REST API over them: whose, what they say, cancel, retry, strangers."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Scope, User
from accounts.services.tokens import create_token
from accounts.viewer import Viewer
from catalog.models import ModelRepo
from inference.models import Explanation, GenerationRun
from inference.services import (
    answering,
    datasets,
    evaluation_queue,
    evaluations,
    explanations,
    scored_texts,
    suites,
)
from inference.services.explain_params import read_explanation
from inference.services.runs import submit
from store.core import jobs, presence
from store.core.jobs import JobName, claim, enqueue
from store.core.models import Job
from store.core.presence import Worker

Browser = Callable[[User], Client]
HTML = {"Accept": "text/html"}
SCAN = JobName.SCAN_COMMIT


def of(user: User, **options: Any) -> Job:
    """A waiting job of a person."""
    return enqueue(SCAN, asker=f"user:{user.pk}", **options)


def failed(job: Job, message: str = "The file is broken.") -> Job:
    """Let a job fail."""
    mine = claim(job.pk)
    assert mine is not None
    mine.report(line="looked at it")
    assert mine.fail(code="broken", message=message)
    job.refresh_from_db()
    return job


def text_of(client: Client, path: str) -> str:
    """The words of a page."""
    answer = client.get(path, headers=HTML)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.fixture
def staff(alice: User) -> User:
    alice.is_staff = True
    alice.save()
    return alice


@pytest.fixture
def scanner() -> None:
    """A worker for scans is there."""
    presence.announce(Worker("s@here", ("scan",), slots=2))


def bearer(user: User, *scopes: Scope) -> dict[str, str]:
    """The header of a new token."""
    return {"Authorization": f"Bearer {create_token(user, name='t', scopes=list(scopes))[1]}"}


# ── pages ───────────────────────────────────────────────────────────────────────────────────────


def test_a_person_sees_their_own_jobs_and_no_others(
    browser_of: Browser, alice: User, bob: User, scanner: None
) -> None:
    mine, other = of(bob), of(alice)

    page = text_of(browser_of(bob), "/settings/jobs")

    assert f"/settings/jobs/{mine.pk}" in page
    assert f"/settings/jobs/{other.pk}" not in page
    assert "comes first" not in page.split("<table")[0]


def test_lists_are_narrowed_and_paged(
    browser_of: Browser, bob: User, scanner: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workers import views

    monkeypatch.setattr(views, "PAGE", 2)
    broken = failed(of(bob))
    waiting = [of(bob) for _ in range(3)]
    client = browser_of(bob)

    first = text_of(client, "/settings/jobs?state=open")
    assert f"/settings/jobs/{broken.pk}" not in first
    assert f"/settings/jobs/{waiting[2].pk}" in first
    following = first.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    second = text_of(client, f"/settings/jobs{following}")
    assert f"/settings/jobs/{waiting[0].pk}" in second
    assert f"/settings/jobs/{waiting[2].pk}" not in second
    assert f"/settings/jobs/{broken.pk}" in text_of(client, "/settings/jobs?state=failed")
    assert "No such jobs" in text_of(client, "/settings/jobs?state=done")
    assert "Nothing yet" not in text_of(client, "/settings/jobs?state=nonsense")


def test_an_empty_list_leads_on(browser_of: Browser, bob: User) -> None:
    assert "Nothing yet" in text_of(browser_of(bob), "/settings/jobs")


def test_a_job_tells_where_it_stands(browser_of: Browser, bob: User, scanner: None) -> None:
    first, job = of(bob), of(bob)
    client = browser_of(bob)
    assert "1 comes first" in text_of(client, f"/settings/jobs/{job.pk}")

    claim(first.pk)
    mine = claim(job.pk)
    assert mine is not None
    mine.report(progress=0.25, line="a quarter <b>", tokens=12)
    Job.objects.filter(pk=job.pk).update(started_at=timezone.now() - timedelta(seconds=60))
    page = text_of(client, f"/settings/jobs/{job.pk}")
    assert "About 3" in page
    assert "12 tokens" in page
    assert "a quarter &lt;b&gt;" in page
    assert "1 of 4" in page

    Job.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=40))
    assert "fell silent 40" in text_of(client, f"/settings/jobs/{job.pk}")


def test_a_job_no_worker_can_do_says_so(browser_of: Browser, bob: User) -> None:
    page = text_of(browser_of(bob), f"/settings/jobs/{of(bob).pk}")

    assert "No worker for this runs now" in page


def test_a_failed_job_says_why_and_is_tried_again(
    browser_of: Browser, bob: User, scanner: None
) -> None:
    job = failed(of(bob))
    client = browser_of(bob)
    page = text_of(client, f"/settings/jobs/{job.pk}")
    assert "The file is broken." in page

    answer = client.post(f"/settings/jobs/{job.pk}/retry")

    assert (answer.status_code, answer["Location"]) == (302, f"/settings/jobs/{job.pk}")
    job.refresh_from_db()
    assert (job.state, job.attempts, job.error, job.finished_at) == ("queued", 0, "", None)
    assert job.log == "looked at it\n"
    client.post(f"/settings/jobs/{job.pk}/retry")
    assert "Only jobs that failed" in text_of(client, f"/settings/jobs/{job.pk}")
    assert Job.objects.get().state == "queued"


def test_a_job_is_cancelled_once(browser_of: Browser, bob: User, scanner: None) -> None:
    job = of(bob)
    client = browser_of(bob)

    client.post(f"/settings/jobs/{job.pk}/cancel")
    job.refresh_from_db()
    ended = job.finished_at
    client.post(f"/settings/jobs/{job.pk}/cancel")

    job.refresh_from_db()
    assert (job.state, job.finished_at) == ("cancelled", ended)
    assert "ended already" in text_of(client, f"/settings/jobs/{job.pk}")


@pytest.mark.parametrize("what", ["", "/cancel", "/retry"])
def test_a_strangers_job_is_not_there(
    browser_of: Browser, alice: User, bob: User, what: str
) -> None:
    job = of(alice)
    client = browser_of(bob)
    ask = client.post if what else client.get

    theirs = ask(f"/settings/jobs/{job.pk}{what}", headers=HTML)
    absent = ask(f"/settings/jobs/987654{what}", headers=HTML)

    assert (theirs.status_code, absent.status_code) == (404, 404)
    assert ask(f"/settings/jobs/x{what}", headers=HTML).status_code == 404
    job.refresh_from_db()
    assert job.state == "queued"
    visitor = Client().get(f"/settings/jobs/{job.pk}", headers=HTML)
    assert visitor.status_code == 302


def test_staff_see_all_jobs_queues_and_workers(
    browser_of: Browser, staff: User, bob: User, scanner: None
) -> None:
    presence.announce(
        Worker(
            "m@here",
            ("inference",),
            16,
            hardware="8 cores",
            memory_bytes=10**9,
            protection="models run in a box: no network",
        )
    )
    job = of(bob)
    ours = enqueue(JobName.FLUSH_VIEWS)
    client = browser_of(staff)

    page = text_of(client, "/jobs")
    assert f"user:{bob.pk}" in page
    assert "catalog.flush_views" in page
    assert "models run in a box: no network" in page
    assert "8 cores" in page
    narrowed = text_of(client, "/jobs?queue=scan&state=open")
    assert f"/settings/jobs/{job.pk}" in narrowed
    assert f"/settings/jobs/{ours.pk}" not in narrowed
    assert text_of(client, f"/settings/jobs/{job.pk}")
    client.post(f"/settings/jobs/{ours.pk}/cancel")
    ours.refresh_from_db()
    assert ours.state == "cancelled"


def test_for_others_there_is_no_page_of_all_jobs(browser_of: Browser, bob: User) -> None:
    assert browser_of(bob).get("/jobs", headers=HTML).status_code == 404


# ── generations ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def run(tiny_repo: ModelRepo, as_bob: Viewer) -> GenerationRun:
    """Bob has asked a model."""
    return submit(as_bob, tiny_repo, "", "A secret question", {"max_new_tokens": 8, "seed": 3})


def test_a_generation_leads_to_its_run_and_ends_with_its_job(
    browser_of: Browser, bob: User, run: GenerationRun
) -> None:
    client = browser_of(bob)
    assert f"/runs/{run.public_id}" in text_of(client, f"/settings/jobs/{run.job_id}")

    client.post(f"/settings/jobs/{run.job_id}/cancel")

    run.refresh_from_db()
    assert (run.state, run.error) == ("cancelled", "")


def test_a_generation_is_asked_again_as_a_new_run(
    browser_of: Browser, bob: User, run: GenerationRun
) -> None:
    client = browser_of(bob)
    client.post(f"/settings/jobs/{run.job_id}/cancel")

    answer = client.post(f"/settings/jobs/{run.job_id}/retry")

    new = GenerationRun.objects.latest("id")
    assert answer["Location"] == f"/settings/jobs/{new.job_id}"
    assert new.pk != run.pk
    assert (new.prompt, new.params, new.commit_oid) == (run.prompt, run.params, run.commit_oid)
    assert new.state == "queued"


def test_staff_do_not_see_what_was_asked_and_cannot_ask_it_again(
    browser_of: Browser, staff: User, run: GenerationRun
) -> None:
    client = browser_of(staff)
    jobs.cancel(run.job_id or 0)

    page = text_of(client, f"/settings/jobs/{run.job_id}")
    client.post(f"/settings/jobs/{run.job_id}/retry")

    assert "A secret question" not in page
    assert run.public_id not in page
    assert run.repo.full_name in page
    assert "/retry" not in page
    assert GenerationRun.objects.count() == 1


# ── explanations, evaluations ───────────────────────────────────────────────────────────────────


@pytest.fixture
def written(run: GenerationRun) -> GenerationRun:
    """What bob asked was answered."""
    GenerationRun.objects.update(state="done", texts=["A text"], new_tokens=2)
    run.refresh_from_db()
    return run


def test_an_explanation_is_asked_again_as_a_new_one(
    browser_of: Browser, client: Client, bob: User, staff: User, as_bob: Viewer,
    written: GenerationRun,
) -> None:  # fmt: skip
    first = explanations.ask(as_bob, written, read_explanation({"kind": "lens", "target": 2}))
    job = failed(Job.objects.get(pk=first.job_id))
    answering.settle(job.pk)
    address = f"/runs/{written.public_id}/explain?kind=lens"

    page = text_of(browser_of(bob), f"/settings/jobs/{job.pk}")
    assert "Explanation" in page
    assert address in page
    foreign = text_of(browser_of(staff), f"/settings/jobs/{job.pk}")
    assert (written.public_id in foreign, "/retry" in foreign) == (False, False)
    assert written.repo.full_name in foreign
    answer = browser_of(bob).post(f"/settings/jobs/{job.pk}/retry")

    new = Explanation.objects.latest("id")
    assert answer["Location"] == f"/settings/jobs/{new.job_id}"
    assert (new.kind, new.params, new.state) == ("lens", first.params, "queued")
    assert new.pk != first.pk
    token = bearer(bob, Scope.WRITE)
    same = client.post(f"/api/v1/jobs/{job.pk}/retry", headers=token)
    assert (same.status_code, same.json()["id"]) == (200, new.job_id)
    assert Explanation.objects.count() == 2


def test_a_reading_of_a_text_that_failed_is_replaced_by_a_new_one(
    client: Client, bob: User, as_bob: Viewer, tiny_repo: ModelRepo
) -> None:
    text = scored_texts.submit(as_bob, [tiny_repo], "A text")
    job = failed(Job.objects.get(name=JobName.EXPLAIN))
    answering.settle(job.pk)

    again = client.post(f"/api/v1/jobs/{job.pk}/retry", headers=bearer(bob, Scope.WRITE))

    _text, (row,) = scored_texts.read(as_bob, text.public_id)
    assert (again.status_code, again.json()["id"]) == (200, row.job_id)
    assert row.state == "queued"


def test_an_evaluation_is_tried_again_on_its_own_page(
    browser_of: Browser, client: Client, bob: User, as_bob: Viewer, tiny_repo: ModelRepo
) -> None:
    asked, _ = evaluations.ask(as_bob, tiny_repo, suites.builtin("quick"))
    job = failed(Job.objects.get(pk=asked.job_id))
    evaluation_queue.settle(job.pk)
    address = f"/{tiny_repo.full_name}/evaluations/{asked.public_id}"

    page = text_of(browser_of(bob), f"/settings/jobs/{job.pk}")
    refused = client.post(f"/api/v1/jobs/{job.pk}/retry", headers=bearer(bob, Scope.WRITE))

    assert "Evaluation" in page
    assert address in page
    assert "/retry" not in page
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "not_retriable")
    assert Job.objects.get(name=JobName.EVALUATE).state == "failed"
    assert f"{address}/retry" in text_of(browser_of(bob), address)
    browser_of(bob).post(f"{address}/retry")
    asked.refresh_from_db()
    assert (asked.state, asked.job_id == job.pk) == ("queued", False)


def test_staff_learn_nothing_of_a_private_evaluation(
    browser_of: Browser, staff: User, as_bob: Viewer, tiny_repo: ModelRepo
) -> None:
    own = datasets.add_dataset(as_bob, "mine", b'{"prompt": "a", "answer": "b"}')
    asked, _ = evaluations.ask(as_bob, tiny_repo, own)

    page = text_of(browser_of(staff), f"/settings/jobs/{asked.job_id}")

    assert asked.public_id not in page


# ── REST ────────────────────────────────────────────────────────────────────────────────────────


def test_programs_list_read_cancel_and_retry(
    client: Client, alice: User, bob: User, scanner: None
) -> None:
    other, job = of(alice), of(bob)
    token = bearer(bob, Scope.WRITE)

    listed = client.get("/api/v1/jobs?state=open", headers=token).json()
    assert ([row["id"] for row in listed["results"]], listed["next"]) == ([job.pk], None)
    read = client.get(f"/api/v1/jobs/{job.pk}", headers=token).json()
    assert (read["state"], read["ahead"], read["problem"]) == ("queued", 1, "")
    cancelled = client.post(f"/api/v1/jobs/{job.pk}/cancel", headers=token)
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    twice = client.post(f"/api/v1/jobs/{job.pk}/cancel", headers=token)
    assert (twice.status_code, twice.json()["error"]["code"]) == (409, "job_has_ended")
    again = client.post(f"/api/v1/jobs/{job.pk}/retry", headers=token)
    assert (again.status_code, again.json()["state"]) == (200, "queued")
    not_now = client.post(f"/api/v1/jobs/{job.pk}/retry", headers=token)
    assert (not_now.status_code, not_now.json()["error"]["code"]) == (409, "not_retriable")

    for method, path in [
        (client.get, ""),
        (client.post, "/cancel"),
        (client.post, "/retry"),
    ]:
        theirs = method(f"/api/v1/jobs/{other.pk}{path}", headers=token)
        absent = method(f"/api/v1/jobs/987654{path}", headers=token)
        assert theirs.status_code == absent.status_code == 404
        assert theirs.json() == absent.json()
    other.refresh_from_db()
    assert other.state == "queued"


def test_a_reading_token_changes_nothing(client: Client, bob: User) -> None:
    job = of(bob)
    token = bearer(bob, Scope.READ)

    assert client.get(f"/api/v1/jobs/{job.pk}", headers=token).status_code == 200
    assert client.post(f"/api/v1/jobs/{job.pk}/cancel", headers=token).status_code == 403
    assert client.get("/api/v1/jobs").status_code == 401
    assert Job.objects.get().state == "queued"


def test_a_job_whose_like_is_open_is_not_doubled(client: Client, bob: User) -> None:
    old = failed(of(bob, key="k"))
    of(bob, key="k")
    token = bearer(bob, Scope.WRITE)

    answer = client.post(f"/api/v1/jobs/{old.pk}/retry", headers=token)

    assert answer.status_code == 409
    old.refresh_from_db()
    assert old.state == "failed"
