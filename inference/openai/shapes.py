"""Answers in the shapes of OpenAI's API."""

from collections.abc import Sequence
from typing import Any, Literal

from inference.models import GenerationRun
from inference.services.told import Told

Kind = Literal["completion", "chat"]
_PREFIX: dict[Kind, str] = {"completion": "cmpl", "chat": "chatcmpl"}
_OBJECT: dict[tuple[Kind, bool], str] = {
    ("completion", False): "text_completion",
    ("completion", True): "text_completion",
    ("chat", False): "chat.completion",
    ("chat", True): "chat.completion.chunk",
}
_REASONS = {"time_limit": "length", "cancelled": "stop", "": "stop"}
"""The store's reasons → the nearest that clients know."""
Json = dict[str, Any]


def head(run: GenerationRun, kind: Kind, model: str, *, is_chunk: bool) -> Json:
    """Return what every answer and every piece of a stream begins with.

    Args:
        run: Which run.
        kind: Of the answer.
        model: As the caller named it.
        is_chunk: A piece of a stream.
    """
    return {
        "id": f"{_PREFIX[kind]}-{run.public_id}",
        "object": _OBJECT[kind, is_chunk],
        "created": int(run.created_at.timestamp()),
        "model": model,
        "system_fingerprint": run.commit_oid,
    }


def reason(word: str) -> str:
    """Return a finish reason clients know."""
    return _REASONS.get(word, word)


def usage(prompt_tokens: int, new_tokens: int) -> Json:
    """Return what was used."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": new_tokens,
        "total_tokens": prompt_tokens + new_tokens,
    }


def whole(made: Sequence[GenerationRun], kind: Kind, model: str, *, echo: bool = False) -> Json:
    """Return the answer to a call.

    Args:
        made: Its runs, ended, in the order of its prompts.
        kind: Of the answer.
        model: As the caller named it.
        echo: Put the prompt before each text of a completion, and its tokens before the text's.
    """
    choices: list[Json] = []
    for run in made:
        for place, text in enumerate(run.texts):
            tokens = run.tokens[place] if place < len(run.tokens) else None
            words = run.finish_reasons[place] if place < len(run.finish_reasons) else ""
            if kind == "chat":
                message = {"role": "assistant", "content": text, "refusal": None}
                body: Json = {"message": message, "logprobs": chat_logprobs(tokens)}
            else:
                body = _text(run, text, tokens, echo=echo)
            choices.append({"index": len(choices), "finish_reason": reason(words), **body})
    prompt_tokens = sum(run.prompt_tokens for run in made)
    new_tokens = sum(run.new_tokens for run in made)
    answer = head(made[0], kind, model, is_chunk=False)
    return answer | {"choices": choices, "usage": usage(prompt_tokens, new_tokens)}


def _text(run: GenerationRun, text: str, tokens: list[Told] | None, *, echo: bool) -> Json:
    """Return one choice of a completion."""
    if not echo:
        return {"text": text, "logprobs": text_logprobs(tokens)}
    told = [*run.prompt_told, *(tokens or [])] if run.prompt_told else None
    return {"text": run.prompt + text, "logprobs": text_logprobs(told)}


def chat_logprobs(tokens: Sequence[Told] | None) -> Json | None:
    """Return probabilities as chats tell them; ``None``: they were not asked for."""
    if tokens is None:
        return None
    content = [
        _chat_token(each) | {"top_logprobs": [_chat_token(other) for other in each["top"]]}
        for each in tokens
    ]
    return {"content": content, "refusal": None}


def _chat_token(token: Told) -> Json:
    text = token["token"]
    is_whole = "\N{REPLACEMENT CHARACTER}" not in text
    return {
        "token": text,
        "logprob": token["logprob"],
        "bytes": list(text.encode()) if is_whole else None,
    }


def text_logprobs(tokens: Sequence[Told] | None, *, offset: int = 0) -> Json | None:
    """Return probabilities as completions tell them; ``None``: they were not asked for.

    Args:
        tokens: Of one text, or of a piece of it.
        offset: Characters of the text before them.
    """
    if tokens is None:
        return None
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token["text"])
    return {
        "tokens": [token["token"] for token in tokens],
        "token_logprobs": [token["logprob"] for token in tokens],
        "top_logprobs": [
            None
            if token["logprob"] is None  # the first of a prompt
            else {other["token"]: other["logprob"] for other in reversed(token["top"])}
            for token in tokens
        ],
        "text_offset": offsets,
    }
