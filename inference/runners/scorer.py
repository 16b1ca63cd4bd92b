"""What an evaluation asks of a model, and a box that answers it.

One text at a time: a batch pads and adds up in another order, and the last digits of a score would
depend on which texts stood together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from inference.box.asking import PairItem, RollingItem, ScoreEvent, ScoreRequest
from inference.box.client import Box
from inference.box.conversation import Asked
from inference.box.params import MAX_NEW_TOKENS, MAX_STOP_CHARS, MAX_STOPS, SamplingParams
from inference.box.protocol import DoneEvent, EndedEvent, StartedEvent, TokenEvent
from inference.harness.client import TaskFailedError
from store.core.ids import new_public_id

BATCH = 1
_ITEMS_AT_ONCE = 16
_CHARS_AT_ONCE = 200_000


@dataclass(frozen=True, slots=True)
class Scored:
    """How likely a text is: ``logprob`` natural, over ``tokens`` tokens.

    ``is_greedy``: each of its tokens is the likeliest in its place.
    """

    logprob: float
    is_greedy: bool
    tokens: int


@dataclass(frozen=True, slots=True)
class Continuation:
    """What a model wrote after a prompt."""

    text: str
    tokens: tuple[str, ...]
    """The text in the pieces it came in, one for each token."""
    finish_reason: str
    prompt_tokens: int
    first_token_s: float
    generate_s: float


class Scorer(Protocol):
    """A model as evaluations see it."""

    @property
    def takes_messages(self) -> bool:
        """Whether it has a chat template."""

    def pairs(self, pairs: Sequence[tuple[str, str]]) -> list[Scored]:
        """Score each continuation after its context."""

    def rolling(self, texts: Sequence[str]) -> list[Scored]:
        """Score whole texts, window by window."""

    def write(self, asked: Asked, params: SamplingParams) -> Continuation:
        """Go on from a prompt, or answer messages; a prompt too long loses its beginning."""


class BoxScorer:
    """A box as a ``Scorer``.

    Args:
        box: With the model loaded.
        check: Called between requests; raises to stop.
    """

    def __init__(self, box: Box, check: Callable[[], None]) -> None:
        self._box = box
        self._check = check
        self.ends: list[DoneEvent] = []
        """How each text it had written ended, as the box told it."""
        self.scored_tokens = 0
        """Tokens of texts it had scored."""

    @property
    def takes_messages(self) -> bool:
        """See ``Scorer``."""
        return self._box.facts.has_chat_template

    def pairs(self, pairs: Sequence[tuple[str, str]]) -> list[Scored]:
        """See ``Scorer``."""
        return self._scores([PairItem(context=a, continuation=b) for a, b in pairs])

    def rolling(self, texts: Sequence[str]) -> list[Scored]:
        """See ``Scorer``."""
        return self._scores([RollingItem(rolling=text) for text in texts])

    def write(self, asked: Asked, params: SamplingParams) -> Continuation:
        """See ``Scorer``.

        Raises:
            ModelRefusedError: the chat template fails, or makes too long a prompt of messages.
        """
        self._check()
        pieces: list[str] = []
        text, reason, prompt_tokens, first_s, all_s = "", "", 0, 0.0, 0.0
        for event in self._box.generate(
            asked, params, request_id=f"e{new_public_id()}", left_truncate=True
        ):
            if isinstance(event, StartedEvent):
                prompt_tokens = event.prompt_tokens
            elif isinstance(event, TokenEvent):
                pieces.append(event.text)
                text += event.text
            elif isinstance(event, EndedEvent):
                reason = event.finish_reason
                text += event.text
            elif isinstance(event, DoneEvent):
                first_s, all_s = event.first_token_s, event.generate_s
                self.ends.append(event)
        return Continuation(text, tuple(pieces), reason, prompt_tokens, first_s, all_s)

    def _scores(self, items: Sequence[PairItem | RollingItem]) -> list[Scored]:
        found: list[Scored] = []
        for group in _groups(items):
            self._check()
            request = ScoreRequest(id=f"e{new_public_id()}", items=tuple(group))
            found += [
                Scored(event.logprob, event.is_greedy, event.tokens)
                for event in self._box.ask(request)
                if isinstance(event, ScoreEvent)
            ]
            self.scored_tokens += sum(each.tokens for each in found[-len(group) :])
        return found


def _groups(items: Sequence[PairItem | RollingItem]) -> list[list[PairItem | RollingItem]]:
    """Split into requests that are small enough to be stopped between them."""
    groups: list[list[PairItem | RollingItem]] = []
    chars = 0
    for item in items:
        chars += item.chars
        if not groups or len(groups[-1]) == _ITEMS_AT_ONCE or chars > _CHARS_AT_ONCE:
            groups.append([])
            chars = item.chars
        groups[-1].append(item)
    return groups


def answer_harness(scorer: Scorer, ask: str, requests: list[Any]) -> list[Any]:
    """Answer what lm-evaluation-harness asks of a model; see ``inference.harness.child``.

    Raises:
        TaskFailedError: the task wants something the store's boxes do not do.
    """
    if ask == "loglikelihood":
        scored = scorer.pairs([(context, continuation) for context, continuation in requests])
        return [[each.logprob, each.is_greedy] for each in scored]
    if ask == "loglikelihood_rolling":
        return [each.logprob for each in scorer.rolling(requests)]
    return [scorer.write(wanted["prompt"], _params(wanted)).text for wanted in requests]


def _params(wanted: dict[str, Any]) -> SamplingParams:
    if wanted["max_new_tokens"] > MAX_NEW_TOKENS:
        raise TaskFailedError(
            f"The task wants answers of {wanted['max_new_tokens']} tokens; {MAX_NEW_TOKENS} is"
            " the most."
        )
    stops = [stop for stop in wanted["stop"] if 0 < len(stop) <= MAX_STOP_CHARS]
    return SamplingParams(
        max_new_tokens=wanted["max_new_tokens"],
        temperature=wanted["temperature"],
        top_p=wanted["top_p"] or 1.0,
        top_k=wanted["top_k"],
        stop=tuple(stops[:MAX_STOPS]),  # the harness itself cuts at the others
        seed=0,
    )
