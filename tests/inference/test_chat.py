"""Conversations from the question to the answer."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from django.test import Client
from transformers import AutoTokenizer, GPT2LMHeadModel

from accounts.models import User
from accounts.viewer import Viewer
from catalog.history.refs import resolve
from catalog.models import ModelRepo
from catalog.services.folders import files_of, publish_files
from inference.box.conversation import ChatMessage, TokenPrompt
from inference.box.pool import BoxPool
from inference.models import GenerationRun
from inference.runners import generation
from inference.runners.probes import instructions
from inference.services import evaluations, runs, streams, suites
from inference.services.params import InvalidParamsError, messages_of
from inference.services.runs import NoChatTemplateError
from inference.services.suite_specs import DataFile
from inference.services.weights import needed_files
from store.core.jobs import JobName
from store.core.models import Job
from tests.factories import make_repo
from tests.inference import tiny
from tests.inference.conftest import forget_news
from workers.runner import run_job

TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }} {% endfor %}assistant:"
TALK = [ChatMessage(role="user", content="Once upon")]


@pytest.fixture
def chatty_repo(alice: User, tiny_folder: Path, tmp_path: Path) -> ModelRepo:
    """The very small model with a chat template."""
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "chatty"))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["chat_template"] = TEMPLATE
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    repo = make_repo(alice, "chatty")
    publish_files(Viewer(user=alice), repo, files_of(folder), title="Add the model")
    forget_news()
    return repo


@pytest.mark.django_db(transaction=True)
def test_a_conversation_is_answered_in_the_box(
    chatty_repo: ModelRepo, as_bob: Viewer, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = BoxPool(wait_s=60)
    monkeypatch.setattr(generation, "box_pool", lambda: pool)
    asked = {"max_new_tokens": 8, "temperature": 0, "logprobs": 2}
    run = runs.submit(as_bob, chatty_repo, "", TALK, asked)

    try:
        run_job(run.job_id or 0)
    finally:
        pool.close()

    run.refresh_from_db()
    assert (run.state, run.error) == ("done", "")
    assert run.prompt == ""
    assert run.messages == [{"role": "user", "content": "Once upon"}]
    assert run.texts == [tiny.greedy(tiny_folder, "user: Once upon assistant:", 8)]
    assert run.memory_bytes > 0
    (tokens,) = run.tokens
    assert len(tokens) == run.new_tokens
    assert "".join(token["token"] for token in tokens).startswith(run.texts[0])
    first = tokens[0]
    assert first["logprob"] == first["top"][0]["logprob"] <= 0
    assert first["id"] == first["top"][0]["id"]
    assert [len(token["top"]) for token in tokens] == [2] * len(tokens)
    assert streams.transcript(run.public_id).tokens == run.tokens


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("form", ["messages", "tokens"])
def test_an_explanation_reads_the_answer_after_what_was_asked(
    client: Client, bearer: Callable[..., dict[str, str]], bob: User, chatty_repo: ModelRepo,
    as_bob: Viewer, tiny_folder: Path, real_pool: BoxPool, form: str,
) -> None:  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    model = GPT2LMHeadModel.from_pretrained(tiny_folder).eval()
    ids = tokenizer("user: Once upon assistant:")["input_ids"]
    asked: Any = TALK if form == "messages" else TokenPrompt(ids=ids)
    run = runs.submit(as_bob, chatty_repo, "", asked, {"max_new_tokens": 8, "temperature": 0})
    run_job(run.job_id or 0)
    run.refresh_from_db()
    assert (run.state, run.error) == (GenerationRun.State.DONE, "")
    url = f"/api/v1/generations/{run.public_id}/explanations"
    headers = bearer(bob, "read")

    asked_now = client.post(
        url, {"kind": "tokens"}, content_type="application/json", headers=headers
    )
    assert asked_now.status_code in {200, 201, 202}, asked_now.content
    run_job(Job.objects.get(name=JobName.EXPLAIN).pk)
    read = client.get(f"{url}/{asked_now.json()['id']}", headers=headers).json()

    assert (read["state"], read["error"]) == ("done", "")
    result = read["result"]
    found = [token_id for token_id, _text in result["tokens"]]
    assert found == ids + tokenizer(run.texts[0])["input_ids"]
    assert result["prompt_tokens"] == len(ids) == run.prompt_tokens
    with torch.inference_mode():
        logprobs = model(torch.tensor([found])).logits[0].float().log_softmax(-1)
    wanted = [float(logprobs[place - 1, found[place]]) for place in range(1, len(found))]
    assert [chance["logprob"] for chance in result["chances"]] == pytest.approx(wanted, abs=1e-3)


def test_instructions_of_the_suite_go_through_the_template_and_the_record_says_so(
    chatty_repo: ModelRepo,
    tiny_repo: ModelRepo,
    as_bob: Viewer,
    tiny_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [{"instruction": "Once upon", "rules": [{"rule": "no_digits"}]}]
    monkeypatch.setattr(DataFile, "rows", lambda _self: rows)
    monkeypatch.setattr(instructions, "MAX_NEW_TOKENS", 8)
    pool = BoxPool(wait_s=60)
    monkeypatch.setattr(generation, "box_pool", lambda: pool)
    suite = suites.builtin("instructions")
    framed, _ = evaluations.ask(as_bob, tiny_repo, suite)
    templated, _ = evaluations.ask(as_bob, chatty_repo, suite)

    try:
        for run in (framed, templated):
            run.refresh_from_db()
            run_job(run.job_id or 0)
            run.refresh_from_db()
            assert (run.state, run.error) == ("done", "")
    finally:
        pool.close()

    said = "user: Once upon assistant:"
    assert templated.samples.get().output == tiny.greedy(tiny_folder, said, 8)
    assert templated.record["chat_template"] == {
        "applied_to": ["instructions"],
        "file": "tokenizer_config.json",
    }
    told = "Instruction: Once upon\nAnswer:"
    assert framed.samples.get().output == tiny.greedy(tiny_folder, told, 8)
    assert framed.record["chat_template"]["applied_to"] == []


def test_the_same_is_asked_again_in_the_same_form(chatty_repo: ModelRepo, as_bob: Viewer) -> None:
    talk = runs.submit(as_bob, chatty_repo, "", TALK, {"max_new_tokens": 3})
    ids = runs.submit(as_bob, chatty_repo, "", TokenPrompt(ids=[5, 6]), {"max_new_tokens": 3})

    again = [runs.again(as_bob, run) for run in (talk, ids)]

    assert [run.messages for run in again] == [talk.messages, None]
    assert [run.prompt_ids for run in again] == [None, [5, 6]]
    assert [run.params for run in again] == [talk.params, ids.params]
    assert GenerationRun.objects.count() == 4


def test_the_template_is_seen_in_the_files(chatty_repo: ModelRepo, tiny_repo: ModelRepo) -> None:
    def takes_messages(repo: ModelRepo) -> bool:
        return needed_files(repo, resolve(repo, "main").commit_oid).has_chat_template

    assert takes_messages(chatty_repo) is True
    assert takes_messages(tiny_repo) is False


def test_a_model_without_template_takes_no_messages(tiny_repo: ModelRepo, as_bob: Viewer) -> None:
    with pytest.raises(NoChatTemplateError, match="Send a prompt instead"):
        runs.submit(as_bob, tiny_repo, "", TALK, {})

    assert not GenerationRun.objects.exists()
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    "talk",
    [
        [],
        [ChatMessage(role="user", content="")],
        [ChatMessage(role="user", content="x" * 10_001)] * 2,
        [ChatMessage(role="user", content="a\0b")],
        [ChatMessage(role="user", content="x")] * 201,
    ],
)
def test_bad_conversations_queue_nothing(
    chatty_repo: ModelRepo, as_bob: Viewer, talk: list[ChatMessage]
) -> None:
    with pytest.raises(InvalidParamsError) as caught:
        runs.submit(as_bob, chatty_repo, "", talk, {})

    assert caught.value.extra["fields"].keys() == {"messages"}  # type: ignore[attr-defined]
    assert not GenerationRun.objects.exists()


@pytest.mark.parametrize("turns", [5, [5], [{"role": "x", "content": ""}], [{"role": "user"}]])
def test_what_is_no_conversation_is_refused(turns: Any) -> None:
    with pytest.raises(InvalidParamsError, match="Each message has a role"):
        messages_of(turns)


@pytest.mark.parametrize("asked", [{"logprobs": 20, "max_new_tokens": 1000}, {"logprobs": 21}])
def test_more_probabilities_than_are_kept_are_refused(
    tiny_repo: ModelRepo, as_bob: Viewer, asked: dict[str, Any]
) -> None:
    with pytest.raises(InvalidParamsError):
        runs.submit(as_bob, tiny_repo, "", "Once", asked)

    assert not GenerationRun.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_what_was_told_before_a_stop_is_kept(tiny_repo: ModelRepo, as_bob: Viewer) -> None:
    run = runs.submit(as_bob, tiny_repo, "", "Once upon", {"logprobs": 1})
    streams.publish(
        run.public_id,
        [
            streams.Event("start", {"prompt_tokens": 2}, 1),
            streams.Event(
                "token",
                {"sequence": 1, "text": "b", "new_tokens": 1, "tokens": [{"id": 7}]},
                1,
            ),
        ],
    )

    runs.cancel(as_bob, run)

    assert (run.texts, run.tokens, run.prompt_tokens) == (["", "b"], [[], [{"id": 7}]], 2)
