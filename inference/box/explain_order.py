"""In which order a box may explain a text. Never imports torch."""

from inference.box.explain_messages import (
    CHANCES_AT_ONCE,
    MAX_CHANCES,
    MAX_WALK_TOKENS,
    AttentionEvent,
    ChancesEvent,
    ExplainedEvent,
    ExplainRequest,
    LensEvent,
    PiecesEvent,
    ReadEvent,
    SaliencyEvent,
    WalkEvent,
)
from inference.box.protocol import Event


class ExplainOrder:
    """How it was read; every token; what was asked for, all of it, in order; the end."""

    def __init__(self, request: ExplainRequest) -> None:
        self._request = request
        self._read: ReadEvent | None = None
        self._pieces = 0
        self._told = 0

    def is_last(self, event: Event) -> bool:
        """Whether nothing may follow."""
        return isinstance(event, ExplainedEvent)

    def accepts(self, event: Event) -> bool:
        """Whether ``event`` may come now."""
        if isinstance(event, ReadEvent):
            is_first, self._read = self._read is None, event
            return is_first and self._is_sound(event)
        if self._read is None:
            return False
        if isinstance(event, PiecesEvent):
            is_next = event.first == self._pieces
            self._pieces += len(event.texts)
            return is_next and self._pieces <= self._read.tokens
        if self._pieces != self._read.tokens:
            return False
        if isinstance(event, ExplainedEvent):
            return self._told == self._wanted(self._read)
        return self._accepts_answer(event, self._read)

    def _is_sound(self, read: ReadEvent) -> bool:
        asked = self._request
        return (
            read.prompt_tokens <= read.tokens
            and read.target < read.tokens
            and (asked.target is None or read.target == asked.target)
            and read.tokens - MAX_CHANCES <= read.chances_from <= read.tokens
            and (asked.kind != "walk" or read.tokens <= MAX_WALK_TOKENS)
        )

    def _wanted(self, read: ReadEvent) -> int:
        """Return how many answers of the kind there must be."""
        if self._request.kind == "tokens":
            return read.tokens - read.chances_from
        return read.layers + 1 if self._request.kind == "lens" else 1

    def _accepts_answer(self, event: Event, read: ReadEvent) -> bool:
        kind, told = self._request.kind, self._told
        if isinstance(event, ChancesEvent):
            self._told += len(event.chances)
            return (
                kind == "tokens"
                and event.first == read.chances_from + told
                and self._told <= self._wanted(read)
                and len(event.chances) <= CHANCES_AT_ONCE
                and all(len(chance.top) <= self._request.top for chance in event.chances)
            )
        self._told += 1
        if isinstance(event, LensEvent):
            return kind == "lens" and event.layer == told <= read.layers
        if told:
            return False
        if isinstance(event, SaliencyEvent):
            return kind == "saliency" and len(event.shares) == len(event.effects) == read.target
        if isinstance(event, WalkEvent):
            return kind == "walk" and self._is_whole_walk(event, read.tokens)
        return isinstance(event, AttentionEvent) and kind == "attention" and _fits(event, read)

    @staticmethod
    def _is_whole_walk(event: WalkEvent, tokens: int) -> bool:
        sides = {len(row) for row in event.attention}
        return (
            len(event.embeddings) == tokens
            and len(event.attention) in {0, tokens}
            and sides <= {tokens}
        )


def _fits(event: AttentionEvent, read: ReadEvent) -> bool:
    return (
        event.first + event.window <= read.tokens
        and event.side == -(-event.window // event.cell)
        and len(event.cells) == 4 * -(-(event.side * event.side) // 3)
        and all(each.position <= read.target for each in event.looked)
    )
