"""What the playground prints under "Use this in code" works as it is printed."""

import html
import json
import re
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from tests.clients.models import save_tiny_gpt
from tests.clients.pages import Person
from tests.clients.test_usage import paste
from tests.inference import tiny
from tests.live import LiveStore

TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}|{% endfor %}assistant:"


@dataclass
class Printed:
    """A model in the store, and the settings typed into its playground."""

    store: LiveStore
    repo: str
    folder: Path
    token: str
    values: dict[str, str] = field(default_factory=dict)

    def run(self, tool: str, where: Path) -> str:
        """Paste the code for ``tool``, with a token where it says so; return what it printed."""
        code = self.snippets()[tool]
        assert ("hf_…" in code) is (tool != "transformers"), "a free model is anybody's to fetch"
        return paste(tool, code.replace("hf_…", self.token), where)

    def snippets(self) -> dict[str, str]:
        """Type the settings, press the button; return the printed code by tool."""
        path = f"/{self.repo}/playground"
        page = Person(self.store.url).send(path, self.values, to=f"{path}/code")
        found = re.findall(r"<summary>(.*?)</summary>.*?<code>(.*?)</code>", page, re.DOTALL)
        return {title: html.unescape(code) for title, code in found}


@pytest.fixture(scope="module")
def printed(store: LiveStore, tmp_path_factory: pytest.TempPathFactory) -> Printed:
    return published(store, save_tiny_gpt(tmp_path_factory.mktemp("code")))


@pytest.fixture(scope="module")
def talking(store: LiveStore, tmp_path_factory: pytest.TempPathFactory) -> Printed:
    """A model with a chat template."""
    folder = save_tiny_gpt(tmp_path_factory.mktemp("chat"), context=256)
    config = folder / "tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"chat_template": TEMPLATE}))
    return published(store, folder)


def published(store: LiveStore, folder: Path) -> Printed:
    """Publish the model in a folder, as somebody new."""
    name, token = store.person()
    repo = f"{name}/tiny-{secrets.token_hex(3)}"
    api = HfApi(endpoint=store.url, token=token)
    api.create_repo(repo)
    api.upload_folder(repo_id=repo, folder_path=folder)
    store.settled(repo, token)
    return Printed(store, repo, folder, token)


def test_transformers_writes_what_the_store_would(printed: Printed, tmp_path: Path) -> None:
    prompt = "It is a truth\nuniversally 'acknowledged'"
    printed.values = {"prompt": prompt, "preset": "exact", "max_new_tokens": "8"}

    wrote = printed.run("transformers", tmp_path)

    assert wrote.rstrip("\n") == tiny.greedy(printed.folder, prompt, 8).rstrip("\n")


def test_transformers_draws_several_and_stops(printed: Printed, tmp_path: Path) -> None:
    printed.values = {
        "prompt": "It is",
        "preset": "custom",
        "max_new_tokens": "6",
        "num_sequences": "2",
        "temperature": "0.9",
        "top_k": "20",
        "repetition_penalty": "1.1",
        "seed": "3",
        "stop": "zzzz\n\\n",
    }

    first, second = (printed.run("transformers", tmp_path) for _number in range(2))

    assert first == second


def test_penalties_and_biases_are_the_stores_own(printed: Printed, tmp_path: Path) -> None:
    plain = tiny.greedy(printed.folder, "It is", 12)
    printed.values = {
        "prompt": "It is",
        "preset": "custom",
        "max_new_tokens": "12",
        "temperature": "0",
        "top_k": "0",
        "top_p": "1",
        "frequency_penalty": "1.5",
        "presence_penalty": "0.5",
        "logit_bias": "5: -100\n200: 1.5",
    }

    here, there = (printed.run(tool, tmp_path) for tool in ("transformers", "openai"))

    assert here.rstrip("\n") == there.rstrip("\n") != plain.rstrip("\n")


GREEDY = {"prompt": "It is a 'truth'", "preset": "exact", "max_new_tokens": "8"}


def test_the_openai_client_prints_the_stores_text(printed: Printed, tmp_path: Path) -> None:
    printed.values = GREEDY

    wrote = printed.run("openai", tmp_path)

    assert wrote.rstrip("\n") == tiny.greedy(printed.folder, GREEDY["prompt"], 8).rstrip("\n")


def test_curl_brings_the_same_answer(printed: Printed, tmp_path: Path) -> None:
    printed.values = GREEDY | {"stop": "zzzz"}

    answer = json.loads(printed.run("curl", tmp_path))

    assert answer["choices"][0]["text"] == tiny.greedy(printed.folder, GREEDY["prompt"], 8)
    assert answer["usage"]["completion_tokens"] == 8


TALK = {
    "mode": "chat",
    "history": '[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]',
    "system": "Be 'short'",
    "message": "Go\non",
    "preset": "exact",
    "max_new_tokens": "6",
}
READ = "system: Be 'short'|user: Hi|assistant: Yes?|user: Go\non|assistant:"
"""What the template makes of it."""


@pytest.mark.parametrize("tool", ["transformers", "openai", "curl"])
def test_a_conversation_goes_on_the_same_everywhere(
    talking: Printed, tmp_path: Path, tool: str
) -> None:
    talking.values = TALK

    wrote = talking.run(tool, tmp_path)

    if tool == "curl":
        answer = json.loads(wrote)
        wrote = answer["choices"][0]["message"]["content"]
        assert answer["object"] == "chat.completion"
    assert wrote.rstrip("\n") == tiny.greedy(talking.folder, READ, 6).rstrip("\n")


def test_the_openai_client_draws_the_same_again(printed: Printed, tmp_path: Path) -> None:
    printed.values = GREEDY | {"preset": "custom", "temperature": "0.9", "seed": "5"}

    first, second = (printed.run("openai", tmp_path) for _number in range(2))

    assert first == second
    assert first.strip()


def test_what_was_pushed_is_tried_soon(printed: Printed) -> None:
    """The whole way: the push is scanned, planned and written by the store's own workers."""
    address = f"/api/v1/models/{printed.repo}/demos"
    until = time.monotonic() + 120
    while time.monotonic() < until:
        found = printed.store.ask(address)
        states = {row["state"] for row in found["results"]}
        if states and "queued" not in states:
            break
        time.sleep(0.5)

    assert found["is_current"]
    by_key = {(row["prompt_key"], row["way"]): row for row in found["results"]}
    story = by_key["story", "greedy"]
    assert story["text"] == tiny.greedy(printed.folder, story["prompt"], story["new_tokens"])
    failed = [row for row in found["results"] if row["state"] == "failed"]
    assert failed, "the longer prompts do not fit into 64 tokens"
    assert {row["error_code"] for row in failed} == {"model_refused"}
    assert all(row["error"] and not row["text"] for row in failed)
