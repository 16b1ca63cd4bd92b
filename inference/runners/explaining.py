"""The job that lets a box explain a text: files, box, answers, row."""

from typing import Any

from django.conf import settings

from inference.box.client import Box
from inference.box.conversation import Prompted
from inference.box.explain_messages import (
    TEMPERATURES,
    AttentionEvent,
    Chance,
    ChancesEvent,
    ExplainAnswer,
    ExplainedEvent,
    ExplainRequest,
    LensEvent,
    PiecesEvent,
    ReadEvent,
    SaliencyEvent,
    WalkEvent,
)
from inference.box.prompted import fields_of
from inference.models import Explanation
from inference.runners import generation
from inference.runners.folders import box_key, model_folder
from inference.services import answering
from inference.services.runs import prompted_of
from store.core.database import hand_back_connection
from store.core.work import JobContext, JobStoppedError

_DIGITS = 6


def run_explanation(context: JobContext, explanation_id: int) -> dict[str, Any]:
    """Answer one question. Idempotent: one that has been answered is left alone.

    Raises:
        NotRunnableError, ModelRefusedError, BoxError: it cannot be done, and why.
        TransientError: not now.
        JobStoppedError: somebody stopped it, or the worker must leave.
    """
    rows = Explanation.objects.select_related("run", "scored_text", "repo__namespace")
    explanation = rows.filter(pk=explanation_id).first()
    if explanation is None or not explanation.is_open:
        return {"state": explanation.state if explanation else "deleted"}
    with context.claim.writing():
        if not answering.begin(explanation_id):
            raise JobStoppedError("It has ended already.")
    request = request_of(explanation, f"{explanation.public_id}-{context.attempt}")
    repo, oid = explanation.repo, explanation.commit_oid
    chosen = explanation.run.gguf_file if explanation.run else ""
    with model_folder(repo, oid, context.check, chosen) as folder:
        alone = context.attempt > 1  # the first may have failed by a neighbor's fault
        hand_back_connection()
        with generation.box_pool().use(box_key(folder), folder, alone=alone) as box:
            result = _asked(context, box, request)
    with context.claim.writing():
        answering.finish(explanation_id, result)
    return {"kind": explanation.kind}


def request_of(explanation: Explanation, request_id: str) -> ExplainRequest:
    """Return what the box is asked."""
    params = dict(explanation.params)
    sequence = params.pop("sequence", 0)
    asked: Prompted = explanation.prompt
    answer = ""
    if explanation.run is not None:
        asked, answer = prompted_of(explanation.run), explanation.run.texts[sequence]
    elif explanation.scored_text is not None:
        asked, answer = explanation.scored_text.prompt, explanation.scored_text.text
    said = {"id": request_id, "kind": explanation.kind, "answer": answer} | fields_of(asked)
    return ExplainRequest.model_validate(params | said)


def _asked(context: JobContext, box: Box, request: ExplainRequest) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for event in box.ask(request, timeout_s=settings.ENV.generation_timeout_s):
        context.check()
        fold(found, event)  # type: ignore[arg-type]
    return found


def fold(found: dict[str, Any], event: ExplainAnswer) -> None:
    """Add an answer of a box to what is stored: numbers, texts and lists, no classes."""
    if isinstance(event, ReadEvent):
        found.update(event.model_dump(mode="json", exclude={"event", "id"}))
        found["tokens"] = []
    elif isinstance(event, PiecesEvent):
        found["tokens"] += [list(pair) for pair in zip(event.token_ids, event.texts, strict=True)]
    elif isinstance(event, ChancesEvent):
        found.setdefault("chances", []).extend(map(_chance, event.chances))
    elif isinstance(event, LensEvent):
        found.setdefault("lens", []).append(_chance(event.chance))
    elif isinstance(event, ExplainedEvent):
        found["explain_s"] = round(event.explain_s, 3)
    else:
        found[_NAMES[type(event)]] = _rounded(event.model_dump(exclude={"event", "id"}))
        if isinstance(event, WalkEvent):
            found["temperatures"] = list(TEMPERATURES)


_NAMES: dict[type, str] = {
    SaliencyEvent: "saliency",
    AttentionEvent: "attention",
    WalkEvent: "walk",
}


def _chance(chance: Chance) -> dict[str, Any]:
    return {
        "logprob": round(chance.logprob, _DIGITS),
        "rank": chance.rank,
        "top": [[a.token_id, a.text, round(a.logprob, _DIGITS)] for a in chance.top],
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, _DIGITS)
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list) else value
