"""Explanations: every number against a direct computation with torch."""

import base64
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from inference.box import explaining
from inference.box.client import Box
from inference.box.engine import Engine
from inference.box.errors import ModelRefusedError
from inference.box.explain_messages import (
    TEMPERATURES,
    TILE,
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
from inference.box.params import SamplingParams
from inference.box.protocol import MAX_EVENT_BYTES, DoneEvent, ErrorEvent, TokenEvent, pack
from tests.inference.box import tiny_models
from tests.inference.box.test_chat import TALK, TEMPLATE, with_template
from tests.inference.box.test_engine import request as generation
from tests.inference.box.test_generating import ids_of, never, run, text_of
from tests.inference.box.test_scoring import ask

PROMPT, ANSWER = "The quick brown", " fox jumps 日本"


def asked(kind: Any, prompt: str = PROMPT, answer: str = ANSWER, **more: Any) -> ExplainRequest:
    return ExplainRequest(id="e", kind=kind, prompt=prompt, answer=answer, **more)


def explained(loaded: Any, request: ExplainRequest) -> list[Any]:
    """Ask; check that the trusted side would take every answer in this order and size."""
    from inference.box.talks import Talk

    events = ask(loaded, request)
    talk = Talk(request)
    for event in events:
        assert talk.take(event), event
        assert len(pack(event)) < MAX_EVENT_BYTES
    assert talk.is_over
    assert isinstance(events[-1], ExplainedEvent), events
    return events


def one(events: list[Any], kind: type) -> Any:
    (found,) = [event for event in events if isinstance(event, kind)]
    return found


def ids_in(events: list[Any]) -> list[int]:
    return [i for event in events if isinstance(event, PiecesEvent) for i in event.token_ids]


def logits_of(loaded: Any, ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = loaded.model(input_ids=torch.tensor([ids])).logits[0].float()
    return found


@pytest.fixture(params=["gpt2", "llama"])
def loaded(request: pytest.FixtureRequest, tmp_path: Path, load: Callable[..., Any]) -> Any:
    make: Callable[[Path], Path] = getattr(tiny_models, request.param)
    return load(make(tmp_path / "model"))


def test_chances_are_those_of_the_model(loaded: Any) -> None:
    events = explained(loaded, asked("tokens", top=3))

    read, ids = one(events, ReadEvent), ids_in(events)
    prompt_ids = loaded.tokenizer(PROMPT)["input_ids"]
    assert ids == prompt_ids + loaded.tokenizer(ANSWER, add_special_tokens=False)["input_ids"]
    assert (read.prompt_tokens, read.tokens) == (len(prompt_ids), len(ids))
    assert (read.layers, read.chances_from) == (2, 1)
    chances = [c for event in events if isinstance(event, ChancesEvent) for c in event.chances]
    logprobs = torch.log_softmax(logits_of(loaded, ids), dim=-1)
    assert len(chances) == len(ids) - 1
    for place, chance in enumerate(chances):
        row = logprobs[place]
        assert chance.logprob == pytest.approx(float(row[ids[place + 1]]), abs=1e-4)
        assert chance.rank == int((row > row[ids[place + 1]]).sum()) + 1
        assert [each.token_id for each in chance.top] == row.topk(3).indices.tolist()
        assert chance.top[0].logprob == pytest.approx(float(row.max()), abs=1e-4)
    texts = [text for event in events if isinstance(event, PiecesEvent) for text in event.texts]
    assert texts[1] == loaded.tokenizer.decode([ids[1]])


def test_tokens_as_they_were_written_may_be_given(gpt2: Any) -> None:
    events = explained(gpt2, asked("tokens", answer="", answer_ids=(5, 6, 7)))

    assert ids_in(events)[-3:] == [5, 6, 7]


@pytest.mark.parametrize("kind", ["tokens", "saliency", "attention", "lens"])
def test_an_answer_is_read_after_what_it_was_written_after(
    gpt2_copy: Path, load: Callable[..., Any], kind: Any
) -> None:
    loaded = load(with_template(gpt2_copy, TEMPLATE))
    text = "<system>Be brief.\n<user>Hi\n<assistant>"
    ids = loaded.tokenizer(text, add_special_tokens=False)["input_ids"]

    plain, talked, given = (
        explained(loaded, ExplainRequest(id="e", kind=kind, answer=ANSWER, **before))
        for before in ({"prompt": text}, {"messages": TALK}, {"prompt_ids": ids})
    )

    assert ids_in(talked)[: len(ids)] == ids
    assert one(talked, ReadEvent).prompt_tokens == len(ids)
    assert talked[:-1] == given[:-1] == plain[:-1]  # `plain` is held against torch here


def test_chances_after_a_conversation_are_those_of_the_model(
    gpt2_copy: Path, load: Callable[..., Any]
) -> None:
    loaded = load(with_template(gpt2_copy, TEMPLATE))

    events = explained(
        loaded, ExplainRequest(id="e", kind="tokens", messages=TALK, answer=ANSWER, top=0)
    )

    turns = [message.model_dump() for message in TALK]
    prompt = loaded.tokenizer.apply_chat_template(turns, add_generation_prompt=True)["input_ids"]
    answer = loaded.tokenizer(ANSWER, add_special_tokens=False)["input_ids"]
    chances = [c for event in events if isinstance(event, ChancesEvent) for c in event.chances]
    rows = torch.log_softmax(logits_of(loaded, prompt + answer), dim=-1)[len(prompt) - 1 :]
    wanted = [float(row[token]) for row, token in zip(rows, answer, strict=False)]
    assert [c.logprob for c in chances[-len(answer) :]] == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize(
    ("before", "code"),
    [({"messages": TALK}, "no_chat_template"), ({"prompt_ids": [9999]}, "unknown_token")],
)
def test_what_cannot_stand_before_an_answer_is_refused(gpt2: Any, before: Any, code: str) -> None:
    *_, refusal = ask(gpt2, ExplainRequest(id="e", kind="tokens", answer=ANSWER, **before))

    assert isinstance(refusal, ErrorEvent)
    assert refusal.code == code


def test_saliency_is_gradient_times_input(loaded: Any) -> None:
    target = 6

    events = explained(loaded, asked("saliency", target=target))

    found, ids = one(events, SaliencyEvent), ids_in(events)
    matrix = loaded.model.get_input_embeddings().weight.detach()
    vectors = matrix[torch.tensor(ids[:target])].clone()[None].requires_grad_()
    logit = loaded.model(inputs_embeds=vectors).logits[0, -1, ids[target]]
    logit.backward()
    products = (vectors.grad * vectors)[0].detach()
    norms = products.pow(2).sum(-1).sqrt()
    assert found.logit == pytest.approx(float(logit.detach()), rel=1e-4)
    assert found.shares == pytest.approx((norms / norms.sum()).tolist(), rel=1e-3, abs=1e-5)
    assert sum(found.shares) == pytest.approx(1, abs=1e-4)
    assert found.effects == pytest.approx(products.sum(-1).tolist(), rel=1e-2, abs=1e-3)


@pytest.mark.parametrize("head", [1, "mean", "max"])
def test_attention_is_that_of_the_layer(loaded: Any, head: Any) -> None:
    target = 5

    events = explained(loaded, asked("attention", layer=1, head=head, target=target))

    found, ids = one(events, AttentionEvent), ids_in(events)
    loaded.model.set_attn_implementation("eager")
    with torch.inference_mode():
        output = loaded.model(input_ids=torch.tensor([ids]), output_attentions=True)
    heads = output.attentions[1][0]
    wanted = heads[1] if head == 1 else (heads.mean(0) if head == "mean" else heads.amax(0))
    levels = torch.tensor(list(base64.b64decode(found.cells))).reshape(found.side, found.side)
    assert (found.cell, found.side, found.window) == (1, len(ids), len(ids))
    assert (levels / 255 * found.scale - wanted).abs().max() <= found.scale / 255
    looked = {each.position: each.weight for each in found.looked}
    assert looked == pytest.approx(dict(enumerate(wanted[target, : target + 1].tolist())), abs=1e-5)
    if head != "max":
        assert sum(looked.values()) == pytest.approx(1, abs=1e-4)
        assert (wanted.sum(-1) - 1).abs().max() < 1e-4


def test_the_way_attention_is_computed_is_put_back(gpt2: Any) -> None:
    usual = gpt2.model.config._attn_implementation
    assert usual == "sdpa"

    explained(gpt2, asked("attention"))

    assert gpt2.model.config._attn_implementation == usual
    assert not any(module._forward_hooks for module in gpt2.model.modules())


def test_a_window_of_attention_is_what_stands_in_it(loaded: Any) -> None:
    whole = one(explained(loaded, asked("attention")), AttentionEvent)

    part = one(explained(loaded, asked("attention", first=2, window=3)), AttentionEvent)

    levels = torch.tensor(list(base64.b64decode(whole.cells))).reshape(whole.side, whole.side)
    expected = levels[2:5, 2:5] / 255 * whole.scale
    cells = torch.tensor(list(base64.b64decode(part.cells))).reshape(3, 3) / 255 * part.scale
    assert (cells - expected).abs().max() < 2 / 255


def test_two_thousand_tokens_fit_into_one_tile(wide_dir: Path, load: Callable[..., Any]) -> None:
    loaded = load(wide_dir)
    text = "The quick brown fox jumps over it. " * 80
    count = len(loaded.tokenizer(text)["input_ids"])
    assert 1000 < count < 2048

    events = explained(loaded, asked("attention", prompt=text, answer="", head=0))

    found = one(events, AttentionEvent)
    assert found.cell == math.ceil(count / TILE)
    assert found.side <= TILE
    assert sum(len(pack(event)) for event in events) < 120_000
    assert sum(len(pack(e)) for e in events if isinstance(e, AttentionEvent)) < 8_000


@pytest.mark.parametrize("how", ["max", "mean"])
def test_pooling_against_numbers_one_by_one(how: Any) -> None:
    weights = torch.rand(7, 7)

    found = explaining.pooled(weights, 3, how)

    for row in range(3):
        for column in range(3):
            cell = weights[row * 3 : row * 3 + 3, column * 3 : column * 3 + 3]
            expected = cell.max() if how == "max" else cell.mean()
            assert float(found[row, column]) == pytest.approx(float(expected))


def test_the_lens_ends_in_the_real_prediction(loaded: Any) -> None:
    target = 6

    events = explained(loaded, asked("lens", target=target, top=4))

    ids = ids_in(events)
    layers = [event for event in events if isinstance(event, LensEvent)]
    real = torch.log_softmax(logits_of(loaded, ids[:target])[-1], dim=-1)
    assert [event.layer for event in layers] == [0, 1, 2]
    last = layers[-1].chance
    assert last.logprob == pytest.approx(float(real[ids[target]]), abs=1e-4)
    assert [each.token_id for each in last.top] == real.topk(4).indices.tolist()
    with torch.inference_mode():
        output = loaded.model(input_ids=torch.tensor([ids[:target]]), output_hidden_states=True)
    base = loaded.model.base_model
    norm = getattr(base, "ln_f", None) or base.norm
    for number, event in enumerate(layers[:-1]):
        with torch.inference_mode():
            scores = loaded.model.lm_head(norm(output.hidden_states[number][0, -1]))
        expected = torch.log_softmax(scores, dim=-1)
        assert event.chance.logprob == pytest.approx(float(expected[ids[target]]), abs=1e-4)


def test_a_walk_has_the_true_numbers(loaded: Any) -> None:
    events = explained(loaded, asked("walk", answer="", layer=1, head=1, seed=3))

    walk, ids = one(events, WalkEvent), ids_in(events)
    matrix = loaded.model.get_input_embeddings().weight
    assert walk.dimensions == 32
    for token_id, numbers in zip(ids, walk.embeddings, strict=True):
        assert numbers == pytest.approx(matrix[token_id, :8].tolist())
    assert [sum(row) for row in walk.attention] == pytest.approx([1.0] * len(ids), abs=1e-4)
    assert walk.attention[0][1:] == [0.0] * (len(ids) - 1)  # nobody looks ahead
    loaded.model.set_attn_implementation("eager")
    with torch.inference_mode():
        output = loaded.model(input_ids=torch.tensor([ids]), output_attentions=True)
    for row, true in zip(walk.attention, output.attentions[1][0, 1].tolist(), strict=True):
        assert row == pytest.approx(true, abs=1e-4)
    logits = logits_of(loaded, ids)[-1]
    assert [score.token_id for score in walk.scores] == logits.topk(20).indices.tolist()
    for score in walk.scores:
        assert score.logit == pytest.approx(float(logits[score.token_id]), abs=1e-4)
        for temperature, chance in zip(TEMPERATURES, score.chances, strict=True):
            expected = torch.softmax(logits / temperature, dim=-1)[score.token_id]
            assert chance == pytest.approx(float(expected), abs=1e-5)
    assert [len(draws) for draws in walk.draws] == [10] * 8


@pytest.mark.parametrize("kind", ["attention", "lens"])
def test_what_an_architecture_cannot_tell_is_refused(
    tmp_path: Path, load: Callable[..., Any], kind: Any
) -> None:
    make = tiny_models.mamba if kind == "attention" else tiny_models.gemma2
    loaded = load(make(tmp_path / "model"))

    *_, refusal = ask(loaded, asked(kind))

    assert isinstance(refusal, ErrorEvent)
    assert refusal.code == "unsupported"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"kind": "saliency", "target": 0}, "no_such_token"),
        ({"kind": "lens", "target": 500}, "no_such_token"),
        ({"kind": "attention", "layer": 2}, "no_such_layer"),
        ({"kind": "attention", "head": 2}, "no_such_layer"),
        ({"kind": "attention", "first": 40}, "no_such_token"),
        ({"kind": "tokens", "prompt": "z " * 80}, "prompt_too_long"),
        ({"kind": "walk", "prompt": "z " * 30}, "prompt_too_long"),
        ({"kind": "tokens", "answer_ids": (320,)}, "bad_tokenizer"),
    ],
)
def test_what_cannot_be_explained_is_refused(gpt2: Any, changes: Any, code: str) -> None:
    *_, refusal = ask(gpt2, asked(**({"kind": "tokens"} | changes)))

    assert isinstance(refusal, ErrorEvent)
    assert refusal.code == code


def test_scores_that_are_no_numbers_are_refused(gpt2_copy: Path, load: Callable[..., Any]) -> None:
    loaded = load(gpt2_copy)
    with torch.no_grad():
        loaded.model.transformer.wpe.weight[3] = float("nan")

    for kind in ("tokens", "saliency", "attention", "lens", "walk"):
        answer = "" if kind == "walk" else ANSWER
        *_, refusal = ask(loaded, asked(kind, answer=answer))
        assert isinstance(refusal, ErrorEvent), kind
        assert refusal.code == "not_finite"


@pytest.mark.parametrize("kind", ["tokens", "saliency", "attention", "lens"])
def test_explaining_between_the_steps_of_a_writer_changes_neither(
    gpt2: Any, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    alone = explained(gpt2, asked(kind))
    monkeypatch.setattr("inference.box.engine._SHORTEST_S", 1e-6)
    monkeypatch.setattr(Engine, "_work_aside", _hasty(Engine._work_aside))
    engine = Engine(gpt2, never)
    engine.add(generation("w", "The", temperature=0, max_new_tokens=50))
    events: list[Any] = []
    steps = 0
    engine.step()
    engine.ask(asked(kind))

    while not engine.is_idle:
        found = engine.step()
        steps += any(isinstance(event, TokenEvent) for event in found)
        events += found

    mine = [event for event in events if event.id == "e"]
    assert mine[:-1] == alone[:-1]
    assert steps > 10
    written = [event for event in events if isinstance(event, (TokenEvent, DoneEvent))]
    whole = ids_of(run(gpt2, "The", temperature=0, max_new_tokens=50), 0)
    assert ids_of(written, 0) == whole[-len(ids_of(written, 0)) :]


def _hasty(plain: Any) -> Any:
    """Let the work pause as often as it can."""

    def work(engine: Any, events: Any) -> None:
        engine._step_s = 1e-6
        plain(engine, events)

    return work


def test_a_real_box_explains_what_it_wrote(box: Box) -> None:
    writing = list(box.generate("The", SamplingParams(seed=1, max_new_tokens=12, logprobs=2)))
    said = text_of(writing)
    ids = tuple(event.token_id for event in writing if isinstance(event, TokenEvent))

    for kind in ("tokens", "saliency", "attention", "lens", "walk"):
        answer: Any = {"answer": said, "answer_ids": ids}
        events = list(box.ask(asked(kind, prompt="The", **answer)))
        assert isinstance(events[-1], ExplainedEvent)

    tokens = list(box.ask(asked("tokens", prompt="The", **answer)))
    chances = [c for event in tokens if isinstance(event, ChancesEvent) for c in event.chances]
    prompt_tokens = one(tokens, ReadEvent).prompt_tokens
    told = [event.logprob for event in writing if isinstance(event, TokenEvent)]
    assert [c.logprob for c in chances[prompt_tokens - 1 :]] == pytest.approx(told, abs=1e-3)
    with pytest.raises(ModelRefusedError) as caught:
        list(box.ask(asked("lens", target=2000)))
    assert caught.value.reason == "no_such_token"
    assert box.is_alive
