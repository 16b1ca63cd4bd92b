"""Questions about a text a model has read or written, and their answers.

All positions are places of tokens in the whole text, from 0. The answers come in this order:
``ReadEvent``; the tokens themselves in ``PiecesEvent``; what was asked for; ``ExplainedEvent``.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from inference.box.messages import Alternative, Count, Logprob, Message, RequestId, Seconds, TokenId
from inference.box.prompted import ReadingRequest

MAX_EXPLAIN_TOKENS = 2048
MAX_EXPLAIN_CHARS = 40_000
MAX_CHANCES = 1280
"""Tokens whose chances are told: the answer's, and of the prompt the last before it."""
MAX_PROMPT_CHANCES = 256
"""Of them, the prompt's; the answer is what people ask about."""
MAX_TOP = 10
TILE = 64
"""Cells of a tile of attention in each direction."""
MAX_LAYERS = 512
MAX_HEADS = 512
MAX_WALK_TOKENS = 32
WALK_DIMENSIONS = 8
WALK_TOP = 20
TEMPERATURES = (0.2, 0.5, 0.7, 0.85, 1.0, 1.25, 1.5, 2.0)
WALK_DRAWS = 10
PIECES_AT_ONCE = 128
CHANCES_AT_ONCE = 16

Kind = Literal["tokens", "saliency", "attention", "lens", "walk"]
Position = Annotated[int, Field(ge=0, lt=MAX_EXPLAIN_TOKENS)]
TokenText = Annotated[str, Field(max_length=64, pattern=r"^[^\x00]*$")]
Share = Annotated[float, Field(ge=0.0, le=1.0 + 1e-5)]
Real = Annotated[float, Field(ge=-1e12, le=1e12)]


class ExplainRequest(ReadingRequest):
    """Explain a text: how likely its tokens were, what a token came from, what layers thought.

    What stands before the answer is read as it was when the answer was written.
    """

    request: Literal["explain"] = "explain"
    kind: Kind
    prompt: Annotated[str, Field(max_length=MAX_EXPLAIN_CHARS)] = ""
    answer: Annotated[str, Field(max_length=MAX_EXPLAIN_CHARS)] = ""
    """As generated; it is cut into tokens anew unless ``answer_ids`` has them."""
    answer_ids: Annotated[tuple[TokenId, ...], Field(max_length=MAX_EXPLAIN_TOKENS)] | None = None
    top: Annotated[int, Field(ge=0, le=MAX_TOP)] = 5
    """Alternatives for each token."""
    target: Position | None = None
    """The token that is explained; by default the first of the answer, else the last."""
    layer: Annotated[int, Field(ge=0, lt=MAX_LAYERS)] = 0
    head: Annotated[int, Field(ge=0, lt=MAX_HEADS)] | Literal["mean", "max"] = "mean"
    """Of the layer; or all of them, averaged, or the strongest of each cell."""
    pool: Literal["mean", "max"] = "max"
    """What a cell tells that stands for several tokens."""
    first: Position = 0
    """First token of the window of attention, as row and as column."""
    window: Annotated[int, Field(ge=1, le=MAX_EXPLAIN_TOKENS)] | None = None
    """Tokens of the window; ``None``: all."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Of the draws of a walk."""


class ReadEvent(Message):
    """How the text was read."""

    event: Literal["explain_read"] = "explain_read"
    id: RequestId
    prompt_tokens: Annotated[int, Field(ge=0, le=MAX_EXPLAIN_TOKENS)]
    tokens: Annotated[int, Field(ge=1, le=MAX_EXPLAIN_TOKENS)]
    """Of prompt and answer."""
    layers: Annotated[int, Field(ge=0, le=MAX_LAYERS)]
    heads: Annotated[int, Field(ge=0, le=MAX_HEADS)]
    target: Position
    """The token that is explained, where one is."""
    chances_from: Position
    """First token whose chances are told."""


class PiecesEvent(Message):
    """Some tokens, in order."""

    event: Literal["explain_pieces"] = "explain_pieces"
    id: RequestId
    first: Position
    token_ids: Annotated[list[TokenId], Field(min_length=1, max_length=PIECES_AT_ONCE)]
    texts: Annotated[list[TokenText], Field(min_length=1, max_length=PIECES_AT_ONCE)]

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.token_ids) != len(self.texts):
            raise ValueError("Each token has a text.")
        return self


class Chance(Message):
    """How likely a token was, given what stands before it."""

    logprob: Logprob
    rank: Annotated[int, Field(ge=1, le=2**31)]
    """1: the likeliest."""
    top: Annotated[list[Alternative], Field(max_length=MAX_TOP)]


class ChancesEvent(Message):
    """How likely some tokens were, in order."""

    event: Literal["explain_chances"] = "explain_chances"
    id: RequestId
    first: Position
    chances: Annotated[list[Chance], Field(min_length=1, max_length=CHANCES_AT_ONCE)]


class SaliencyEvent(Message):
    """What each token before the target did for its score, in order; all of them at once."""

    event: Literal["explain_saliency"] = "explain_saliency"
    id: RequestId
    logit: Real
    """The target's score, which was traced back."""
    shares: Annotated[list[Share], Field(min_length=1, max_length=MAX_EXPLAIN_TOKENS)]
    """Length of gradient x input of each token; all together 1."""
    effects: Annotated[list[Real], Field(min_length=1, max_length=MAX_EXPLAIN_TOKENS)]
    """Sum of gradient x input: above 0 for the target, below 0 against it."""


class Looked(Message):
    """How strongly the target looks at one token."""

    position: Position
    weight: Share


class AttentionEvent(Message):
    """One tile: row by row, how strongly tokens look at tokens."""

    event: Literal["explain_attention"] = "explain_attention"
    id: RequestId
    first: Position
    window: Annotated[int, Field(ge=1, le=MAX_EXPLAIN_TOKENS)]
    cell: Annotated[int, Field(ge=1, le=MAX_EXPLAIN_TOKENS)]
    """Tokens of a cell in each direction; the last cells may have fewer."""
    side: Annotated[int, Field(ge=1, le=TILE)]
    """Cells in each direction."""
    scale: Share
    """What the largest value, 255, stands for."""
    cells: Annotated[str, Field(max_length=4 * (TILE * TILE + 2) // 3 + 4)]
    """``side * side`` bytes in base64."""
    looked: Annotated[list[Looked], Field(max_length=32)]
    """Where the target itself looks, strongest first, exactly."""


class LensEvent(Message):
    """What the model would say at the target's place if it ended after a layer."""

    event: Literal["explain_lens"] = "explain_lens"
    id: RequestId
    layer: Annotated[int, Field(ge=0, le=MAX_LAYERS)]
    """0: the embeddings, before the first layer."""
    chance: Chance
    """Of the token that does stand there."""


class WalkScore(Message):
    """A candidate for the next token."""

    token_id: TokenId
    text: TokenText
    logit: Real
    chances: Annotated[list[Share], Field(min_length=8, max_length=8)]
    """At each of :data:`TEMPERATURES`."""


class WalkEvent(Message):
    """True numbers of each station on the way from a prompt to the next token."""

    event: Literal["explain_walk"] = "explain_walk"
    id: RequestId
    dimensions: Annotated[int, Field(ge=1, le=2**20)]
    """Numbers in an embedding."""
    embeddings: Annotated[
        list[Annotated[list[Real], Field(min_length=1, max_length=WALK_DIMENSIONS)]],
        Field(min_length=1, max_length=MAX_WALK_TOKENS),
    ]
    """The first numbers of each token's embedding."""
    attention: Annotated[
        list[Annotated[list[Share], Field(min_length=1, max_length=MAX_WALK_TOKENS)]],
        Field(max_length=MAX_WALK_TOKENS),
    ]
    """Row by row: how strongly a token looks at each; empty where the model has no attention."""
    scores: Annotated[list[WalkScore], Field(min_length=1, max_length=WALK_TOP)]
    vocabulary: Count
    draws: Annotated[
        list[Annotated[list[TokenText], Field(min_length=WALK_DRAWS, max_length=WALK_DRAWS)]],
        Field(min_length=8, max_length=8),
    ]
    """Tokens drawn at each temperature."""


class ExplainedEvent(Message):
    """That is all."""

    event: Literal["explained"] = "explained"
    id: RequestId
    explain_s: Seconds


ExplainAnswer = (
    ReadEvent
    | PiecesEvent
    | ChancesEvent
    | SaliencyEvent
    | AttentionEvent
    | LensEvent
    | WalkEvent
    | ExplainedEvent
)
