"""Demo generations: once for each commit, behind everybody's runs, seen with the model."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.viewer import VISITOR, Viewer
from catalog.access import RepoDisabledError
from catalog.models import Listing, ModelRepo, RepoEvent
from catalog.services.repos import change_settings
from inference.box.errors import BoxBusyError, ModelRefusedError
from inference.models import DemoGeneration, GenerationRun
from inference.runners import demos as runner
from inference.services import demos
from inference.services.demo_set import DemoSet, demo_set, kind_of, title_of
from store.core.jobs import JobName, enqueue
from store.core.models import Job
from store.core.placing import NO_WORKER
from store.env import GIB
from tests.factories import add_files, make_repo, proved_viewer
from tests.inference.fakes import FakeBox
from tests.threads import at_once
from workers import tasks
from workers.runner import run_job

PROMPTS = 16


def head(repo: ModelRepo) -> str:
    return Listing.objects.get(repo=repo).head_oid


def write_all() -> Job:
    """Do the job that writes them; return it as it ended."""
    job = Job.objects.get(name=JobName.MAKE_DEMOS, state="queued")
    run_job(job.pk)
    job.refresh_from_db()
    return job


@pytest.fixture
def planned(tiny_repo: ModelRepo) -> ModelRepo:
    """The very small model with its demos asked for."""
    assert demos.plan_head(tiny_repo.pk) == PROMPTS
    return tiny_repo


def test_the_set_is_published_data() -> None:
    chosen = demo_set()

    assert len(chosen.prompts) == PROMPTS
    assert len({(prompt.key, prompt.way) for prompt in chosen.prompts}) == PROMPTS
    assert [prompt.number for prompt in chosen.prompts] == list(range(PROMPTS))
    for prompt in chosen.prompts:
        assert title_of(prompt.key) != prompt.key, "every prompt has a title on pages"
        assert kind_of(prompt.key)
        assert (prompt.params.temperature == 0) is (prompt.way == "greedy")
        assert prompt.params.max_new_tokens <= 64
    assert (title_of("gone"), kind_of("gone")) == ("gone", "")


def test_a_push_asks_for_each_prompt_once(alice: User, tiny_folder: Any, fake_box: FakeBox) -> None:
    from catalog.services.folders import files_of, publish_files

    repo = make_repo(alice, "tiny")
    publish_files(Viewer(user=alice), repo, files_of(tiny_folder), title="Add the model")

    for job in Job.objects.filter(name=JobName.SPREAD_EVENT):
        run_job(job.pk)
    event = RepoEvent.objects.filter(scope="repo.content").latest("pk")

    rows = DemoGeneration.objects.filter(repo=repo)
    assert {row.commit_oid for row in rows} == {head(repo)}
    assert rows.count() == PROMPTS
    assert demos.plan_for_event(event.pk) == 0
    assert rows.count() == PROMPTS
    assert Job.objects.filter(name=JobName.MAKE_DEMOS).count() == 1
    write_all()
    add_files(alice, repo, {"notes.md": b"new"})
    assert demos.plan_for_event(RepoEvent.objects.latest("pk").pk) == PROMPTS
    assert DemoGeneration.objects.filter(commit_oid=head(repo), state="queued").count() == PROMPTS


@pytest.mark.django_db(transaction=True)
def test_planners_at_the_same_instant_plan_once(tiny_repo: ModelRepo) -> None:
    at_once(lambda _number: demos.plan_head(tiny_repo.pk), 4)

    assert DemoGeneration.objects.count() == PROMPTS


def test_they_are_written_and_count_for_nobody(planned: ModelRepo, fake_box: FakeBox) -> None:
    job = write_all()

    assert (job.state, job.result) == ("done", {"done": PROMPTS, "failed": 0})
    row = DemoGeneration.objects.get(prompt_key="story", way="seeded")
    assert (row.state, row.text, row.finish_reason) == ("done", "Hello, world", "length")
    assert (row.new_tokens, row.tokens_per_s) == (3, 6.0)
    assert row.params["seed"] == 20260101
    assert len(fake_box.asked) == PROMPTS
    assert GenerationRun.objects.count() == 0
    demos.ask()
    assert not Job.objects.filter(name=JobName.MAKE_DEMOS, state__in=Job.OPEN).exists()


def test_a_second_job_writes_nothing_twice(planned: ModelRepo, fake_box: FakeBox) -> None:
    enqueue(JobName.MAKE_DEMOS, key="another", hardware="inference")
    first, second = Job.objects.filter(name=JobName.MAKE_DEMOS).order_by("id")
    run_job(first.pk)
    run_job(second.pk)

    second.refresh_from_db()
    assert second.result == {"done": 0, "failed": 0}
    assert len(fake_box.asked) == PROMPTS
    row = DemoGeneration.objects.first()
    assert row is not None
    assert demos.fail(row, code="x", message="late") is False
    row.refresh_from_db()
    assert row.state == "done"


def test_a_refusal_is_said_and_the_next_prompt_is_written(
    planned: ModelRepo, fake_box: FakeBox
) -> None:
    fake_box.error = ModelRefusedError("The numbers are not finite.", reason="not_finite")

    def heal(count: int) -> None:
        if len(fake_box.asked) > 1:
            fake_box.error = None

    fake_box.before_token = heal
    job = write_all()

    assert job.result == {"done": PROMPTS - 1, "failed": 1}
    failed = DemoGeneration.objects.get(state="failed")
    assert (failed.error_code, failed.error) == ("model_refused", "The numbers are not finite.")
    assert failed.text == ""


def test_what_may_heal_is_tried_three_times(planned: ModelRepo, fake_box: FakeBox) -> None:
    DemoGeneration.objects.exclude(number=0).delete()
    fake_box.error = BoxBusyError("Every place is taken.")

    for _attempt in range(2):
        job = write_all()
        assert job.state == "queued"
        Job.objects.update(not_before=job.created_at)
    job = write_all()

    assert job.result == {"done": 0, "failed": 1}
    row = DemoGeneration.objects.get()
    assert (row.state, row.attempts, row.error_code) == ("failed", 3, "box_busy")


def test_a_person_who_asks_goes_first(
    planned: ModelRepo,
    fake_box: FakeBox,
    prompted: Callable[..., GenerationRun],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "LOOK_EVERY_S", 0.0)
    asked: list[GenerationRun] = []

    def before_token(_count: int) -> None:
        if not asked:  # in the middle of the first demo
            asked.append(prompted())

    fake_box.before_token = before_token

    job = write_all()  # the worker may have no other place

    assert (job.state, job.attempts) == ("queued", 0)
    assert job.not_before > timezone.now()
    assert set(DemoGeneration.objects.values_list("state", flat=True)) == {"queued"}
    fake_box.cancelled.clear()
    run_job(asked[0].job_id or 0)
    asked[0].refresh_from_db()
    assert asked[0].state == "done"

    Job.objects.filter(pk=job.pk).update(not_before=timezone.now())
    job = write_all()

    assert job.result == {"done": PROMPTS, "failed": 0}
    assert set(DemoGeneration.objects.values_list("text", flat=True)) == {"Hello, world"}
    assert max(DemoGeneration.objects.values_list("attempts", flat=True)) == 1


def test_while_anybody_waits_no_demo_is_begun(
    planned: ModelRepo, fake_box: FakeBox, prompted: Callable[..., GenerationRun]
) -> None:
    run = prompted()
    assert runner.people_ask("inference")
    assert not runner.people_ask("inference-gpu")

    from store.core.jobs import claim
    from store.core.work import JobContext, JobStoppedError

    held = claim(Job.objects.get(name=JobName.MAKE_DEMOS).pk)
    assert held is not None
    context = JobContext(held)
    context.stopped.set()
    with pytest.raises(JobStoppedError):
        runner.make_demos(context)
    assert fake_box.asked == []
    assert DemoGeneration.objects.filter(attempts=0, state="queued").count() == PROMPTS
    run_job(run.job_id or 0)
    assert not runner.people_ask("inference")


def test_what_no_worker_here_can_do_holds_up_no_demo(
    planned: ModelRepo, fake_box: FakeBox, prompted: Callable[..., GenerationRun]
) -> None:
    run = prompted()
    Job.objects.filter(pk=run.job_id).update(error_code=NO_WORKER, error="It waits for a worker.")

    assert write_all().result == {"done": PROMPTS, "failed": 0}


def test_large_models_are_written_where_there_is_room_for_them(
    planned: ModelRepo, fake_box: FakeBox, alice: User
) -> None:
    Listing.objects.filter(repo=planned).update(weights_bytes=14 * GIB)

    demos.ask()

    small, large = Job.objects.filter(name=JobName.MAKE_DEMOS).order_by("id")
    assert (small.memory_bytes, large.memory_bytes) == (0, 14 * GIB)
    run_job(small.pk)
    assert not DemoGeneration.objects.exclude(state="queued").exists()
    run_job(large.pk)
    assert DemoGeneration.objects.filter(state="done").count() == PROMPTS


def test_the_sweeper_asks_for_what_a_lost_job_left(planned: ModelRepo) -> None:
    Job.objects.filter(name=JobName.MAKE_DEMOS).delete()

    tasks.sweep()

    assert Job.objects.filter(name=JobName.MAKE_DEMOS, state="queued").count() == 1


def test_what_cannot_run_has_none_and_says_why(alice: User, as_bob: Viewer) -> None:
    repo = make_repo(alice, "words", files={"README.md": b"# Words\n"})

    assert demos.plan(repo, head(repo)) == 0
    assert demos.plan_head(repo.pk) == 0
    found = demos.demos_of(as_bob, repo)
    assert (found.rows, found.commit_oid) == ([], "")
    assert "There are no weights to run" in found.why_none
    assert not Job.objects.filter(name=JobName.MAKE_DEMOS).exists()


def test_an_older_commit_stands_in_until_the_new_one_is_planned(
    planned: ModelRepo, alice: User, as_bob: Viewer, fake_box: FakeBox
) -> None:
    write_all()
    old = head(planned)
    add_files(alice, planned, {"notes.md": b"new"})

    found = demos.demos_of(as_bob, planned)
    assert (found.commit_oid, found.is_current) == (old, False)
    demos.plan_head(planned.pk)
    found = demos.demos_of(as_bob, planned)
    assert (found.commit_oid, found.is_current) == (head(planned), True)
    assert demos.demos_of(as_bob, planned, old).rows[0].text == "Hello, world"


def test_a_model_taken_down_shows_none_and_writes_none(
    planned: ModelRepo, as_bob: Viewer, staff: User, fake_box: FakeBox
) -> None:
    planned.disabled_reason = "Stolen."
    planned.save()

    with pytest.raises(RepoDisabledError):
        demos.demos_of(as_bob, planned)
    assert len(demos.demos_of(proved_viewer(staff), planned).rows) == PROMPTS
    assert write_all().result == {"done": 0, "failed": 0}
    assert fake_box.asked == []
    demos.ask()
    assert not Job.objects.filter(name=JobName.MAKE_DEMOS, state__in=Job.OPEN).exists()


def test_excerpts_are_of_public_heads_only(
    planned: ModelRepo, alice: User, fake_box: FakeBox, django_assert_num_queries: Any
) -> None:
    write_all()
    with django_assert_num_queries(1):
        listings = list(Listing.objects.all())
    with django_assert_num_queries(1):
        assert demos.excerpts(listings) == {planned.pk: "Hello, world"}
    change_settings(Viewer(user=alice), planned, is_private=True)
    assert demos.excerpts(Listing.objects.all()) == {}
    assert demos.excerpts([]) == {}


def test_an_excerpt_is_one_line_cut_between_words() -> None:
    assert demos.excerpt("One\n\n two") == "One two"
    assert demos.excerpt("abc def ghi", 9) == "abc def…"
    assert demos.excerpt("abcdefghijk", 4) == "abcd…"


def test_a_visitor_reads_them_of_a_sold_model(planned: ModelRepo, fake_box: FakeBox) -> None:
    from tests.inference.test_trials import sell

    sell(planned, 0)
    write_all()

    assert len(demos.demos_of(VISITOR, planned).rows) == PROMPTS


# ── pages and REST ──────────────────────────────────────────────────────────────────────────────

HTML = {"Accept": "text/html,application/xhtml+xml"}
API = "/api/v1/models/alice/tiny/demos"


def test_the_listing_shows_the_first_and_a_page_all(
    planned: ModelRepo, client: Client, fake_box: FakeBox
) -> None:
    waiting = client.get("/alice/tiny", headers=HTML).content.decode()
    assert "This one waits for its turn." in waiting
    fake_box.texts = [["<b>", "bold", " words"]]
    write_all()

    listing = client.get("/alice/tiny", headers=HTML).content.decode()
    page = client.get("/alice/tiny/demos", headers=HTML).content.decode()

    assert listing.count('class="demo__new">&lt;b&gt;bold words') == 3
    assert 'href="/alice/tiny/demos"' in listing
    assert page.count("&lt;b&gt;bold words") == PROMPTS
    assert "<b>bold" not in page + listing
    assert "Drawn: seed 20260101, temperature 0.8" in page
    assert "3 tokens · 6 tokens/s" in page
    models = client.get("/models", headers=HTML).content.decode()
    assert "&lt;b&gt;bold words" in models


def test_the_page_says_why_there_are_none(
    planned: ModelRepo, alice: User, client: Client, fake_box: FakeBox
) -> None:
    fake_box.error = ModelRefusedError("The numbers are not finite.", reason="not_finite")
    write_all()
    assert "The numbers are not finite." in client.get("/alice/tiny/demos").content.decode()
    make_repo(alice, "words", files={"README.md": b"# Words\n"})
    text = client.get("/alice/words/demos").content.decode()
    assert "There are no weights to run" in text
    assert "What it writes" not in client.get("/alice/words").content.decode()
    old = client.get(f"/alice/words/demos?revision={head(ModelRepo.objects.get(name='words'))}")
    assert "The store tried no such version" in old.content.decode()


def test_rest_tells_them_and_takes_nothing(
    planned: ModelRepo,
    client: Client,
    alice: User,
    bearer: Callable[..., dict[str, str]],
    fake_box: FakeBox,
) -> None:
    write_all()

    body = client.get(API).json()

    assert (body["revision"], body["is_current"], body["set_version"]) == (head(planned), True, 1)
    assert len(body["results"]) == PROMPTS
    assert body["results"][0]["prompt_key"] == "story"
    assert body["results"][0]["text"] == "Hello, world"
    assert body["results"][0]["tokens_per_s"] == 6.0
    assert client.get(f"{API}?revision={head(planned)}").json() == body
    assert client.get(f"{API}?revision=nowhere").status_code == 404
    for method in (client.post, client.put, client.patch, client.delete):
        answer = method(API, {}, headers=bearer(alice, "admin"))
        assert answer.status_code == 405, "not even its publisher can change them"
    assert client.get(API).json() == body


def test_they_are_hidden_with_the_model(
    planned: ModelRepo,
    client: Client,
    alice: User,
    bob: User,
    browser_of: Callable[[User], Client],
    bearer: Callable[..., dict[str, str]],
    fake_box: FakeBox,
) -> None:
    write_all()
    change_settings(Viewer(user=alice), planned, is_private=True)

    for stranger in (client, browser_of(bob)):
        assert stranger.get("/alice/tiny/demos", headers=HTML).status_code == 404
        assert stranger.get(API).status_code == 404
    assert browser_of(alice).get("/alice/tiny/demos", headers=HTML).status_code == 200
    assert client.get(API, headers=bearer(alice, "read")).status_code == 200
    change_settings(Viewer(user=alice), planned, is_private=False)
    ModelRepo.objects.update(disabled_reason="Stolen.")
    assert client.get(API).json()["error"]["code"] == "repo_disabled"
    assert client.get("/alice/tiny/demos", headers=HTML).status_code == 403
    assert "Hello, world" not in client.get("/alice/tiny", headers=HTML).content.decode()


def test_a_new_set_is_asked_of_what_is_there(
    planned: ModelRepo, fake_box: FakeBox, as_bob: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_all()
    old = demo_set()
    said = StringIO()
    call_command("make_demos", stdout=said)
    assert "0 texts of 0 models" in said.getvalue()

    newer = DemoSet(version=old.version + 1, prompts=old.prompts[:4])
    monkeypatch.setattr(demos, "demo_set", lambda: newer)
    call_command("make_demos", stdout=said)

    assert "4 texts of 1 models" in said.getvalue()
    assert DemoGeneration.objects.count() == PROMPTS + 4
    found = demos.demos_of(as_bob, planned)
    assert {row.set_version for row in found.rows} == {old.version + 1}
