"""What a hostile box may answer a question with, and when."""

from typing import Any

import pytest

from inference.box.asking import PairItem, ScoreEvent, ScorePartEvent, ScoreRequest, ScoresDoneEvent
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
