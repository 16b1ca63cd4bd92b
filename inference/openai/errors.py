"""The store's errors as OpenAI's clients read them."""

from typing import Any

from inference.models import GenerationRun
from store.core.errors import StoreError

_STATUSES = {
    "model_refused": 400,
    "prompt_too_long": 400,
    "empty_prompt": 400,
    "no_chat_template": 400,
    "bad_template": 400,
    "unknown_token": 400,
    "too_many_probabilities": 400,
    "only_texts": 400,
    "box_timeout": 504,
    "box_busy": 503,
    "deleted": 404,
}
"""Codes of failed runs that are not the store's fault, or pass."""
FAILED_STATUS = 502
_CODES = {"prompt_too_long": "context_length_exceeded"}
"""Ours → what OpenAI's own clients branch on."""


class CompletionTimeoutError(StoreError):
    """No whole answer in time; the run was stopped."""

    code = "timeout"
    status = 504


class RunFailedError(StoreError):
    """The run failed; code and words are the run's own."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message or "The model failed. Try again, or try another model.")
        own: dict[str, Any] = {
            "code": _CODES.get(code, code or "failed"),
            "status": _STATUSES.get(code, FAILED_STATUS),
        }
        vars(self).update(own)


def failure_of(run: GenerationRun) -> RunFailedError:
    """Return why a run has no answer."""
    if run.state == GenerationRun.State.CANCELLED:
        return RunFailedError("cancelled", "The run was stopped.")
    return RunFailedError(run.error_code, run.error)
