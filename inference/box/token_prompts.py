"""Prompts that come as tokens, not as text: read as they are, nothing added."""

from collections.abc import Sequence

from inference.box.loading import LoadedModel, RefusedError
from inference.box.protocol import GenerateRequest
from inference.box.sequences import Running, running_of


def any_running_of(loaded: LoadedModel, request: GenerateRequest, *, arrived: float) -> Running:
    """Make room for the answers to a prompt of either kind.

    Raises:
        RefusedError: a token is unknown, or as :func:`~inference.box.sequences.running_of`.
    """
    if request.prompt_ids is None:
        return running_of(loaded, request, arrived=arrived)
    ids = given_ids(loaded, request.prompt_ids)
    room = loaded.context_tokens - len(ids)
    if room < 1:
        raise RefusedError(
            "prompt_too_long",
            f"The prompt has {len(ids)} tokens; this model reads {loaded.context_tokens - 1} at"
            " most and needs room for an answer. Shorten it.",
        )
    biases = request.params.logit_bias
    if biases and max(biases) >= loaded.scored:
        raise RefusedError(
            "unknown_token",
            f"logit_bias names token {max(biases)}; this model has {loaded.scored}.",
        )
    most = min(request.params.max_new_tokens, room)
    return Running(request.id, loaded, request.params, ids, most, arrived)


def given_ids(loaded: LoadedModel, ids: Sequence[int]) -> list[int]:
    """Return tokens that were given, if the model knows all of them.

    Raises:
        RefusedError: it does not.
    """
    if max(ids) >= loaded.vocabulary:
        raise RefusedError(
            "unknown_token",
            f"The prompt names token {max(ids)}; this model has {loaded.vocabulary}.",
        )
    return list(ids)
