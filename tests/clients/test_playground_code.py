"""What the playground prints under "Use this in code" works as it is printed."""

import html
import http.cookiejar
import re
import secrets
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from tests.clients.models import save_tiny_gpt
from tests.clients.test_usage import Published
from tests.inference import tiny
from tests.live import LiveStore


class Printed(Published):
    """The code for settings typed into the playground."""

    values: dict[str, str]

    def snippets(self) -> dict[str, str]:
        """Type the settings, press the button; return the printed code by tool."""
        jar = http.cookiejar.CookieJar()
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        address = f"{self.store.url}/{self.repo}/playground"
        with opener.open(address, timeout=30) as answer:
            token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', answer.read().decode())
        assert token
        form = self.values | {"csrfmiddlewaretoken": token[1]}
        data = urllib.parse.urlencode(form).encode()
        request = urllib.request.Request(f"{address}/code", data, {"Referer": address})
        with opener.open(request, timeout=30) as answer:
            page = answer.read().decode()
        found = re.findall(r"<summary>(.*?)</summary>.*?<code>(.*?)</code>", page, re.DOTALL)
        return {title: html.unescape(code) for title, code in found}


@pytest.fixture(scope="module")
def printed(store: LiveStore, tmp_path_factory: pytest.TempPathFactory) -> Printed:
    name, token = store.person()
    repo = f"{name}/tiny-{secrets.token_hex(3)}"
    folder = save_tiny_gpt(tmp_path_factory.mktemp("code"))
    api = HfApi(endpoint=store.url, token=token)
    api.create_repo(repo)
    api.upload_folder(repo_id=repo, folder_path=folder)
    store.settled(repo, token)
    return Printed(store, repo, folder)


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
