"""Conversations: what the model's own template makes of them, and templates that mean harm."""

import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inference.box import chat
from inference.box.client import Box
from inference.box.conversation import ChatMessage
from inference.box.errors import BoxError, ModelRefusedError
from inference.box.loading import RefusedError
from inference.box.params import SamplingParams
from inference.box.protocol import FrameError, GenerateRequest, StartedEvent, parse_request
from tests.inference.box import tiny_models
from tests.inference.box.conftest import LIMITS
from tests.inference.box.test_generating import generate, ids_of, run

TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
TALK = [ChatMessage(role="system", content="Be brief."), ChatMessage(role="user", content="Hi")]
GREEDY = SamplingParams(temperature=0, max_new_tokens=6)


def with_template(folder: Path, template: str) -> Path:
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return folder


@pytest.fixture
def chatty(gpt2_copy: Path, load: Callable[..., Any]) -> Callable[[str], Any]:
    """Load the tiny GPT-2 with a chat template of the test's."""
    return lambda template: load(with_template(gpt2_copy, template))


def test_a_conversation_is_answered_as_its_rendered_prompt_is(
    chatty: Callable[[str], Any],
) -> None:
    loaded = chatty(TEMPLATE)
    prompt = "<system>Be brief.\n<user>Hi\n<assistant>"

    events = list(generate(loaded, GenerateRequest(id="r", messages=TALK, params=GREEDY)))

    assert chat.rendered(loaded, TALK) == prompt
    assert ids_of(events) == ids_of(run(loaded, prompt, temperature=0, max_new_tokens=6))
    started = next(event for event in events if isinstance(event, StartedEvent))
    assert started.prompt_tokens == len(
        loaded.tokenizer.apply_chat_template(
            [message.model_dump() for message in TALK], add_generation_prompt=True
        )["input_ids"]
    )


def test_whether_a_model_takes_conversations_is_a_fact(
    gpt2: Any, chatty: Callable[[str], Any]
) -> None:
    assert gpt2.facts().has_chat_template is False
    assert chatty(TEMPLATE).facts().has_chat_template is True


def test_without_a_template_a_conversation_is_refused_with_what_to_do(gpt2: Any) -> None:
    with pytest.raises(RefusedError) as caught:
        chat.rendered(gpt2, TALK)

    assert caught.value.code == "no_chat_template"
    assert "Send a prompt instead" in caught.value.message


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{% for m in %}", "Expected an expression"),
        ("{{ raise_exception('Roles must take turns.') }}", "failed: Roles must take turns."),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "unsafe"),
        ("{{ messages.append(1) }}", "unsafe"),
        ("{% include '/etc/passwd' %}", "no loader"),
        ("{{ 1 // 0 }}", "zero"),
        ("{{ messages[0].content.nothing.here }}", "no attribute"),
        ("{{ range(100001) | list }}", "too big"),
        ("{{ 'a' * 500000 }}", "500000 characters"),
    ],
)
def test_a_bad_template_is_refused_in_words(
    chatty: Callable[[str], Any], template: str, says: str
) -> None:
    loaded = chatty(template)

    with pytest.raises(RefusedError) as caught:
        chat.rendered(loaded, TALK)

    assert caught.value.code == "bad_template"
    assert says in caught.value.message
    assert caught.value.message.endswith("Send a prompt instead of messages.")


ENDLESS = (
    "{% for a in range(99999) %}{% for b in range(99999) %}{% set c = b %}{% endfor %}{% endfor %}"
)


def test_an_endless_template_is_broken_off(
    chatty: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat, "RENDER_S", 0.2)
    loaded = chatty(ENDLESS)

    with pytest.raises(RefusedError, match=r"did not end within 0\.2 seconds"):
        chat.rendered(loaded, TALK)


def test_other_threads_render_too(chatty: Callable[[str], Any]) -> None:
    loaded, found = chatty(TEMPLATE), []

    thread = threading.Thread(target=lambda: found.append(chat.rendered(loaded, TALK)))
    thread.start()
    thread.join()

    assert found == ["<system>Be brief.\n<user>Hi\n<assistant>"]


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": []},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": "user", "content": 5}]},
        {"messages": [{"role": "user", "content": "x", "name": "y"}]},
        {"messages": [{"role": "user", "content": "x"}], "prompt": "both"},
        {"messages": [{"role": "user", "content": "x"}] * 201},
    ],
)
def test_what_is_no_conversation_is_no_request(fields: dict[str, Any]) -> None:
    params = {"seed": 1}
    body = json.dumps({"request": "generate", "id": "r", "params": params} | fields).encode()

    with pytest.raises((ValueError, FrameError)):
        parse_request(body)


def test_hostile_templates_in_a_real_box_cost_their_own_request(
    wide_dir: Path, tmp_path: Path
) -> None:
    folder = with_template(Path(shutil.copytree(wide_dir, tmp_path / "copy")), ENDLESS)
    with Box.start(folder, limits=LIMITS) as box:
        assert box.facts.has_chat_template
        began = time.monotonic()

        with pytest.raises(ModelRefusedError) as caught:
            list(box.generate(TALK, GREEDY))

        assert caught.value.reason == "bad_template"
        assert time.monotonic() - began < chat.RENDER_S + 30
        assert len(list(box.generate("The quick", GREEDY))) > 3


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' * 99999999999 }}",
        "{% set x = namespace(t='ab') %}"
        "{% for i in range(60) %}{% set x.t = x.t ~ x.t %}{% endfor %}{{ x.t }}",
    ],
)
def test_a_template_that_takes_memory_ends_in_a_refusal_or_with_its_box(
    wide_dir: Path, tmp_path: Path, template: str
) -> None:
    folder = with_template(Path(shutil.copytree(wide_dir, tmp_path / "copy")), template)
    limits = LIMITS.model_copy(update={"memory_bytes": 1024**3})
    with Box.start(folder, limits=limits) as box, pytest.raises((ModelRefusedError, BoxError)):
        list(box.generate(TALK, GREEDY))


def test_no_chat_template_in_a_real_box(box: Box) -> None:
    with pytest.raises(ModelRefusedError) as caught:
        list(box.generate(TALK, GREEDY))

    assert caught.value.reason == "no_chat_template"
    assert box.facts.context_tokens > tiny_models.CONTEXT
