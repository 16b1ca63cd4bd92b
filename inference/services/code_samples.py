"""The same generation in people's own programs: code that runs as it is printed.

Prompts are anybody's words: each is quoted for the language it is printed in.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from catalog.models import ModelRepo
from catalog.services.usage import TOKEN, Snippet, loading_code
from inference.box.conversation import Asked, ChatMessage
from inference.services.choosing_weights import tags_of
from inference.services.params import AskedParams

Messages = Sequence[ChatMessage]


def code_samples(
    origin: str,
    repo: ModelRepo,
    facts: Mapping[str, Any],
    asked: Asked,
    params: AskedParams,
    *,
    revision: str = "",
) -> list[Snippet]:
    """Return the code for one generation, the library first that needs no store to run.

    Args:
        origin: Scheme and host the reader reached the store by.
        repo: The model.
        facts: ``ModelFacts.to_json()`` of the revision; ``gguf_file`` the file that was chosen.
        asked: The prompt, or the messages of a conversation.
        params: How to sample.
        revision: Commit id; empty: the newest.
    """
    model = repo.full_name + (f"@{revision}" if revision else "")
    if chosen := facts.get("gguf_file"):
        model += f":{tags_of(facts['gguf_files'])[chosen]}"
    return [
        Snippet("transformers", _transformers(origin, repo, facts, asked, params, revision)),
        Snippet("openai", _openai(origin, model, asked, params)),
        Snippet("curl", _curl(origin, model, asked, params)),
    ]


def _transformers(
    origin: str,
    repo: ModelRepo,
    facts: Mapping[str, Any],
    asked: Asked,
    params: AskedParams,
    revision: str,
) -> str:
    is_drawn = params.temperature > 0
    load = loading_code(origin, repo, facts, also="set_seed" if is_drawn else "", revision=revision)
    lines = [load.rstrip("\n"), *_start(asked)]
    if is_drawn:
        lines.append(f"set_seed({params.seed})  # the store draws in another way: texts differ")
    has_penalties = bool(params.frequency_penalty or params.presence_penalty)
    lines += _penalties(params) if has_penalties else []
    lines += [
        "texts = model.generate(",
        "    **start,",
        *(["    logits_processor=penalties,"] if has_penalties else []),
        *(f"    {name}={value!r}," for name, value in _generate_values(params).items()),
        *(["    tokenizer=tokenizer,"] if params.stop else []),
        ")",
        "for text in texts:",
        '    new = text[start["input_ids"].shape[1] :]',
        "    print(tokenizer.decode(new, skip_special_tokens=True))",
    ]
    return "\n".join(lines)


def _start(asked: Asked) -> list[str]:
    if isinstance(asked, str):
        return [f"prompt = {_text(asked)}", 'start = tokenizer(prompt, return_tensors="pt")']
    return [
        f"messages = {_messages(asked)}",
        "start = tokenizer.apply_chat_template(",
        '    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True',
        ")",
    ]


def _penalties(params: AskedParams) -> list[str]:
    """Return the penalties ``generate`` does not know, as the box computes them."""
    return [
        "",
        "import torch",
        "from transformers import LogitsProcessor, LogitsProcessorList",
        "",
        "",
        "class Penalties(LogitsProcessor):",
        '    """Weakens what the new text has already."""',
        "",
        "    def __call__(self, input_ids, scores):",
        '        written = input_ids[:, start["input_ids"].shape[1] :]',
        "        ones = torch.ones_like(written, dtype=scores.dtype)",
        "        counts = torch.zeros_like(scores).scatter_add(1, written, ones)",
        f"        often = counts * {params.frequency_penalty!r}",
        f"        return scores - often - (counts > 0) * {params.presence_penalty!r}",
        "",
        "",
        "penalties = LogitsProcessorList([Penalties()])",
    ]


def _generate_values(params: AskedParams) -> dict[str, Any]:
    """Return the arguments of ``generate``; those that say nothing are left out."""
    values: dict[str, Any] = {"max_new_tokens": params.max_new_tokens}
    if params.temperature > 0:
        values |= {
            "do_sample": True,
            "temperature": params.temperature,
            "top_p": params.top_p,
            "top_k": params.top_k,
        }
        if params.num_sequences > 1:
            values["num_return_sequences"] = params.num_sequences
    else:
        values["do_sample"] = False
    if params.num_beams > 1:
        values |= _beam_values(params)
        values |= {"num_return_sequences": params.num_sequences} if params.num_sequences > 1 else {}
    if params.repetition_penalty != 1:
        values["repetition_penalty"] = params.repetition_penalty
    if params.logit_bias:
        values["sequence_bias"] = {(token,): bias for token, bias in params.logit_bias.items()}
    if params.stop:
        values["stop_strings"] = list(params.stop)
    return values


def _beam_values(params: AskedParams) -> dict[str, Any]:
    """Return what shapes a beam search; everybody calls it the same."""
    values: dict[str, Any] = {"num_beams": params.num_beams}
    if params.length_penalty != 1:
        values["length_penalty"] = params.length_penalty
    if params.early_stopping is not False:
        values["early_stopping"] = params.early_stopping
    return values


def _openai_values(params: AskedParams) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the protocol knows, and what goes beside it."""
    values: dict[str, Any] = {
        "max_tokens": params.max_new_tokens,
        "temperature": params.temperature,
        "top_p": params.top_p,
        "seed": params.seed,
    }
    if params.num_sequences > 1:
        values["n"] = params.num_sequences
    if params.stop:
        values["stop"] = list(params.stop)
    for name in ("frequency_penalty", "presence_penalty"):
        if penalty := getattr(params, name):
            values[name] = penalty
    if params.logit_bias:
        values["logit_bias"] = {str(token): bias for token, bias in params.logit_bias.items()}
    beside: dict[str, Any] = {"top_k": params.top_k}
    if params.num_beams > 1:
        for name in ("temperature", "top_p", "seed"):  # nothing is drawn
            del values[name]
        beside = _beam_values(params)
    if params.repetition_penalty != 1:
        beside["repetition_penalty"] = params.repetition_penalty
    return values, beside


def _openai(origin: str, model: str, asked: Asked, params: AskedParams) -> str:
    values, beside = _openai_values(params)
    is_prompt = isinstance(asked, str)
    said = _said(asked)
    return "\n".join(
        [
            "# pip install openai",
            "from openai import OpenAI",
            "",
            f'client = OpenAI(base_url="{origin}/v1", api_key="{TOKEN}")',
            f"answer = client.{'' if is_prompt else 'chat.'}completions.create(",
            f"    model={json.dumps(model)},",
            f"    {said},",
            *(f"    {name}={value!r}," for name, value in values.items()),
            f"    extra_body={beside!r},",
            ")",
            "for choice in answer.choices:",
            f"    print(choice.{'text' if is_prompt else 'message.content'})",
        ]
    )


def _curl(origin: str, model: str, asked: Asked, params: AskedParams) -> str:
    values, beside = _openai_values(params)
    is_prompt = isinstance(asked, str)
    said = asked if isinstance(asked, str) else [item.model_dump() for item in asked]
    name = "prompt" if is_prompt else "messages"
    body = {"model": model, name: said, **values, **beside}
    text = json.dumps(body, ensure_ascii=False, indent=2)
    door = "completions" if is_prompt else "chat/completions"
    return (
        f"export HF_TOKEN={TOKEN}\n"
        f"curl -sS {origin}/v1/{door} \\\n"
        '  -H "Authorization: Bearer $HF_TOKEN" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"  -d {shlex.quote(text)}"
    )


def _said(asked: Asked) -> str:
    if isinstance(asked, str):
        return f"prompt={_text(asked, 1)}"
    return f"messages={_messages(asked, 1)}"


def _text(text: str, depth: int = 0) -> str:
    """Return ``text`` as Python, one line of it in a line of code."""
    lines = text.splitlines(keepends=True)
    if len(lines) < 2:
        return repr(text)
    pad = "    " * depth
    inner = "\n".join(f"{pad}    {line!r}" for line in lines)
    return f"(\n{inner}\n{pad})"


def _messages(messages: Messages, depth: int = 0) -> str:
    """Return ``messages`` as Python, one in a line of code."""
    pad = "    " * depth
    inner = "\n".join(f"{pad}    {item.model_dump()!r}," for item in messages)
    return f"[\n{inner}\n{pad}]"
