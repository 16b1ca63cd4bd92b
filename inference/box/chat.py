"""Makes a prompt of a conversation by the model's own template, a stranger's program.

transformers runs it in Jinja's immutable sandbox. What the sandbox lets through (loops, large
texts) is bounded here in time and by the box in memory, so that it costs its own request.
"""

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from inference.box.conversation import MAX_MESSAGE_CHARS, ChatMessage
from inference.box.loading import LoadedModel, RefusedError, is_out_of_memory

RENDER_S = 2.0
"""Processor time a template has, in seconds: it stands still for everybody else who uses the model.
A busy machine takes none of it away."""
_INSTEAD = "Send a prompt instead of messages."


class _TooSlowError(BaseException):
    """No template can catch it."""


def rendered(loaded: LoadedModel, messages: Sequence[ChatMessage]) -> str:
    """Return the prompt for the assistant's next turn.

    Raises:
        RefusedError: ``no_chat_template``, or ``bad_template``: it fails, does not end, or makes
            too long a text.
    """
    if not loaded.has_chat_template:
        raise RefusedError("no_chat_template", f"This model has no chat template. {_INSTEAD}")
    turns = [message.model_dump() for message in messages]
    try:
        with _within(RENDER_S):
            text = loaded.tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=True
            )
    except _TooSlowError:
        raise _refusal(f"it did not end within {RENDER_S:g} seconds of work") from None
    except Exception as exc:
        if is_out_of_memory(exc):
            raise _refusal("it needs more memory than the box has") from exc
        lines = str(exc).strip().splitlines()[:1]
        raise _refusal(" ".join(lines)[:500] or type(exc).__name__) from exc
    if len(text) > MAX_MESSAGE_CHARS:
        raise _refusal(f"it made a prompt of {len(text)} characters")
    return str(text)


def _refusal(why: str) -> RefusedError:
    return RefusedError("bad_template", f"The model's chat template failed: {why}. {_INSTEAD}")


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Break off Python code that works longer; the main thread only, elsewhere it may take longer.

    One call into C (a huge repetition, say) is not broken off: memory and the box's own clock
    bound it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise _TooSlowError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
