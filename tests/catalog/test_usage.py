"""Code that people paste never runs what a publisher's file name says."""

import ast
import subprocess
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.services.usage import snippets

OPEN = {"full_name": "ann/gpt", "name": "gpt", "is_private": False, "is_sold": False}
REPO = SimpleNamespace(**OPEN, gate="none")
SECRET = SimpleNamespace(**OPEN | {"is_private": True}, gate="none")
NASTY = ["$(touch x).gguf", "a';touch x;'.gguf", "-rf.gguf", '"`id`".gguf', "ü b/c\\d.gguf"]
names = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).map(
    lambda text: text.replace("/", "-").strip() + ".gguf"
)


def printed(path: str, repo: object = REPO) -> dict[str, str]:
    facts = {"weights": [path], "is_runnable": True}
    return dict(snippets("http://store", repo, facts))  # type: ignore[arg-type]


def arguments(code: str) -> list[str]:
    """Run the shell line with a curl that only tells its arguments."""
    script = "curl() { printf '%s\\0' \"$@\"; }\n" + code
    done = subprocess.run(
        ["bash", "-ec", script], capture_output=True, text=True, timeout=20, check=True
    )
    return done.stdout.split("\0")[:-1]


@pytest.mark.parametrize("path", NASTY)
def test_nasty_names_in_a_shell(path: str) -> None:
    said = arguments(printed(path)["curl"])

    assert said[said.index("-o") + 1] == "./" + path.rpartition("/")[2]
    assert unquote(said[-1]) == f"http://store/ann/gpt/resolve/main/{path}"


@given(names)
def test_any_name_in_python(path: str) -> None:
    tree = ast.parse(printed(path)["transformers"])

    calls = [node for node in ast.walk(tree) if isinstance(node, ast.keyword)]
    values = [call.value.value for call in calls if call.arg == "gguf_file"]  # type: ignore[attr-defined]
    assert values == [path, path]


@pytest.mark.parametrize("changes", [{"gate": "auto"}, {"gate": "none", "is_sold": True}])
def test_a_gated_or_sold_model_names_the_token_too(changes: dict[str, Any]) -> None:
    closed: Any = SimpleNamespace(**OPEN | changes)

    assert [each.code for each in snippets("https://s.test", closed, {})] == [
        each.code for each in snippets("https://s.test", SECRET, {})
    ]


def test_a_private_model_names_the_token_to_fill_in() -> None:
    assert all("hf_…" in code for code in printed("model.safetensors", SECRET).values())
    assert not any("hf_…" in code for code in printed("model.safetensors").values())


def test_what_cannot_run_or_is_not_known_yet() -> None:
    def titles(facts: dict) -> list[str]:
        return [snippet.title for snippet in snippets("http://store", REPO, facts)]  # type: ignore[arg-type]

    assert titles({}) == ["hf", "huggingface_hub", "git"]
    bert = {"weights": ["model.safetensors"], "not_runnable_code": "no_text_generator"}
    (code, *_) = snippets("http://store", REPO, bert)  # type: ignore[arg-type]
    assert 'AutoModel.from_pretrained("ann/gpt")' in code.code
    assert titles(bert | {"not_runnable_code": "remote_code"})[0] == "hf"


def test_only_a_gpt2_in_a_gguf_needs_its_positions_told() -> None:
    facts = {"weights": ["a.gguf"], "is_runnable": True, "context_length": 256}

    def code(more: dict) -> str:
        return snippets("http://store", REPO, facts | more)[0].code  # type: ignore[arg-type]

    assert "from_pretrained(\"ann/gpt\", gguf_file='a.gguf', n_positions=256)" in code(
        {"model_type": "gpt2"}
    )
    assert "n_positions" not in code({"model_type": "llama"})
    assert "n_positions" not in code({"model_type": "gpt2", "weights": ["a.safetensors"]})
