"""A box for tests whose subject is not the box."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

from inference.box.conversation import TokenPrompt
from inference.box.echo_messages import EchoToken
from inference.box.protocol import DoneEvent, EndedEvent, StartedEvent, TokenEvent


class FakeBox:
    """Speaks like ``inference.box.client.Box``; writes ``texts``, one piece a token.

    Attributes:
        texts: Pieces of each sequence.
        before_token: Called with the number of tokens so far before each token.
        cancelled: Set by ``cancel``; the generation then ends after the token it is at.
        error: Raised instead of the end.
        asked: Prompts and parameters that came.
    """

    card_bytes = 0

    def __init__(self) -> None:
        self.texts: list[list[str]] = [["Hello", ",", " world"]]
        self.before_token: Callable[[int], None] = lambda _count: None
        self.cancelled = threading.Event()
        self.error: Exception | None = None
        self.asked: list[tuple[Any, Any, str]] = []
        self.starts = 0
        self.is_alive = True

    def started(self) -> "FakeBox":
        """Count a start."""
        self.starts += 1
        self.is_alive = True
        return self

    def generate(self, prompt: Any, params: Any, *, request_id: str) -> Iterator[Any]:
        """See ``Box.generate``."""
        self.asked.append((prompt, params, request_id))
        words = self._count(prompt)
        yield StartedEvent(id=request_id, prompt_tokens=words, max_new_tokens=params.max_new_tokens)
        counts = [0] * len(self.texts)
        for number in range(max(map(len, self.texts), default=0)):
            for sequence, pieces in enumerate(self.texts):
                if number < len(pieces) and not self.cancelled.is_set():
                    self.before_token(sum(counts))
                    counts[sequence] += 1
                    yield TokenEvent(
                        id=request_id,
                        sequence=sequence,
                        number=number,
                        token_id=1,
                        text=pieces[number],
                    )
        if self.error:
            self.is_alive = False
            raise self.error
        reason = "cancelled" if self.cancelled.is_set() else "length"
        for sequence, count in enumerate(counts):
            yield EndedEvent(
                id=request_id, sequence=sequence, finish_reason=reason, new_tokens=count, text=""
            )
        yield DoneEvent(
            id=request_id,
            prompt_tokens=words,
            new_tokens=sum(counts),
            first_token_s=0.25,
            generate_s=0.5,
            rss_bytes=1,
        )

    def _count(self, prompt: Any) -> int:
        if isinstance(prompt, TokenPrompt):
            return len(prompt.ids)
        said = prompt if isinstance(prompt, str) else " ".join(turn.content for turn in prompt)
        return len(said.split())

    def echo(self, asked: Any, *, top: int | None, request_id: str) -> Iterator[Any]:
        """See ``Box.echo``; for tokens only."""
        for token_id in asked.ids:
            yield EchoToken(token_id=token_id, token=f"<{token_id}>", text=f"<{token_id}>")

    def cancel(self, _request_id: str) -> None:
        """See ``Box.cancel``."""
        self.cancelled.set()

    def rss_bytes(self) -> int:
        """See ``Box.rss_bytes``."""
        return 1

    def close(self) -> None:
        """See ``Box.close``."""
        self.is_alive = False
