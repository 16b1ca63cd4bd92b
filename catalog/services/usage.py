"""How people use a model with the tools they have: code that runs as it is printed.

File names are the publisher's: each is quoted for the language it is printed in, so that code
people paste never runs what a name says.
"""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from catalog.history.refs import DEFAULT_BRANCH
from catalog.models import ModelRepo

TOKEN = "hf_…"  # noqa: S105 - what stands where the reader puts an own token


class Snippet(NamedTuple):
    """One way to use a model."""

    title: str
    """The tool's name."""
    code: str


class _Target(NamedTuple):
    """What is to be loaded or fetched, and from where."""

    origin: str
    repo: ModelRepo
    weights: str
    """The first file of the weights; empty when there are none."""

    @property
    def name(self) -> str:
        return self.repo.full_name

    def url(self, door: str, path: str) -> str:
        return f"{self.origin}/{self.name}/{door}/{DEFAULT_BRANCH}/{quote(path)}"

    @property
    def token_line(self) -> str:
        """What a shell needs first, for a private, gated or sold model."""
        return f"export HF_TOKEN={TOKEN}\n" if self.needs_token else ""

    @property
    def curl_header(self) -> str:
        return ' -H "Authorization: Bearer $HF_TOKEN"' if self.needs_token else ""

    @property
    def needs_token(self) -> bool:
        return needs_token(self.repo)


def needs_token(repo: ModelRepo) -> bool:
    """Whether programs must say who they are before they get the files."""
    return repo.is_private or repo.is_sold or repo.gate != ModelRepo.Gate.NONE


def snippets(origin: str, repo: ModelRepo, facts: Mapping[str, Any]) -> list[Snippet]:
    """Return the ways to load and fetch the main revision, the most wanted first.

    Args:
        origin: Scheme and host the reader reached the store by.
        repo: The model.
        facts: ``ModelFacts.to_json()`` of its main revision; empty while nothing is known.
    """
    weights = list(facts.get("weights") or [])
    target = _Target(origin, repo, weights[0] if weights else "")
    return list(_all(target, facts))


def _all(target: _Target, facts: Mapping[str, Any]) -> Iterator[Snippet]:
    if facts.get("is_runnable"):
        yield Snippet("transformers", _language_model(target, facts))
    elif facts.get("not_runnable_code") == "no_text_generator":
        yield Snippet("transformers", _other_model(target))
    yield Snippet("hf", _hf(target))
    yield Snippet("huggingface_hub", _huggingface_hub(target))
    yield Snippet("git", _git(target))
    if target.weights:
        yield Snippet("curl", _curl(target))
        yield Snippet("git-lfs", _git_lfs(target))


def loading_code(
    origin: str,
    repo: ModelRepo,
    facts: Mapping[str, Any],
    *,
    also: str = "",
    revision: str = "",
) -> str:
    """Return the Python that loads ``tokenizer`` and ``model`` by transformers.

    Args:
        origin: Scheme and host of the store.
        repo: The model.
        facts: ``ModelFacts.to_json()`` of the revision.
        also: One more name to import from transformers.
        revision: Commit id; empty: the main revision.
    """
    weights = list(facts.get("weights") or [])
    target = _Target(origin, repo, weights[0] if weights else "")
    return _loading(target, facts, also=also, revision=revision)


def _loading(
    target: _Target, facts: Mapping[str, Any], *, also: str = "", revision: str = ""
) -> str:
    name = f'"{target.name}"'
    if revision:
        name += f', revision="{revision}"'
    positions = ""
    if target.weights.endswith(".gguf"):
        name += f", gguf_file={target.weights!r}"
        if facts.get("model_type") == "gpt2" and facts.get("context_length"):
            # transformers 5.23 reads it into a field that GPT-2 no longer has, and expects 1024
            positions = f", n_positions={int(facts['context_length'])}"
    names = ", ".join(["AutoModelForCausalLM", "AutoTokenizer", *([also] if also else [])])
    return (
        f"{_transformers(target, names)}"
        f"tokenizer = AutoTokenizer.from_pretrained({name})\n"
        f"model = AutoModelForCausalLM.from_pretrained({name}{positions})\n"
    )


def _language_model(target: _Target, facts: Mapping[str, Any]) -> str:
    return (
        f"{_loading(target, facts)}"
        'start = tokenizer("Once upon a time", return_tensors="pt")\n'
        "print(tokenizer.decode(model.generate(**start, max_new_tokens=40)[0]))"
    )


def _other_model(target: _Target) -> str:
    load = f'model = AutoModel.from_pretrained("{target.name}")'
    return f"{_transformers(target, 'AutoModel')}{load}"


def _transformers(target: _Target, names: str) -> str:
    """The lines before the first call: the library reads its settings when it is imported."""
    more = " gguf" if target.weights.endswith(".gguf") else ""
    token = f'os.environ["HF_TOKEN"] = "{TOKEN}"\n' if target.needs_token else ""
    return (
        f"# pip install transformers torch{more}\n"
        "import os\n\n"
        f'os.environ["HF_ENDPOINT"] = "{target.origin}"\n'
        f"{token}\n"
        f"from transformers import {names}\n\n"
    )


def _hf(target: _Target) -> str:
    return (
        f"export HF_ENDPOINT={target.origin}\n"
        f"{target.token_line}"
        f"hf download {target.name} --local-dir {target.repo.name}"
    )


def _huggingface_hub(target: _Target) -> str:
    token = f', token="{TOKEN}"' if target.needs_token else ""
    return (
        "from huggingface_hub import snapshot_download\n\n"
        f'print(snapshot_download("{target.name}", endpoint="{target.origin}"{token}))'
    )


def _curl(target: _Target) -> str:
    """Resumable: the same line goes on where a cut download ended."""
    file = shlex.quote(target.weights.rpartition("/")[2])
    url = target.url("resolve", target.weights)
    return f"{target.token_line}curl -fL -C - -o ./{file}{target.curl_header} {url}"


def _git(target: _Target) -> str:
    """A clone with its whole history; git-lfs brings the large files."""
    header = ""
    if target.needs_token:
        header = f' -c "http.{target.origin}.extraHeader=Authorization: Bearer $HF_TOKEN"'
    url = f"{target.origin}/{target.name}"
    return f"{target.token_line}git lfs install\ngit{header} clone {url}"


def _git_lfs(target: _Target) -> str:
    """The pointer of the file, exchanged for its bytes."""
    file = shlex.quote(target.weights.rpartition("/")[2])
    header = ""
    if target.needs_token:
        header = f' -c "http.{target.origin}.extraHeader=Authorization: Bearer $HF_TOKEN"'
    return (
        f"{target.token_line}"
        f"git init -q {target.repo.name} && cd {target.repo.name}\n"
        f"git config lfs.url {target.origin}/{target.name}.git/info/lfs\n"
        f"curl -fsL{target.curl_header} {target.url('raw', target.weights)} |"
        f" git{header} lfs smudge > ./{file}"
    )
