"""Pages of evaluations: who sees what, samples, progress, what was recorded."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from accounts.models import User
from catalog.models import Listing, ModelRepo
from inference.models import EvaluationNote, EvaluationRun, Suite
from inference.services import samples, suites
from inference.services.progress import progress_of
from inference.services.samples import SampleQuery
from tests.factories import make_repo
from tests.inference.measured import add_samples, add_shards, make_run, make_suite

Browser = Callable[[User], Client]
PAGE = "/alice/words/evaluations"


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    """A public model of alice's that says it can run."""
    repo = make_repo(alice, "words", files={"README.md": b"# Words\n"})
    Listing.objects.filter(repo=repo).update(is_runnable=True)
    return repo


@pytest.fixture
def run(repo: ModelRepo) -> EvaluationRun:
    """A run of the store with 30 samples, every third wrong."""
    found = make_run(repo, make_suite(), 2 / 3, samples=30)
    add_samples(found, [float(place % 3 > 0) for place in range(30)])
    return found


def text_of(client: Client, path: str, status: int = 200) -> str:
    """The page's text."""
    answer = client.get(path)
    assert answer.status_code == status, answer.content[:2000]
    return answer.content.decode()


# ── who sees what ───────────────────────────────────────────────────────────────────────────────


def test_scores_of_a_private_model_are_nobody_elses(
    alice: User, bob: User, client: Client, browser_of: Browser
) -> None:
    repo = make_repo(alice, "secret", is_private=True)
    run = make_run(repo, make_suite())
    add_samples(run, [1.0])
    base = "/alice/secret/evaluations"

    file = f"/api/v1/evaluations/{run.public_id}/samples.jsonl"
    for path in (base, f"{base}/{run.public_id}", file):
        assert browser_of(alice).get(path).status_code == 200
        for stranger in (client, browser_of(bob)):
            assert stranger.get(path).status_code == 404
            for act in ("note", "retry", "cancel"):
                assert stranger.post(f"{base}/{run.public_id}/{act}").status_code == 404


def test_a_private_run_is_its_askers_alone(
    repo: ModelRepo, alice: User, bob: User, staff: User, client: Client, browser_of: Browser
) -> None:
    own = make_suite("bob/test", owner=bob, is_public=False, is_ranked=False, title="Bob's own")
    run = make_run(repo, own, asked_by=bob, is_public=False)
    add_samples(run, [1.0])
    path = f"{PAGE}/{run.public_id}"

    assert "Only you see it" in text_of(browser_of(bob), PAGE)
    assert "Only you see it" in text_of(browser_of(bob), path)
    assert "What is 0 + 1?" in text_of(browser_of(bob), path)
    assert "Add a public note" not in text_of(browser_of(bob), path)
    for other in (client, browser_of(alice), browser_of(staff)):
        assert "Bob" not in text_of(other, PAGE)
        assert other.get(path).status_code == 404
        file = f"/api/v1/evaluations/{run.public_id}/samples.jsonl"
        assert other.get(file).status_code == 404
        assert "bob/test" not in text_of(other, "/alice/words")
        assert "bob/test" not in text_of(other, "/leaderboards")


def test_scores_only_shows_no_answer(repo: ModelRepo, bob: User, browser_of: Browser) -> None:
    own = make_suite("bob/test", owner=bob, is_public=False, is_ranked=False)
    run = make_run(repo, own, asked_by=bob, is_public=False, record={"scores_only": True})
    add_samples(run, [1.0])
    client = browser_of(bob)

    text = text_of(client, f"{PAGE}/{run.public_id}")

    assert "50\u202f%" in text
    assert "What is 0 + 1?" not in text
    file = f"/api/v1/evaluations/{run.public_id}/samples.jsonl"
    assert client.get(file).status_code == 403


# ── the list ────────────────────────────────────────────────────────────────────────────────────


def test_the_list_tells_states_reasons_and_time_left(repo: ModelRepo, client: Client) -> None:
    now = timezone.now()
    running = make_run(
        repo,
        make_suite("slow"),
        None,
        state=EvaluationRun.State.RUNNING,
        started_at=now - timedelta(seconds=100),
        finished_at=None,
    )
    add_shards(running, done=2, total=8)
    make_run(
        repo,
        make_suite("broken"),
        None,
        state=EvaluationRun.State.FAILED,
        error="It ran out of memory.",
    )

    text = text_of(client, PAGE)

    assert "20 of 80, about 5\u202fmin" in text
    assert "It ran out of memory." in text
    assert 'hx-trigger="every 5s"' in text
    part = client.get(PAGE, headers={"HX-Request": "true", "HX-Target": "runs"})
    assert "<html" not in part.content.decode()
    assert "20 of 80" in part.content.decode()


def test_progress_knows_what_it_does_not_know(repo: ModelRepo) -> None:
    waiting = make_run(repo, make_suite(), None, state=EvaluationRun.State.QUEUED, started_at=None)
    ended = make_run(repo, make_suite("b"))

    assert progress_of([waiting, ended])[waiting.pk].share is None
    add_shards(waiting, done=0, total=3)
    found = progress_of([waiting, ended])
    assert list(found) == [waiting.pk]
    assert (found[waiting.pk].share, found[waiting.pk].left_s) == (0.0, None)


def test_long_lists_have_pages(repo: ModelRepo, client: Client) -> None:
    suite = make_suite()
    for number in range(27):
        state = EvaluationRun.State.CANCELLED
        make_run(repo, suite, None, commit_oid=f"{number:040}", state=state)

    assert text_of(client, PAGE).count(f'href="{PAGE}/') == 25
    assert text_of(client, f"{PAGE}?page=2").count(f'href="{PAGE}/') == 2


def test_the_list_takes_as_many_queries_for_one_run_as_for_ten(
    repo: ModelRepo, client: Client, django_assert_num_queries: Any
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    make_run(repo, make_suite("first"))
    with CaptureQueriesContext(connection) as first:
        text_of(client, PAGE)
    for number in range(9):
        make_run(repo, make_suite(f"more{number}"))

    with django_assert_num_queries(len(first)):
        text_of(client, PAGE)


def test_a_model_without_evaluations_says_what_to_do(repo: ModelRepo, client: Client) -> None:
    text = text_of(client, PAGE)

    assert "No evaluation yet" in text
    assert f"/login?next={PAGE}%23ask" in text


# ── one run ─────────────────────────────────────────────────────────────────────────────────────


def test_a_run_shows_scores_record_and_samples(run: EvaluationRun, client: Client) -> None:
    text = text_of(client, f"{PAGE}/{run.public_id}")

    assert "66.7\u202f%" in text
    assert "57\u201377\u202f%" in text
    assert "Test 2000" in text
    assert run.commit_oid in text
    assert "&quot;suite&quot;: &quot;arithmetic&quot;" in text
    assert text.count('class="sample stack-2"') == 20
    assert "Nobody disputes this evaluation." in text


def test_samples_are_filtered_and_searched(run: EvaluationRun, client: Client) -> None:
    path = f"{PAGE}/{run.public_id}"

    wrong = text_of(client, f"{path}?show=wrong")
    assert wrong.count('class="sample stack-2"') == 10
    assert ">Right<" not in wrong.split("<ol")[1]
    found = text_of(client, f"{path}?q=WHAT+IS+17")
    assert found.count('class="sample stack-2"') == 1
    second = text_of(client, f"{path}?show=right&page=1")
    assert "20 samples" in second
    assert "No sample fits" in text_of(client, f"{path}?q=zzz")
    assert text_of(client, f"{path}?show=odd&page=x").count('class="sample stack-2"') == 20


def test_odd_metrics_never_break_the_filter(run: EvaluationRun) -> None:
    rows = list(run.samples.order_by("index")[:4])
    for row, worth in zip(rows, (None, "x", True, [1]), strict=True):
        row.metrics = {"acc": worth}
        row.save()

    page = samples.page(run, SampleQuery(outcome="right"), 1, metric="acc")

    assert page.total >= 17


def test_every_sample_can_be_downloaded(run: EvaluationRun, client: Client) -> None:
    href = f"/api/v1/evaluations/{run.public_id}/samples.jsonl"
    assert f'href="{href}"' in text_of(client, f"{PAGE}/{run.public_id}")

    answer = client.get(href)
    body = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]

    assert [json.loads(line)["index"] for line in body.splitlines()] == list(range(30))


def test_what_a_model_wrote_is_text(run: EvaluationRun, client: Client) -> None:
    run.samples.filter(index=0).update(output="<script>alert(1)</script>")

    assert "<script>alert" not in text_of(client, f"{PAGE}/{run.public_id}")


def test_a_publisher_disputes_in_public(
    run: EvaluationRun, alice: User, bob: User, client: Client, browser_of: Browser
) -> None:
    path = f"{PAGE}/{run.public_id}"
    note = {"text": "The prompt lacks a space; see sample 3."}

    assert browser_of(bob).post(f"{path}/note", note).status_code == 403
    assert client.post(f"{path}/note", note).status_code in {302, 401}
    assert EvaluationNote.objects.count() == 0
    refused = browser_of(alice).post(f"{path}/note", {"text": "x" * 5000})
    assert refused.status_code == 400
    assert "x" * 5000 in refused.content.decode()
    assert EvaluationNote.objects.count() == 0
    assert browser_of(alice).post(f"{path}/note", note)["Location"] == f"{path}#notes"

    assert "The prompt lacks a space" in text_of(client, path)
    run.refresh_from_db()
    assert run.scores.get().value == pytest.approx(2 / 3)


# ── asking ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def suite_id(db: None) -> str:
    """Public id of a built-in suite."""
    return next(suite.public_id for suite in suites.sync() if suite.key == "arithmetic")


def test_a_person_asks_for_a_suite_and_sees_it_wait(
    tiny_repo: ModelRepo, suite_id: str, bob: User, browser_of: Browser
) -> None:
    client = browser_of(bob)

    answer = client.post("/alice/tiny/evaluations/ask", {"suite": suite_id, "revision": ""})

    run = EvaluationRun.objects.get()
    assert answer["Location"] == f"/alice/tiny/evaluations/{run.public_id}"
    assert (run.asked_by, run.is_public) == (bob, True)
    text = text_of(client, answer["Location"])
    assert "The evaluation is queued." in text
    assert "It starts when a worker is free." in text
    again = client.post("/alice/tiny/evaluations/ask", {"suite": suite_id})
    assert again["Location"] == answer["Location"]
    assert EvaluationRun.objects.count() == 1

    assert client.post(f"{answer['Location']}/cancel").status_code == 302
    assert "Try again" in text_of(client, answer["Location"])
    assert client.post(f"{answer['Location']}/retry").status_code == 302
    run.refresh_from_db()
    assert run.state == EvaluationRun.State.QUEUED


def test_a_task_of_the_harness_is_asked_for_by_name(
    tiny_repo: ModelRepo, bob: User, client: Client, browser_of: Browser, settings: Any
) -> None:
    page, path = "/alice/tiny/evaluations", "/alice/tiny/evaluations/ask"
    own = browser_of(bob)
    assert 'name="task"' not in own.get(page).text
    assert own.post(path, {"task": "arc_easy"}).status_code == 400
    settings.ENV = settings.ENV.model_copy(update={"eval_tasks": ("arc_easy",)})
    assert '<option value="arc_easy">' in own.get(page).text

    refused = own.post(path, {"task": "winogrande"})
    assert (refused.status_code, EvaluationRun.objects.count()) == (400, 0)
    assert 'value="winogrande"' in refused.text
    assert client.post(path, {"task": "arc_easy"}).status_code in {302, 401}
    assert not Suite.objects.filter(key="lm-eval/arc_easy").exists()

    answer = own.post(path, {"task": " lm-eval/arc_easy "})
    run = EvaluationRun.objects.select_related("suite").get()
    assert answer["Location"] == f"/alice/tiny/evaluations/{run.public_id}"
    assert (run.suite.key, run.asked_by) == ("lm-eval/arc_easy", bob)


def test_refused_asks_change_nothing_and_keep_what_was_typed(
    tiny_repo: ModelRepo, suite_id: str, alice: User, bob: User, client: Client, browser_of: Browser
) -> None:
    path = "/alice/tiny/evaluations/ask"
    own = make_suite("alice/own", owner=alice, is_public=False)

    wrong = browser_of(bob).post(path, {"suite": suite_id, "revision": "nowhere"})
    assert wrong.status_code == 404
    assert 'value="nowhere"' in wrong.content.decode()
    for suite in ("none", own.public_id, own.key):
        assert browser_of(bob).post(path, {"suite": suite}).status_code == 404
    assert client.post(path, {"suite": suite_id}).status_code in {302, 401}
    assert EvaluationRun.objects.count() == 0


def test_own_questions_are_measured_in_private(
    tiny_repo: ModelRepo, bob: User, alice: User, browser_of: Browser
) -> None:
    path = "/alice/tiny/evaluations/ask-with-file"
    lines = b'{"prompt": "2 + 2 =", "answer": "4"}\n'

    def sent(content: bytes | None, name: str = "sums") -> Any:
        file = {} if content is None else {"file": SimpleUploadedFile("a.jsonl", content)}
        return browser_of(bob).post(path, {"name": name, "match": "contains", **file})

    assert "Choose a file" in sent(None).content.decode()
    bad = sent(lines + b"no json\n")
    assert bad.status_code == 400
    assert "Line 2: This line is no JSON." in bad.content.decode()
    assert 'value="sums"' in bad.content.decode()
    assert (EvaluationRun.objects.count(), Suite.objects.filter(owner=bob).count()) == (0, 0)

    answer = sent(lines, "Sums")

    run = EvaluationRun.objects.get()
    assert (run.is_public, run.suite.key) == (False, "bob/sums")
    assert browser_of(alice).get(answer["Location"]).status_code == 404
    assert "Only you see it" in text_of(browser_of(bob), answer["Location"])


def test_only_who_may_stops_or_repeats_a_run(
    repo: ModelRepo, alice: User, bob: User, browser_of: Browser
) -> None:
    suite = make_suite()
    run = make_run(repo, suite, None, state=EvaluationRun.State.RUNNING, finished_at=None)
    path = f"{PAGE}/{run.public_id}"

    for person in (alice, bob):
        assert 'value="Cancel"' not in text_of(browser_of(person), path)
        assert browser_of(person).post(f"{path}/cancel").status_code == 403
    EvaluationRun.objects.update(state=EvaluationRun.State.FAILED)
    assert "Try again" not in text_of(browser_of(bob), path)
    assert browser_of(bob).post(f"{path}/retry").status_code == 403
    run.refresh_from_db()
    assert run.state == EvaluationRun.State.FAILED
    assert "Try again" in text_of(browser_of(alice), path)
