"""Models that another server runs: what is sent there, what comes back, and what goes wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.test import Client
from django.utils import timezone
from pydantic import ValidationError

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import ModelRepo
from inference.box.conversation import ChatMessage, TokenPrompt
from inference.box.errors import BoxTimeoutError, ModelRefusedError
from inference.box.params import SamplingParams
from inference.box.protocol import DoneEvent, EndedEvent, StartedEvent, TokenEvent
from inference.engines import choosing
from inference.engines.boxed import BoxEngine
from inference.engines.config import name_patterns, remote_for
from inference.engines.remote import RemoteEngine, RemoteModel, key_of
from inference.engines.remote_errors import (
    RemoteAwayError,
    RemoteBrokeProtocolError,
    RemoteRefusedError,
)
from inference.models import DemoGeneration, EvaluationRun, Explanation, GenerationRun
from inference.services import demos, runs, suites
from inference.services.params import InvalidParamsError
from inference.services.weights import NotRunnableError
from store.core.jobs import JobName
from store.core.models import Job
from store.env import Env
from store.env import RemoteEngine as RemoteSettings
from tests.factories import make_repo
from tests.inference.conftest import forget_news
from workers.runner import run_job

ONE = SamplingParams(seed=5, max_new_tokens=9, temperature=0.5, top_p=0.9)
URL = "http://10.0.0.7:8000/v1"


def stream(*pieces: Any, done: bool = True) -> bytes:
    lines = [f"data: {json.dumps(piece)}\n\n" for piece in pieces]
    return "".join([": hello\n\n", *lines, "data: [DONE]\n\n" if done else ""]).encode()


def choice(text: str, finish: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "text": text, "finish_reason": finish, **more}]}


USAGE = {"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 3}}


class Server:
    """Answers with what the test says; remembers what came."""

    def __init__(self) -> None:
        self.body = stream(choice("Hel"), choice("lo", "length"), USAGE)
        self.status = 200
        self.error: Exception | None = None
        self.requests: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        if self.error:
            raise self.error
        return httpx2.Response(self.status, content=self.body)

    def sent(self) -> Any:
        return json.loads(self.requests[-1].content)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def model(server: Server) -> RemoteModel:
    client = httpx2.Client(base_url=URL + "/", transport=httpx2.MockTransport(server))
    return RemoteModel(client, "their-name")


def events(model: RemoteModel, asked: Any = "Once", params: SamplingParams = ONE) -> list[Any]:
    return list(model.generate(asked, params, request_id="r"))


def test_a_stream_is_told_as_a_box_tells_it(model: RemoteModel, server: Server) -> None:
    started, first, second, ended, done = events(model)

    assert isinstance(started, StartedEvent)
    assert [(e.text, e.number) for e in (first, second)] == [("Hel", 0), ("lo", 1)]
    assert isinstance(ended, EndedEvent)
    assert (ended.finish_reason, ended.sequence) == ("length", 0)
    assert isinstance(done, DoneEvent)
    assert (done.prompt_tokens, done.new_tokens) == (4, 3)
    assert str(server.requests[0].url) == f"{URL}/completions"
    assert server.sent() == {
        "model": "their-name",
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "n": 1,
        "seed": 5,
        "prompt": "Once",
    }


def test_everything_asked_for_is_sent(model: RemoteModel, server: Server) -> None:
    params = SamplingParams(
        seed=1,
        num_sequences=2,
        top_k=4,
        repetition_penalty=1.5,
        frequency_penalty=0.5,
        logit_bias={7: -1},
        stop=("x",),
        logprobs=2,
    )
    server.body = stream(choice("a", "stop"), choice("b", "stop", 1))

    events(model, [ChatMessage(role="user", content="Hi")], params)

    sent = server.sent()
    assert str(server.requests[0].url) == f"{URL}/chat/completions"
    assert sent["messages"] == [{"role": "user", "content": "Hi"}]
    assert (sent["top_k"], sent["repetition_penalty"], sent["n"]) == (4, 1.5, 2)
    assert (sent["frequency_penalty"], sent["logit_bias"], sent["stop"]) == (0.5, {"7": -1}, ["x"])
    assert (sent["logprobs"], sent["top_logprobs"]) == (True, 2)
    assert "presence_penalty" not in sent


def test_probabilities_of_chats_and_completions(model: RemoteModel, server: Server) -> None:
    top = [{"token": "lo", "logprob": -0.1}, {"token": "x", "logprob": -3.0}]
    in_chat = {"content": [{"token": "lo", "logprob": -0.1, "top_logprobs": top}]}
    in_text = {
        "tokens": ["lo"],
        "token_logprobs": [-0.1],
        "top_logprobs": [{"x": -3.0, "lo": -0.1}],
    }
    params = SamplingParams(seed=1, logprobs=2)
    for logprobs in (in_chat, in_text):
        server.body = stream(choice("lo", "stop", logprobs=logprobs))

        (token,) = [e for e in events(model, params=params) if isinstance(e, TokenEvent)]

        assert (token.text, token.token, token.logprob) == ("lo", "lo", -0.1)
        assert [(e.text, e.logprob) for e in token.top] == [("lo", -0.1), ("x", -3.0)]


@pytest.mark.parametrize(
    ("status", "body", "error", "says"),
    [
        (400, b'{"error": {"message": "too long"}}', ModelRefusedError, "too long"),
        (422, b"nonsense", ModelRefusedError, "status 422"),
        (401, b'{"error": "no key"}', RemoteRefusedError, "tell the staff"),
        (404, b"{}", RemoteRefusedError, "tell the staff"),
        (307, b"", RemoteRefusedError, "tell the staff"),
        (429, b"{}", RemoteAwayError, "Try again"),
        (503, b"{}", RemoteAwayError, "Try again"),
        (200, stream({"error": {"message": "died"}}), RemoteAwayError, "Try again"),
        (200, b"data: {nonsense\n\n", RemoteBrokeProtocolError, "no JSON"),
        (200, stream({"choices": 5}), RemoteBrokeProtocolError, "no answer of the API"),
        (200, stream(choice("half")), RemoteBrokeProtocolError, "in the middle"),
    ],
)
def test_what_goes_wrong_is_typed(
    model: RemoteModel,
    server: Server,
    status: int,
    body: bytes,
    error: type[Exception],
    says: str,
) -> None:
    server.status, server.body = status, body

    with pytest.raises(error, match=says):
        events(model)


@pytest.mark.parametrize(
    ("cause", "error"),
    [
        (httpx2.ConnectError("refused"), RemoteAwayError),
        (httpx2.ReadError("reset"), RemoteAwayError),
        (httpx2.ReadTimeout("slow"), BoxTimeoutError),
    ],
)
def test_a_server_that_is_away(
    model: RemoteModel, server: Server, cause: Exception, error: type[Exception]
) -> None:
    server.error = cause

    with pytest.raises(error) as caught:
        events(model)

    assert "10.0.0.7" not in str(caught.value)


def test_hanging_up_ends_what_was_asked(model: RemoteModel) -> None:
    found = []
    for event in model.generate("Once", ONE, request_id="r"):
        found.append(event)
        if isinstance(event, TokenEvent):
            model.cancel("r")
            model.cancel("unknown")

    assert [e.finish_reason for e in found if isinstance(e, EndedEvent)] == ["cancelled"]
    assert found[-1].new_tokens == 1


# ── choosing ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def engines(settings: Any) -> Callable[..., None]:
    def use(*remotes: RemoteSettings) -> None:
        settings.ENV = settings.ENV.model_copy(update={"engines": remotes})

    return use


def remote(models: str, **more: Any) -> RemoteSettings:
    return RemoteSettings.model_validate({"models": models, "base_url": URL} | more)


def test_the_first_that_fits_counts(engines: Callable[..., None]) -> None:
    engines(remote("alice/big"), remote("Alice/*", model="x"), remote("bob/m?"))

    assert [remote_for(name) is None for name in ("carol/m", "bob/m12", "alice")] == [True] * 3
    found = remote_for("alice/big")
    assert found is not None
    assert found.model == ""
    other = remote_for("alice/other")
    assert other is not None
    assert other.model == "x"
    assert name_patterns() == ["^alice/big$", "^Alice/.*$", "^bob/m.$"]


def of_class(queue: str, **more: Any) -> RemoteSettings:
    return RemoteSettings.model_validate({"queue": queue, "base_url": URL} | more)


def test_a_hardware_class_is_one_size_of_models(engines: Callable[..., None]) -> None:
    asked: list[int] = []

    def large() -> str:
        asked.append(1)
        return "inference-gpu"

    engines(remote("alice/big", model="named"), of_class("inference-gpu", model="class"))

    named = remote_for("alice/big", large)
    assert (named.model if named else None, asked) == ("named", [])  # nobody weighed it
    by_size = remote_for("bob/m", large)
    assert by_size is not None
    assert by_size.model == "class"
    assert remote_for("bob/m", lambda: "inference") is None
    assert remote_for("bob/m", lambda: "") is None
    assert remote_for("bob/m") is None
    assert name_patterns() == ["^alice/big$"]
    engines(of_class("inference-gpu", models="alice/*"))
    assert remote_for("bob/m", large) is None
    assert remote_for("alice/m", large) is not None


def test_what_only_another_server_runs_is_not_measured_or_explained_and_says_why(
    engines: Callable[..., None], alice: User, bob: User, as_bob: Viewer, browser_of: Any,
    client: Client, bearer: Any,
) -> None:  # fmt: skip
    repo = make_repo(alice, "words", files={"README.md": b"# Words\n"})
    engines(remote("alice/words"))
    run = runs.submit(as_bob, repo, "", "Once", {})
    GenerationRun.objects.update(state="done", texts=[" upon"])
    Job.objects.all().delete()
    suites.sync()

    asked = client.post(
        "/api/v1/models/alice/words/evaluations",
        {"suite": "copying"},
        content_type="application/json",
        headers=bearer(bob, "write"),
    )
    explained = browser_of(bob).post(f"/runs/{run.public_id}/explain", {"kind": "lens"})

    for answer in (asked, explained):
        assert answer.status_code == 409
        assert "Another server writes for alice/words." in answer.text
        assert "There are no weights to run" in answer.text
    assert not EvaluationRun.objects.exists()
    assert not Explanation.objects.exists()
    assert not Job.objects.exists()


def test_large_models_need_no_worker_of_theirs(
    engines: Callable[..., None],
    tiny_repo: ModelRepo,
    alice: User,
    as_bob: Viewer,
    settings: Any,
) -> None:
    words = make_repo(alice, "words", files={"README.md": b"# Words\n"})
    engines(of_class("inference-gpu"))
    pool: Any = object()

    small = runs.submit(as_bob, tiny_repo, "", "Once", {})
    assert isinstance(choosing.engine_for(small, pool), BoxEngine)
    assert small.job is not None
    assert small.job.memory_bytes > 0

    tight = {"gpu_from_bytes": 1000, "box_memory_bytes": 1000}  # too large for any worker here
    settings.ENV = settings.ENV.model_copy(update=tight)
    large = runs.submit(as_bob, tiny_repo, "", "Once", {})

    assert isinstance(choosing.engine_for(large, pool), RemoteEngine)
    assert large.job is not None
    assert (large.job.queue, large.job.memory_bytes) == ("inference", 0)
    with pytest.raises(NotRunnableError):  # what the store cannot run has no class
        runs.submit(as_bob, words, "", "Once", {})
    engines(of_class("inference"))
    with pytest.raises(NotRunnableError, match="this store runs models of up to"):
        runs.submit(as_bob, tiny_repo, "", "Once", {})
    assert GenerationRun.objects.count() == 2


@pytest.mark.parametrize("by", [remote("alice/*"), of_class("inference")])
def test_demo_generations_are_written_there(
    engines: Callable[..., None],
    tiny_repo: ModelRepo,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    by: RemoteSettings,
) -> None:
    engines(by)
    transport = httpx2.MockTransport(server)
    monkeypatch.setattr(choosing, "RemoteEngine", lambda found: RemoteEngine(found, transport))
    assert demos.plan_head(tiny_repo.pk) > 0

    run_job(Job.objects.get(name=JobName.MAKE_DEMOS).pk)

    rows = DemoGeneration.objects.all()
    assert {(row.state, row.text, row.finish_reason) for row in rows} == {
        ("done", "Hello", "length")
    }
    assert {row.prompt_tokens for row in rows} == {4}
    assert len(server.requests) == rows.count()
    assert server.sent()["seed"] == 20260101


def test_what_only_a_server_elsewhere_runs_has_demos_and_a_playground(
    engines: Callable[..., None], alice: User, client: Client
) -> None:
    repo = make_repo(alice, "words", files={"README.md": b"# Words\n"})
    assert demos.plan_head(repo.pk) == 0
    assert "cannot be tried here" in client.get("/alice/words/playground").content.decode()

    engines(remote("alice/words"))

    assert demos.plan_head(repo.pk) > 0
    assert "cannot be tried here" not in client.get("/alice/words/playground").content.decode()


def test_tokens_and_scores_of_prompts_stay_here(
    engines: Callable[..., None], tiny_repo: ModelRepo, as_bob: Viewer, model: RemoteModel
) -> None:
    engines(remote("alice/*"))
    tokens = TokenPrompt(ids=[1, 2])

    with pytest.raises(InvalidParamsError, match="send no token ids"):
        runs.submit(as_bob, tiny_repo, "", tokens, {})
    with pytest.raises(InvalidParamsError, match="leave echo or logprobs out"):
        runs.submit(as_bob, tiny_repo, "", "Once", {"prompt_logprobs": 1})
    assert not GenerationRun.objects.exists()
    with pytest.raises(ModelRefusedError, match="goes on from texts"):
        events(model, tokens)
    with pytest.raises(ModelRefusedError, match="goes on from texts"):
        model.echo(tokens, top=1, request_id="r")


def test_settings_are_read_and_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("sk-file\n")
    wanted = [{"models": "a/*", "base_url": URL, "api_key_file": str(key)}]
    monkeypatch.setenv("STORE_ENGINES", json.dumps(wanted))

    (found,) = Env().engines

    assert key_of(found) == "sk-file"
    assert key_of(remote("a/b", api_key="sk-own")) == "sk-own"
    assert "sk-own" not in repr(remote("a/b", api_key="sk-own"))
    with pytest.raises(RemoteRefusedError, match="cannot be read"):
        key_of(remote("a/b", api_key_file=str(tmp_path / "none")))
    for bad in (
        {"models": "", "base_url": URL},
        {"models": "x", "base_url": "ftp://x"},
        {"base_url": URL},
        {"queue": "scan", "base_url": URL},
    ):
        monkeypatch.setenv("STORE_ENGINES", json.dumps([bad]))
        with pytest.raises(ValidationError):
            Env()


def test_one_place_chooses(
    engines: Callable[..., None], tiny_repo: ModelRepo, as_bob: Viewer
) -> None:
    run = runs.submit(as_bob, tiny_repo, "", "Once", {})
    pool: Any = object()

    assert isinstance(choosing.engine_for(run, pool), BoxEngine)
    engines(remote("alice/tiny"))
    assert isinstance(choosing.engine_for(run, pool), RemoteEngine)


@pytest.mark.django_db(transaction=True)
def test_a_run_goes_there_and_back_though_nothing_here_could_run_it(
    engines: Callable[..., None],
    alice: User,
    as_bob: Viewer,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    repo = make_repo(alice, "words", files={"README.md": b"# Words\n"})
    forget_news()
    engines(remote("alice/words", api_key="sk-secret"))
    transport = httpx2.MockTransport(server)
    monkeypatch.setattr(choosing, "RemoteEngine", lambda found: RemoteEngine(found, transport))
    run = runs.submit(as_bob, repo, "", [ChatMessage(role="user", content="Hi")], {"seed": 3})

    run_job(run.job_id or 0)

    run.refresh_from_db()
    assert (run.state, run.texts, run.error) == ("done", ["Hello"], "")
    assert (run.prompt_tokens, run.new_tokens, run.memory_bytes) == (4, 3, 0)
    assert server.requests[0].headers["Authorization"] == "Bearer sk-secret"
    assert server.sent()["model"] == "alice/words"


@pytest.mark.django_db(transaction=True)
def test_a_server_that_is_away_is_tried_again(
    engines: Callable[..., None],
    tiny_repo: ModelRepo,
    as_bob: Viewer,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engines(remote("alice/*"))
    server.error = httpx2.ConnectError("refused")
    transport = httpx2.MockTransport(server)
    monkeypatch.setattr(choosing, "RemoteEngine", lambda found: RemoteEngine(found, transport))
    run = runs.submit(as_bob, tiny_repo, "", "Once", {})

    run_job(run.job_id or 0)

    job = Job.objects.get()
    assert (job.state, job.error_code, job.attempts) == ("queued", "engine_away", 1)
    server.error = None
    Job.objects.update(not_before=timezone.now())
    run_job(run.job_id or 0)
    assert GenerationRun.objects.get().texts == ["Hello"]
