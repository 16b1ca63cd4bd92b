"""Code for one generation: it says what the form says, and quotes what strangers wrote."""

import ast
import json
import shlex
from typing import Any

import pytest
from django.test import Client

from catalog.models import ModelRepo
from inference.services.code_samples import code_samples
from inference.services.params import messages_of, read_params

ORIGIN = "http://store.test"
EVIL = "x'\"\\ $(touch /tmp/pwned) `id` \n'''\"\"\" \u2028 end"
HTML = {"Accept": "text/html,application/xhtml+xml"}


def samples(repo: ModelRepo, asked: Any = "Once", **values: Any) -> dict[str, str]:
    params = read_params({"max_new_tokens": 8, "seed": 7, **values})
    found = code_samples(ORIGIN, repo, {"weights": ["model.safetensors"]}, asked, params)
    return {sample.title: sample.code for sample in found}


def test_penalties_and_biases_are_in_every_code(tiny_repo: ModelRepo) -> None:
    found = samples(
        tiny_repo, frequency_penalty=0.5, presence_penalty=-1, logit_bias={5: -100, 7: 2}
    )

    asked = call_of(found["transformers"], "generate")
    assert asked["sequence_bias"] == {(5,): -100.0, (7,): 2.0}
    assert "counts * 0.5" in found["transformers"]
    assert "(counts > 0) * -1.0" in found["transformers"]
    for told in (call_of(found["openai"], "completions.create"), body_of(found["curl"])):
        assert (told["frequency_penalty"], told["presence_penalty"]) == (0.5, -1.0)
        assert told["logit_bias"] == {"5": -100.0, "7": 2.0}
    plain = samples(tiny_repo)
    assert not any("penalt" in code or "bias" in code for code in plain.values())


def call_of(code: str, name: str) -> dict[str, Any]:
    """The arguments of the call of a function whose name ends so, where they are constants."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(name):
            pairs = {word.arg: word.value for word in node.keywords if word.arg}
            return {
                key: ast.literal_eval(value)
                for key, value in pairs.items()
                if not isinstance(value, ast.Name)
            }
    raise AssertionError(f"no call of {name}")


def body_of(code: str) -> dict[str, Any]:
    """What curl would send."""
    words = shlex.split(code.replace("\\\n", " "))
    body: dict[str, Any] = json.loads(words[words.index("-d") + 1])
    return body


def test_greedy_needs_neither_seed_nor_draw(tiny_repo: ModelRepo) -> None:
    code = samples(tiny_repo, temperature=0, top_p=1, top_k=0)["transformers"]

    assert call_of(code, "generate") == {"max_new_tokens": 8, "do_sample": False}
    assert "set_seed" not in code
    assert f'os.environ["HF_ENDPOINT"] = "{ORIGIN}"' in code
    assert "HF_TOKEN" not in code


def test_every_setting_is_in_every_sample(tiny_repo: ModelRepo) -> None:
    values = {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "repetition_penalty": 1.2,
        "num_sequences": 3,
        "stop": ["\n", "END"],
    }
    found = samples(tiny_repo, **values)

    assert call_of(found["transformers"], "generate") == {
        "max_new_tokens": 8,
        "do_sample": True,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "repetition_penalty": 1.2,
        "num_return_sequences": 3,
        "stop_strings": ["\n", "END"],
    }
    assert "set_seed(7)" in found["transformers"]
    said = {
        "model": "alice/tiny",
        "prompt": "Once",
        "max_tokens": 8,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 7,
        "n": 3,
        "stop": ["\n", "END"],
    }
    beside = {"top_k": 40, "repetition_penalty": 1.2}
    assert call_of(found["openai"], "completions.create") == said | {"extra_body": beside}
    assert f'base_url="{ORIGIN}/v1"' in found["openai"]
    assert body_of(found["curl"]) == said | beside
    assert f"{ORIGIN}/v1/completions" in found["curl"]


def test_a_conversation_goes_to_the_chat_door(tiny_repo: ModelRepo) -> None:
    messages = [{"role": "system", "content": "Be short."}, {"role": "user", "content": EVIL}]

    found = samples(tiny_repo, messages_of(messages))

    assert call_of(found["openai"], "chat.completions.create")["messages"] == messages
    assert body_of(found["curl"])["messages"] == messages
    assert "/v1/chat/completions" in found["curl"]
    assert "apply_chat_template(" in found["transformers"]
    ast.parse(found["transformers"])


def test_a_prompt_stays_a_prompt(tiny_repo: ModelRepo) -> None:
    found = samples(tiny_repo, EVIL)

    tree = ast.parse(found["transformers"])
    assigned = [
        node
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "prompt"
    ]
    assert ast.literal_eval(assigned[0].value) == EVIL
    assert call_of(found["openai"], "create")["prompt"] == EVIL
    assert body_of(found["curl"])["prompt"] == EVIL


def test_what_is_not_free_for_all_needs_a_token(tiny_repo: ModelRepo) -> None:
    tiny_repo.is_private = True

    assert 'os.environ["HF_TOKEN"] = "hf_…"' in samples(tiny_repo)["transformers"]


def test_the_page_and_the_fragment(tiny_repo: ModelRepo, client: Client) -> None:
    form = {"prompt": "Once <b>", "preset": "exact", "max_new_tokens": 8}

    page = client.post("/alice/tiny/playground/code", form, headers=HTML)
    fragment = client.post("/alice/tiny/playground/code", form, headers={"HX-Request": "true"})

    for text in (page.content.decode(), fragment.content.decode()):
        assert "do_sample=False" in text
        assert "Once &lt;b&gt;" in text
        assert "http://testserver/v1" in text
    assert "<html" in page.content.decode()
    assert "<html" not in fragment.content.decode()


@pytest.mark.parametrize("wrong", [{"prompt": ""}, {"prompt": "x", "temperature": "9"}])
def test_what_cannot_be_asked_is_said(
    tiny_repo: ModelRepo, client: Client, wrong: dict[str, str]
) -> None:
    answer = client.post("/alice/tiny/playground/code", {"preset": "custom"} | wrong)

    assert answer.status_code == 200
    assert "Some values cannot be used" in answer.content.decode()
    assert "generate(" not in answer.content.decode()


def test_a_hidden_model_has_no_code(tiny_repo: ModelRepo, client: Client) -> None:
    ModelRepo.objects.update(is_private=True)

    assert client.post("/alice/tiny/playground/code", {"prompt": "x"}).status_code == 404
