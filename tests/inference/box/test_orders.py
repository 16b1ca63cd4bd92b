"""What a hostile box may answer a question with, and when."""

from typing import Any

import pytest

from inference.box.asking import PairItem, ScoreEvent, ScorePartEvent, ScoreRequest, ScoresDoneEvent
from inference.box.explain_messages import (
    AttentionEvent,
    Chance,
    ChancesEvent,
    ExplainedEvent,
    ExplainRequest,
    LensEvent,
    PiecesEvent,
    ReadEvent,
    SaliencyEvent,
    WalkEvent,
    WalkScore,
)
from inference.box.messages import Alternative
from inference.box.protocol import FrameError, pack, parse_event
from inference.box.talks import Talk

ITEM = PairItem(context="a", continuation="b")


def part(**changes: Any) -> ScorePartEvent:
    return ScorePartEvent(
        **({"id": "s", "item": 0, "token_ids": [1, 2], "logprobs": [-1.0, -2.0]} | changes)
    )


def scored(**changes: Any) -> ScoreEvent:
    facts = {"logprob": -3.0, "is_greedy": False, "tokens": 2, "dropped_tokens": 0}
    return ScoreEvent(**({"id": "s", "item": 0} | facts | changes))


def done(**changes: Any) -> ScoresDoneEvent:
    return ScoresDoneEvent(**({"id": "s", "tokens": 4, "score_s": 0.1} | changes))


def taken(*events: Any, per_token: bool = True) -> list[bool]:
    """Whether each event was accepted by a talk about two items."""
    talk = Talk(ScoreRequest(id="s", items=(ITEM, ITEM), per_token=per_token))
    return [talk.take(event) for event in events]


def test_scores_in_order_are_taken() -> None:
    events = [part(), scored(), part(item=1), scored(item=1), done()]

    assert taken(*events) == [True] * 5
    assert taken(scored(), scored(item=1), done(), per_token=False) == [True] * 3


@pytest.mark.parametrize(
    "events",
    [
        [done(tokens=0)],
        [scored()],  # without the tokens that were asked for
        [scored(item=1)],
        [part(item=1)],
        [part(id="other")],
        [part(logprobs=[-1.0])],
        [part(), scored(tokens=3)],
        [part(), part(), scored()],
        [part(), scored(), scored()],
        [part(), scored(), part(item=1), scored(item=1), done(tokens=5)],
        [part(), scored(), part(item=1), scored(item=1), scored(item=2)],
        [part(token_ids=[1] * 1000, logprobs=[-1.0] * 1000)],  # more than the text can have
    ],
)
def test_scores_out_of_order_are_not(events: list[Any]) -> None:
    *good, last = taken(*events)

    assert all(good)
    assert not last


def test_scores_nobody_asked_for_each_token_of_are_not() -> None:
    assert taken(part(), per_token=False) == [False]


@pytest.mark.parametrize(
    "frame",
    [
        pack(scored())[4:].replace(b"-3.0", b"NaN"),
        pack(scored())[4:].replace(b"-3.0", b"-1e999"),
        pack(part())[4:].replace(b"-2.0", b"-20000.0"),
        pack(part())[4:].replace(b"[1,2]", b"[" + b"1," * 1024 + b"1]"),
        pack(scored())[4:].replace(b'"item":0', b'"item":64'),
        pack(done())[4:].replace(b'"tokens":4', b'"tokens":-4'),
    ],
)
def test_scores_out_of_bounds_are_no_events(frame: bytes) -> None:
    with pytest.raises(FrameError):
        parse_event(frame)


# ── explanations ────────────────────────────────────────────────────────────────────────────────

CHANCE = Chance(logprob=-1.0, rank=1, top=[])


def read(**changes: Any) -> ReadEvent:
    facts = {"prompt_tokens": 2, "tokens": 3, "layers": 2, "heads": 2, "target": 2}
    return ReadEvent(**({"id": "e", "chances_from": 1} | facts | changes))


def pieces(first: int = 0, count: int = 3) -> PiecesEvent:
    return PiecesEvent(id="e", first=first, token_ids=[1] * count, texts=["x"] * count)


def chances(first: int = 1, count: int = 2, chance: Chance = CHANCE) -> ChancesEvent:
    return ChancesEvent(id="e", first=first, chances=[chance] * count)


def saliency(count: int = 2) -> SaliencyEvent:
    return SaliencyEvent(id="e", logit=1.0, shares=[0.5] * count, effects=[0.5] * count)


def attention(**changes: Any) -> AttentionEvent:
    facts = {"first": 0, "window": 3, "cell": 1, "side": 3, "scale": 1.0, "cells": "A" * 12}
    return AttentionEvent(**({"id": "e", "looked": []} | facts | changes))


def lens(layer: int) -> LensEvent:
    return LensEvent(id="e", layer=layer, chance=CHANCE)


def walk(**changes: Any) -> WalkEvent:
    score = WalkScore(token_id=1, text="x", logit=1.0, chances=[0.1] * 8)
    facts: dict[str, Any] = {
        "dimensions": 8,
        "embeddings": [[0.5]] * 3,
        "attention": [[0.1] * 3] * 3,
        "scores": [score],
        "vocabulary": 9,
        "draws": [["x"] * 10] * 8,
    }
    return WalkEvent(**({"id": "e"} | facts | changes))


END = ExplainedEvent(id="e", explain_s=0.1)
BEGIN = [read(), pieces()]
MANY_TOP = CHANCE.model_copy(update={"top": [Alternative(token_id=1, text="x", logprob=-1.0)] * 6})


def told(kind: Any, events: list[Any]) -> list[bool]:
    talk = Talk(ExplainRequest(id="e", kind=kind, prompt="a"))
    return [talk.take(event) for event in events]


@pytest.mark.parametrize(
    ("kind", "answers"),
    [
        ("tokens", [chances()]),
        ("tokens", [chances(count=1), chances(2, 1)]),
        ("saliency", [saliency()]),
        ("attention", [attention()]),
        ("lens", [lens(0), lens(1), lens(2)]),
        ("walk", [walk()]),
        ("walk", [walk(attention=[])]),
    ],
)
def test_explanations_in_order_are_taken(kind: str, answers: list[Any]) -> None:
    events = [*BEGIN, *answers, END]

    assert told(kind, events) == [True] * len(events)


@pytest.mark.parametrize(
    ("kind", "events"),
    [
        ("tokens", [pieces()]),
        ("tokens", [read(), read()]),
        ("tokens", [read(prompt_tokens=4)]),
        ("tokens", [read(target=3)]),
        ("tokens", [read(tokens=2000, chances_from=1)]),
        ("tokens", [read(), pieces(first=1, count=2)]),
        ("tokens", [read(), pieces(count=4)]),
        ("tokens", [read(), pieces(count=2), chances()]),
        ("tokens", [*BEGIN, END]),
        ("tokens", [*BEGIN, chances(count=1), END]),
        ("tokens", [*BEGIN, chances(first=2, count=1)]),
        ("tokens", [*BEGIN, chances(count=3)]),
        ("tokens", [*BEGIN, chances(chance=MANY_TOP)]),
        ("tokens", [*BEGIN, saliency()]),
        ("saliency", [*BEGIN, saliency(3)]),
        ("saliency", [*BEGIN, saliency(), saliency()]),
        ("lens", [*BEGIN, lens(1)]),
        ("lens", [*BEGIN, lens(0), lens(1), END]),
        ("lens", [*BEGIN, lens(0), lens(1), lens(2), lens(3)]),
        ("attention", [*BEGIN, attention(window=4, side=4)]),
        ("attention", [*BEGIN, attention(side=2)]),
        ("attention", [*BEGIN, attention(cells="A" * 16)]),
        ("attention", [*BEGIN, walk()]),
        ("walk", [read(tokens=33)]),
        ("walk", [*BEGIN, walk(embeddings=[[0.5]] * 2)]),
        ("walk", [*BEGIN, walk(attention=[[0.1] * 2] * 3)]),
        ("walk", [*BEGIN, walk(attention=[[0.1] * 3])]),
    ],
)
def test_explanations_out_of_order_are_not(kind: str, events: list[Any]) -> None:
    *good, last = told(kind, events)

    assert all(good)
    assert not last


def test_another_place_than_was_asked_for_is_not_taken() -> None:
    talk = Talk(ExplainRequest(id="e", kind="lens", prompt="a", target=1))

    assert not talk.take(read(target=2))


@pytest.mark.parametrize(
    "frame",
    [
        pack(saliency())[4:].replace(b"0.5", b"NaN"),
        pack(saliency())[4:].replace(b"[0.5,", b"[1.5,"),
        pack(saliency())[4:].replace(b'"logit":1.0', b'"logit":1e400'),
        pack(attention())[4:].replace(b"AAAAAAAAAAAA", b"A" * 6000),
        pack(attention())[4:].replace(b'"side":3', b'"side":65'),
        pack(read())[4:].replace(b'"tokens":3', b'"tokens":3000'),
        pack(pieces())[4:].replace(b'["x",', b'["' + b"x" * 65 + b'",'),
        pack(pieces())[4:].replace(b'["x",', b"["),
        pack(pieces())[4:].replace(b'["x",', b'["\\u0000",'),
        pack(chances())[4:].replace(b'"rank":1', b'"rank":0'),
    ],
)
def test_explanations_out_of_bounds_are_no_events(frame: bytes) -> None:
    with pytest.raises(FrameError):
        parse_event(frame)
