"""The playground in a browser, with and without scripts."""

import json
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.template import Context, Template
from django.test import Client, RequestFactory
from redis.exceptions import ConnectionError as RedisConnectionError

from accounts.models import User
from accounts.viewer import VISITOR, Viewer
from catalog.models import Listing, ModelRepo
from catalog.services.repos import change_settings
from inference import sse
from inference.forms import PlaygroundForm
from inference.models import GenerationRun
from inference.services import follow, streams
from inference.services.streams import Event
from store.core.models import Job
from tests.factories import make_org, make_repo
from tests.inference.fakes import FakeBox
from workers.runner import run_job

Ask = Callable[..., GenerationRun]
Browser = Callable[[User], Client]
HTML = {"Accept": "text/html,application/xhtml+xml"}
JSON = {"Accept": "application/json"}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the row more often than in production."""
    monkeypatch.setattr(follow, "_WAIT_MS", 50)
    monkeypatch.setattr(follow, "_LOOK_EVERY_S", 0.1)


def asked(client: Client, **values: Any) -> Any:
    """Send the form as a script does; return the answer's JSON."""
    form = {"prompt": "Once upon", "preset": "custom", "max_new_tokens": 8} | values
    answer = client.post("/alice/tiny/playground", form, headers=JSON)
    assert answer.status_code == 201, answer.content
    return answer.json()


def events_of(answer: Any) -> list[tuple[str, dict[str, Any]]]:
    """Read a whole event stream."""
    body = b"".join(answer.streaming_content).decode()
    answer.close()
    events = []
    for block in body.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[0] != ":")
        if "event" in fields:
            events.append((fields["event"], json.loads(fields["data"])))
    return events


# ── the form ────────────────────────────────────────────────────────────────────────────────────


def test_the_panel_stands_on_the_listing_and_on_its_own_page(
    tiny_repo: ModelRepo, client: Client
) -> None:
    page = client.get("/alice/tiny/playground", headers=HTML)

    assert page.status_code == 200
    text = page.content.decode()
    assert '<form method="post" action="/alice/tiny/playground"' in text
    assert 'name="csrfmiddlewaretoken"' in text
    assert 'name="max_new_tokens" value="128"' in text
    assert "js/playground.js" in text
    assert client.post("/alice/tiny/playground", {}, headers=HTML).status_code == 400


def test_a_model_that_cannot_run_says_why(alice: User, client: Client) -> None:
    repo = make_repo(alice, "words", files={"README.md": b"# Words\n"})
    assert Listing.objects.get(repo=repo).is_runnable is False

    text = client.get("/alice/words/playground", headers=HTML).content.decode()

    assert "This model cannot be tried here." in text
    assert "There are no weights to run" in text
    assert "<textarea" not in text


def test_the_tag_needs_no_more_than_the_listing(
    tiny_repo: ModelRepo, django_assert_num_queries: Any
) -> None:
    listing = Listing.objects.get(repo=tiny_repo)
    template = Template("{% load inference_ui %}{% playground repo listing %}")
    request: Any = RequestFactory().get("/")
    request.viewer = VISITOR

    with django_assert_num_queries(0):
        text = template.render(Context({"repo": tiny_repo, "listing": listing, "request": request}))

    assert "data-playground" in text


def test_asking_without_scripts_leads_to_the_page_of_the_run(
    tiny_repo: ModelRepo, bob: User, browser_of: Browser, fake_box: FakeBox
) -> None:
    browser = browser_of(bob)
    form = {
        "prompt": "Once\r\nupon",
        "preset": "custom",
        "max_new_tokens": "8",
        "num_sequences": "",
        "temperature": "0.5",
        "seed": "7",
        "stop": "end\r\n\r\n.",
    }

    answer = browser.post("/alice/tiny/playground", form, headers=HTML)

    run = GenerationRun.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/runs/{run.public_id}")
    assert run.prompt == "Once\nupon"
    assert (run.params["seed"], run.params["temperature"]) == (7, 0.5)
    assert run.params["stop"] == ["end", "."]
    waiting = browser.get(answer["Location"], headers=HTML)
    text = waiting.content.decode()
    assert re.search(r'<noscript>\s*<meta http-equiv="refresh" content="2">\s*</noscript>', text)
    assert "Waiting: you are next." in text
    assert waiting["Cache-Control"] == "private, no-store"
    run_job(run.job_id or 0)
    text = browser.get(answer["Location"], headers=HTML).content.decode()
    assert "Hello, world" in text
    assert "3 tokens in 0.5 s (6 tokens/s)." in text
    assert 'http-equiv="refresh"' not in text


def test_every_control_of_sampling_is_there(
    tiny_repo: ModelRepo, bob: User, browser_of: Browser
) -> None:
    browser = browser_of(bob)
    page = browser.get("/alice/tiny/playground", headers=HTML).text
    for name in ("Frequency penalty", "Presence penalty", "Token bias"):
        assert f"<dt>{name}</dt>" in page  # and is explained
    form = {"prompt": "Once", "preset": "custom", "max_new_tokens": "8"}
    bad = browser.post("/alice/tiny/playground", form | {"logit_bias": "word: 3"}, headers=HTML)
    assert (bad.status_code, "as in 198: -100." in bad.text) == (400, True)
    far = browser.post("/alice/tiny/playground", form | {"presence_penalty": "3"}, headers=HTML)
    assert far.status_code == 400
    assert not GenerationRun.objects.exists()
    chosen = {"frequency_penalty": "0.5", "presence_penalty": "-1", "logit_bias": "5: -100\r\n7:2"}

    answer = browser.post("/alice/tiny/playground", form | chosen, headers=HTML)
    browser.post("/alice/tiny/playground", form | chosen | {"preset": "exact"}, headers=HTML)

    run, preset = GenerationRun.objects.order_by("id")
    names = ("frequency_penalty", "presence_penalty", "logit_bias")
    assert [run.params[name] for name in names] == [0.5, -1, {"5": -100, "7": 2}]
    assert [preset.params[name] for name in names] == [0, 0, {}]  # a preset goes before them
    assert answer["Location"] == f"/runs/{run.public_id}"
    again = browser.get(f"/alice/tiny/playground?run={run.public_id}", headers=HTML).text
    assert ">\n5: -100\n7: 2</textarea>" in again
    assert re.search(r'name="frequency_penalty" value="0.5"', again)
    code = browser.post("/alice/tiny/playground/code", form | chosen, headers=HTML).text
    assert "frequency_penalty=0.5" in code


def test_a_team_pays_where_one_may_charge_it(
    tiny_repo: ModelRepo, alice: User, bob: User, client: Client, browser_of: Browser,
    settings: Any, bearer: Callable[..., dict[str, str]],
) -> None:  # fmt: skip
    make_org("others")
    team = make_org("team", bob="read")
    changed = {"rate_limits": "on", "user_tokens_per_day": 1, "organization_tokens_per_day": 100}
    settings.ENV = settings.ENV.model_copy(update=changed)
    browser, url = browser_of(bob), "/alice/tiny/playground"
    form = {"prompt": "Once", "preset": "balanced", "max_new_tokens": "8"}
    for stranger in (browser_of(alice), client):
        assert "Charge to" not in stranger.get(url, headers=HTML).text
    page = browser.get(url, headers=HTML).text
    assert "Charge to" in page
    assert ('<option value="team">' in page, "others" in page) == (True, False)
    for body, status in (({}, 429), ({"organization": "others"}, 404)):
        refused = browser.post(url, form | body, headers=HTML)
        assert refused.status_code == status
        assert 'role="alert"' in refused.text
    assert not GenerationRun.objects.exists()

    browser.post(url, form | {"organization": "team"}, headers=HTML)

    run = GenerationRun.objects.get()
    assert (run.payer, run.organization) == (f"organization:{team.pk}", team)
    page = browser.get(f"{url}?run={run.public_id}", headers=HTML).text
    assert '<option value="team" selected>' in page
    assert 'name="organization" value="team"' in browser.get(f"/runs/{run.public_id}").text
    asked = {"model": "alice/tiny", "prompt": "Once", "max_new_tokens": 8}
    door, token = "/api/v1/generations", bearer(bob)
    sent: dict[str, Any] = {"content_type": "application/json", "headers": token}
    assert client.post(door, asked | {"organization": "others"}, **sent).status_code == 404
    assert client.post(door, asked | {"organization": "team"}, **sent).status_code == 201
    assert GenerationRun.objects.filter(organization=team).count() == 2
    both = {"a": "alice/tiny", "b": "alice/tiny", "organization": "team"}
    assert "Charge to" in browser.get("/playground/compare", headers=HTML).text
    assert browser.post("/playground/compare", form | both, headers=HTML).status_code == 302
    assert GenerationRun.objects.filter(organization=team).count() == 4


def test_what_a_model_writes_is_shown_as_text(
    tiny_repo: ModelRepo, bob: User, browser_of: Browser, fake_box: FakeBox
) -> None:
    fake_box.texts = [["<script>alert(1)</script>"]]
    browser = browser_of(bob)
    run = asked(browser, prompt="<b>bold</b>")
    run_job(GenerationRun.objects.get().job_id or 0)

    text = browser.get(run["page"], headers=HTML).content.decode()

    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "&lt;b&gt;bold&lt;/b&gt;" in text


def test_a_refused_form_keeps_what_was_typed(
    tiny_repo: ModelRepo, bob: User, browser_of: Browser
) -> None:
    browser = browser_of(bob)
    form = {"prompt": "my long prompt", "preset": "custom", "temperature": "9"}

    answer = browser.post("/alice/tiny/playground", form, headers=HTML)

    text = answer.content.decode()
    assert answer.status_code == 400
    assert "my long prompt" in text
    assert "Ensure this value is less than or equal to 2." in text
    assert GenerationRun.objects.count() == 0


def test_a_refused_form_tells_programs_which_fields(
    tiny_repo: ModelRepo, bob: User, browser_of: Browser
) -> None:
    browser = browser_of(bob)

    bad_form = browser.post("/alice/tiny/playground", {"top_k": "-1"}, headers=JSON)
    bad_pair = browser.post(
        "/alice/tiny/playground",
        {"prompt": "x", "preset": "custom", "temperature": "0", "num_sequences": "2"},
        headers=JSON,
    )

    assert (bad_form.status_code, bad_form.json()["code"]) == (400, "invalid_params")
    assert set(bad_form.json()["extra"]["fields"]) == {"prompt", "top_k"}
    assert (bad_pair.status_code, bad_pair.json()["code"]) == (400, "invalid_params")
    assert "all sequences are the same" in bad_pair.json()["error"]
    assert GenerationRun.objects.count() == 0


def test_a_used_up_quota_is_told_with_a_time_and_keeps_the_prompt(
    tiny_repo: ModelRepo, client: Client, settings: Any
) -> None:
    settings.ENV = settings.ENV.model_copy(
        update={"rate_limits": "on", "visitor_tokens_per_day": 10}
    )
    form = {"prompt": "kept", "max_new_tokens": "11"}

    page = client.post("/alice/tiny/playground", form, headers=HTML)
    program = client.post("/alice/tiny/playground", form, headers=JSON)

    assert (page.status_code, program.status_code) == (429, 429)
    assert "You have 10 of 10 tokens left today" in page.content.decode()
    assert "kept" in page.content.decode()
    assert int(page["Retry-After"]) > 0
    assert program.json()["extra"]["left"] == 10
    assert (GenerationRun.objects.count(), Job.objects.count()) == (0, 0)


def test_presets_go_before_single_values() -> None:
    data = {"prompt": "x", "preset": "exact", "temperature": "1.5", "num_sequences": "3"}
    form = PlaygroundForm(data)

    assert form.is_valid(), form.errors
    asked_for = form.params()
    assert (asked_for.temperature, asked_for.top_k, asked_for.num_sequences) == (0, 0, 1)
    assert PlaygroundForm({"prompt": "x", "preset": "no such"}).is_valid() is False
    plain = PlaygroundForm({"prompt": "x", "preset": "balanced", "num_sequences": "3"})
    assert plain.is_valid(), plain.errors
    assert (plain.params().temperature, plain.params().num_sequences) == (0.8, 3)


def test_a_private_model_is_absent_for_strangers(
    tiny_repo: ModelRepo, as_alice: Viewer, bob: User, browser_of: Browser
) -> None:
    change_settings(as_alice, tiny_repo, is_private=True)
    browser = browser_of(bob)

    hidden = browser.post("/alice/tiny/playground", {"prompt": "x"}, headers=JSON)
    absent = browser.post("/alice/nothing/playground", {"prompt": "x"}, headers=JSON)

    assert hidden.status_code == absent.status_code == 404
    assert hidden.json()["code"] == absent.json()["code"] == "repo_not_found"
    assert browser.get("/alice/tiny/playground", headers=HTML).status_code == 404
    assert GenerationRun.objects.count() == 0


def test_an_old_name_leads_to_the_playground(
    tiny_repo: ModelRepo, as_alice: Viewer, client: Client
) -> None:
    from catalog.services.repos import move_repo

    move_repo(as_alice, tiny_repo, namespace="alice", name="small")

    answer = client.get("/alice/tiny/playground", headers=HTML)

    assert (answer.status_code, answer["Location"]) == (307, "/alice/small/playground")


# ── whose run ───────────────────────────────────────────────────────────────────────────────────


def test_every_address_of_a_run_is_its_askers_alone(
    prompted: Ask, bob: User, alice: User, staff: User, browser_of: Browser, client: Client
) -> None:
    run = prompted()
    base = f"/runs/{run.public_id}"

    for stranger in (browser_of(alice), browser_of(staff), client):
        for path in (base, f"{base}/events", f"{base}/state.json"):
            assert stranger.get(path, headers=JSON).status_code == 404, path
        assert stranger.post(f"{base}/cancel", headers=JSON).status_code == 404
    assert browser_of(bob).get(base, headers=HTML).status_code == 200
    run.refresh_from_db()
    assert run.state == "queued"


def test_a_visitor_follows_and_stops_in_the_same_session(
    tiny_repo: ModelRepo, client: Client
) -> None:
    run = asked(client)

    assert client.get(run["state_url"]).json()["state"] == "queued"
    assert Client().get(run["state_url"]).status_code == 404
    stopped = client.post(run["cancel_url"], headers=JSON)
    assert (stopped.status_code, stopped.json()["state"]) == (200, "cancelled")
    page = client.post(run["cancel_url"], headers=HTML)
    assert (page.status_code, page["Location"]) == (302, run["page"])
    assert "Stopped after 0 tokens." in client.get(run["page"], headers=HTML).content.decode()


def test_stopping_needs_a_post_and_the_forms_secret(prompted: Ask, bob: User) -> None:
    run = prompted()
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(bob)

    assert browser.get(f"/runs/{run.public_id}/cancel").status_code == 405
    assert browser.post(f"/runs/{run.public_id}/cancel").status_code == 403
    run.refresh_from_db()
    assert run.state == "queued"


def test_a_model_that_became_private_is_no_longer_linked(
    prompted: Ask, as_alice: Viewer, tiny_repo: ModelRepo, bob: User, browser_of: Browser
) -> None:
    run = prompted()
    browser = browser_of(bob)
    assert 'href="/alice/tiny"' in browser.get(f"/runs/{run.public_id}").content.decode()

    change_settings(as_alice, tiny_repo, is_private=True)

    page = browser.get(f"/runs/{run.public_id}", headers=HTML)
    assert page.status_code == 200
    assert 'href="/alice/tiny"' not in page.content.decode()


def test_a_failed_run_says_why(prompted: Ask, bob: User, browser_of: Browser) -> None:
    run = prompted()
    GenerationRun.objects.update(state="failed", error="The model crashed.", error_code="x")

    text = browser_of(bob).get(f"/runs/{run.public_id}").content.decode()

    assert "The model crashed." in text
    assert "data-run=" not in text


def test_the_place_in_the_queue_is_told(
    prompted: Ask, as_alice: Viewer, bob: User, alice: User, browser_of: Browser
) -> None:
    prompted()
    run = prompted(viewer=as_alice)
    browser = browser_of(alice)

    page = browser.get(f"/runs/{run.public_id}").content.decode()
    state = browser.get(f"/runs/{run.public_id}/state.json").json()

    assert "Waiting: 1 request before you." in page
    assert (state["ahead"], state["expected_wait_s"], state["is_ended"]) == (1, None, False)


# ── following ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.django_db(transaction=True)
def test_tokens_stream_into_the_page(
    tiny_repo: ModelRepo, bob: User, browser_of: Browser, fake_box: FakeBox
) -> None:
    fake_box.texts = [["从", "前"], ["once", " upon"]]
    browser = browser_of(bob)
    run = asked(browser, num_sequences=2)
    job_id = GenerationRun.objects.get().job_id or 0

    def work() -> None:
        try:
            time.sleep(2)  # the page has heard by then that the run waits
            run_job(job_id)
        finally:
            connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    answer: Any = browser.get(run["events_url"])
    events = events_of(answer)
    worker.join()

    assert answer["Content-Type"] == "text/event-stream"
    assert answer["X-Accel-Buffering"] == "no"
    assert answer["Cache-Control"] == "no-store"
    # A look at the row may come between the start and the first token, or not.
    kinds = [kind for kind, _ in events if kind != "token"]
    assert (kinds[0], kinds.count("start"), kinds[-1]) == ("status", 1, "done")
    texts = ["", ""]
    for kind, data in events:
        if kind == "token":
            texts[data["sequence"]] += data["text"]
    assert texts == ["从前", "once upon"] == GenerationRun.objects.get().texts
    assert events[-1][1]["texts"] == texts


@pytest.mark.django_db(transaction=True)
def test_a_stream_goes_on_where_it_was_cut(prompted: Ask, bob: User, browser_of: Browser) -> None:
    run = prompted()
    pieces = [
        Event("token", {"sequence": 0, "text": text, "new_tokens": 1}, 1) for text in ("a", "b")
    ]
    streams.publish(run.public_id, [*pieces, Event("done", {"state": "done"})])
    first = streams.read(run.public_id)[0]
    browser, url = browser_of(bob), f"/runs/{run.public_id}/events"

    whole = events_of(browser.get(url))
    rest = events_of(browser.get(url, headers={"Last-Event-ID": first.id}))
    by_query = events_of(browser.get(url, {"after": first.id}))

    assert [kind for kind, _ in whole] == ["token", "token", "done"]
    assert rest == by_query == whole[1:]


@pytest.mark.django_db(transaction=True)
def test_past_the_cap_pages_poll(
    prompted: Ask, bob: User, browser_of: Browser, settings: Any
) -> None:
    settings.ENV = settings.ENV.model_copy(update={"max_streams": 1})
    run = prompted()
    streams.publish(run.public_id, [Event("done", {"state": "done"})])
    browser, url = browser_of(bob), f"/runs/{run.public_id}/events"
    held: Any = browser.get(url)

    refused = browser.get(url, headers={"Accept": "text/event-stream"})

    assert refused.status_code == 503
    assert refused.json()["code"] == "streams_busy"
    poll = refused.json()["extra"]["poll"]
    assert poll == f"/runs/{run.public_id}/state.json"
    assert [event["kind"] for event in browser.get(poll).json()["events"]] == ["done"]
    held.close()  # never read: its place must be free all the same
    held.close()
    assert sse.SLOTS.taken == 0
    again: Any = browser.get(url)
    assert again.status_code == 200
    again.close()


def test_polling_tells_the_same_story(
    tiny_repo: ModelRepo,
    bob: User,
    browser_of: Browser,
    fake_box: FakeBox,
    django_capture_on_commit_callbacks: Any,
) -> None:
    browser = browser_of(bob)
    run = asked(browser)
    before = browser.get(run["state_url"]).json()
    with django_capture_on_commit_callbacks(execute=True):
        run_job(GenerationRun.objects.get().job_id or 0)

    after = browser.get(run["state_url"], {"after": before["last_id"]}).json()
    last = browser.get(run["state_url"], {"after": after["last_id"]}).json()

    assert (before["state"], before["events"], before["is_ended"]) == ("queued", [], False)
    assert (after["state"], after["is_ended"]) == ("done", True)
    kinds = [event["kind"] for event in after["events"]]
    assert (kinds[0], kinds[-1]) == ("start", "done")
    text = "".join(e["data"]["text"] for e in after["events"] if e["kind"] == "token")
    assert text == "Hello, world"
    assert [event["kind"] for event in last["events"]] == ["done"]


def test_silence_is_broken_and_no_stream_lives_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(sse.time, "monotonic", lambda: now[0])

    def nothing_happens() -> Any:
        while True:
            now[0] += 1
            yield None

    assert sse.SLOTS.take() is True
    stream = sse.event_bytes(nothing_happens())

    lines = list(stream)
    stream.close()

    assert lines[0] == b"retry: 2000\n\n"
    assert lines[1:] == [b": still here\n\n"] * 37
    assert now[0] == 601
    assert sse.SLOTS.taken == 0


def test_a_place_is_given_back_once(settings: Any) -> None:
    settings.ENV = settings.ENV.model_copy(update={"max_streams": 2})
    assert [sse.SLOTS.take() for _ in range(3)] == [True, True, False]
    stream = sse.event_bytes(iter([]))

    stream.close()
    stream.close()

    assert sse.SLOTS.taken == 1
    sse.SLOTS.free()
    assert list(stream) == [b"retry: 2000\n\n"]


def test_a_stream_ends_quietly_when_valkey_goes_away(caplog: pytest.LogCaptureFixture) -> None:
    def cut() -> Any:
        yield Event("start", {}, 1, "1-0")
        raise RedisConnectionError("away")

    assert sse.SLOTS.take() is True
    stream = sse.event_bytes(cut())

    lines = list(stream)
    stream.close()

    assert lines == [b"retry: 2000\n\n", b"id: 1-0\nevent: start\ndata: {}\n\n"]
    assert "a stream was cut" in caplog.text


def test_a_stream_inside_a_transaction_keeps_its_connection(db: None) -> None:
    answer = sse.event_stream(iter([]), poll="/x")

    assert connection.connection is not None
    sse.SLOTS.free()
    assert answer.status_code == 200


def test_an_event_is_one_block_whatever_its_text() -> None:
    event = Event("token", {"text": "a\n\nevent: done\r\n"}, 1, "5-0")

    assert sse.encode(event) == (
        b'id: 5-0\nevent: token\ndata: {"text": "a\\n\\nevent: done\\r\\n"}\n\n'
    )
