"""What a listing prints under "Use this model" works as it is printed."""

import html
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from tests.clients.models import save_tiny_gpt
from tests.live import LiveStore

BIN = Path(sys.executable).parent
TOOLS = ("hf", "git", "curl", "git-lfs")
GGUF = Path(__file__).parents[2] / "demo" / "models" / "regency" / "austen-gpt2-small-gguf"
"""A GPT-2 with fewer positions than transformers takes for granted."""


@dataclass
class Published:
    """A model in the store, and the folder it was made from."""

    store: LiveStore
    repo: str
    folder: Path
    token: str = ""
    """Given for a private model."""

    def snippets(self) -> dict[str, str]:
        """Read the listing as a person does; return the printed code by tool."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        request = urllib.request.Request(f"{self.store.url}/{self.repo}", headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            page = answer.read().decode()
        part = page[page.index('class="snippets') :]
        found = re.findall(r"<summary>(.*?)</summary>.*?<code>(.*?)</code>", part, re.DOTALL)
        return {title: html.unescape(code) for title, code in found}

    def run(self, tool: str, where: Path) -> str:
        """Paste the code for ``tool`` into a terminal in ``where``; return what it printed."""
        code = self.snippets()[tool]
        if self.token:
            assert "hf_…" in code
            code = code.replace("hf_…", self.token)
        return paste(tool, code, where)


def paste(tool: str, code: str, where: Path) -> str:
    """Paste the code for ``tool`` into a terminal in ``where``; return what it printed."""
    program = ["bash", "-ec"] if tool in TOOLS else [sys.executable, "-c"]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "STORE_", "GIT_"))}
    own = {
        "HF_HOME": str(where / "hf-home"),
        "HOME": str(where),
        "GIT_TERMINAL_PROMPT": "0",
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        [*program, code],
        cwd=where,
        env=kept | own,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module", params=["public", "private"])
def published(request, store: LiveStore) -> Iterator[Published]:
    is_private = request.param == "private"
    name, token = store.person()
    repo = f"{name}/tiny-{secrets.token_hex(3)}"
    folder = Path(tempfile.mkdtemp(prefix="usage-"))
    api = HfApi(endpoint=store.url, token=token)
    api.create_repo(repo, private=is_private)
    api.upload_folder(repo_id=repo, folder_path=save_tiny_gpt(folder))
    store.settled(repo, token)
    yield Published(store, repo, folder, token if is_private else "")
    shutil.rmtree(folder)


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_every_tool_is_shown(published: Published) -> None:
    assert list(published.snippets()) == [
        "transformers",
        "hf",
        "huggingface_hub",
        "git",
        "curl",
        "git-lfs",
    ]


def test_transformers(published: Published, tmp_path: Path) -> None:
    assert published.run("transformers", tmp_path).startswith("Once upon a time")


def test_hf(published: Published, tmp_path: Path) -> None:
    published.run("hf", tmp_path)

    folder = tmp_path / published.repo.rpartition("/")[2]
    for file in published.folder.iterdir():
        assert (folder / file.name).read_bytes() == file.read_bytes()


def test_huggingface_hub(published: Published, tmp_path: Path) -> None:
    snapshot = Path(published.run("huggingface_hub", tmp_path).strip())

    assert weights(snapshot) == weights(published.folder)


def test_curl_and_again_after_a_cut(published: Published, tmp_path: Path) -> None:
    published.run("curl", tmp_path)
    whole = weights(published.folder)
    file = tmp_path / "model.safetensors"
    assert file.read_bytes() == whole

    file.write_bytes(whole[: len(whole) // 3])
    published.run("curl", tmp_path)
    assert file.read_bytes() == whole


def test_git(published: Published, tmp_path: Path) -> None:
    published.run("git", tmp_path)

    folder = tmp_path / published.repo.rpartition("/")[2]
    for file in published.folder.iterdir():
        assert (folder / file.name).read_bytes() == file.read_bytes()


def test_git_lfs(published: Published, tmp_path: Path) -> None:
    published.run("git-lfs", tmp_path)

    assert weights(tmp_path / published.repo.rpartition("/")[2]) == weights(published.folder)


def test_transformers_with_a_gguf(store: LiveStore, tmp_path: Path) -> None:
    name, token = store.person()
    repo = f"{name}/gguf-{secrets.token_hex(3)}"
    api = HfApi(endpoint=store.url, token=token)
    api.create_repo(repo)
    api.upload_folder(repo_id=repo, folder_path=GGUF)
    store.settled(repo, token)

    printed = Published(store, repo, GGUF).run("transformers", tmp_path)

    assert printed.startswith("Once upon a time")
