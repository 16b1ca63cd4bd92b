"""Conversations on pages: with and without scripts."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from catalog.models import ModelRepo
from inference.forms import ChatForm
from inference.models import GenerationRun
from inference.services import history, sharing
from tests.inference import test_chat
from tests.inference.fakes import FakeBox
from workers.runner import run_job

chatty_repo = test_chat.chatty_repo

Browser = Callable[[User], Client]
HTML = {"Accept": "text/html,application/xhtml+xml"}
ADDRESS = "/alice/chatty/playground"


def said(**values: Any) -> dict[str, Any]:
    return {"mode": "chat", "preset": "custom", "max_new_tokens": 8, "seed": 5} | values


def hidden(page: str, action: str) -> dict[str, str]:
    """The hidden values of the last form that goes to ``action``."""
    import html

    form = page.rsplit(f'action="{action}"', maxsplit=1)[-1].partition("</form>")[0]
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form)
    return {name: html.unescape(value) for name, value in found}


def test_a_model_with_a_template_is_talked_to_by_default(
    chatty_repo: ModelRepo, tiny_repo: ModelRepo, client: Client
) -> None:
    page = client.get(ADDRESS, headers=HTML).content.decode()
    assert 'name="message"' in page
    assert 'name="prompt"' not in page
    prompt = client.get(f"{ADDRESS}?mode=prompt", headers=HTML).content.decode()
    assert 'name="prompt"' in prompt
    assert 'name="prompt"' in client.get(f"{ADDRESS}?task=code", headers=HTML).content.decode()
    plain = client.get("/alice/tiny/playground?mode=chat", headers=HTML).content.decode()
    assert 'name="prompt"' in plain
    assert "mode=chat#try" not in plain
    assert 'name="message"' in client.get("/alice/chatty", headers=HTML).content.decode()


def test_a_conversation_goes_on_without_scripts(
    chatty_repo: ModelRepo, bob: User, browser_of: Browser, fake_box: FakeBox
) -> None:
    browser = browser_of(bob)
    first = browser.post(ADDRESS, said(system="Be short.", message="Hi\r\nthere"), headers=HTML)
    run = GenerationRun.objects.get()
    assert run.prompt == ""
    run_job(run.job_id or 0)
    page = browser.get(first["Location"], headers=HTML).content.decode()
    assert "Be short." in page
    assert "Hello, world" in page

    values = hidden(page, ADDRESS) | {"message": "And then?"}
    browser.post(ADDRESS, values, headers=HTML)

    second = GenerationRun.objects.latest("pk")
    assert second.messages == [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "Hi\nthere"},
        {"role": "assistant", "content": "Hello, world"},
        {"role": "user", "content": "And then?"},
    ]
    assert second.params["max_new_tokens"] == 8
    assert second.question == "And then?"
    listed = browser.get("/runs?q=then", headers=HTML).content.decode()
    assert listed.count("And then?") >= 1
    assert "there</a>" not in listed


def test_again_says_the_same_with_the_same_seed(
    chatty_repo: ModelRepo, bob: User, browser_of: Browser, fake_box: FakeBox
) -> None:
    browser = browser_of(bob)
    before = json.dumps([{"role": "user", "content": "A"}, {"role": "assistant", "content": "B"}])
    browser.post(ADDRESS, said(message="C", history=before, system="S"))
    run = GenerationRun.objects.get()
    run_job(run.job_id or 0)
    run.refresh_from_db()

    form = ChatForm(ChatForm.initial_of(test_chat.messages_of(run.messages), run.params))

    assert form.is_valid(), form.errors
    assert [turn.model_dump() for turn in form.asked()] == run.messages  # type: ignore[union-attr]
    assert form.params().seed == 5
    filled = browser.get(f"{ADDRESS}?run={run.public_id}", headers=HTML).content.decode()
    assert "C</textarea>" in filled
    assert 'data-role="assistant"' in filled


@pytest.mark.parametrize(
    "wrong",
    [
        {"message": ""},
        {"message": "x", "history": "no json"},
        {"message": "x", "history": '[{"role": "root", "content": "x"}]'},
        {"message": "x", "history": '{"a": 1}'},
        {"message": "x", "history": "7"},
    ],
)
def test_what_is_no_conversation_is_refused(
    chatty_repo: ModelRepo, client: Client, wrong: dict[str, str]
) -> None:
    answer = client.post(ADDRESS, said(**wrong), headers=HTML)

    assert answer.status_code == 400
    assert not GenerationRun.objects.exists()


def test_a_model_without_a_template_takes_no_messages(tiny_repo: ModelRepo, client: Client) -> None:
    answer = client.post("/alice/tiny/playground", said(message="Hi"), headers=HTML)

    assert answer.status_code == 409
    assert "has no chat template" in answer.content.decode()
    assert not GenerationRun.objects.exists()


def test_a_shared_conversation_and_its_code(
    chatty_repo: ModelRepo, as_bob: Any, bob: User, browser_of: Browser, fake_box: FakeBox
) -> None:
    browser = browser_of(bob)
    browser.post(ADDRESS, said(message="Hi <b>"))
    run = history.own_runs(as_bob).get()
    run_job(run.job_id or 0)
    run.refresh_from_db()

    page = Client().get(f"/shared/{sharing.share(as_bob, run).token}").content.decode()
    code = browser.post(f"{ADDRESS}/code", said(message="Hi")).content.decode()

    assert "Hi &lt;b&gt;" in page
    assert "Hello, world" in page
    assert "chat.completions.create(" in code
    assert "/v1/chat/completions" in code
