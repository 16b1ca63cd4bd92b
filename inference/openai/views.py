"""The OpenAI-compatible API: ``/v1/models``, ``/v1/completions``, ``/v1/chat/completions``."""

import secrets
from collections.abc import Sequence
from itertools import chain
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.utils import timezone

from accounts.viewer import Viewer
from catalog.history.refs import DEFAULT_BRANCH, resolve
from catalog.models import ModelCard, ModelRepo
from inference.box.conversation import Prompted
from inference.engines.config import name_patterns, remote_for
from inference.models import GenerationRun
from inference.openai import shapes, waiting
from inference.openai.asked import ChatAsked, CompletionAsked, read_chat, read_completion
from inference.openai.doors import NoSuchCallError, openai_view
from inference.openai.errors import failure_of
from inference.openai.streaming import Wanted, stream_of
from inference.services import quotas, runs
from inference.services.choosing_weights import file_named, tags_of
from inference.services.naming import model_named
from inference.services.streams import Event
from inference.sse import stream_answer, with_heartbeat
from store.core.bodies import read_json

MOST_MODELS = 1000
_BEGIN_S = 20.0
"""A stream's status is held back so long for a run that fails at once, in seconds."""
_CALLS = "/v1/models, /v1/completions and /v1/chat/completions"


@openai_view("GET")
def models(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """List the models that can be run, the most downloaded first, a thousand at most."""
    remote = Q()
    for pattern in name_patterns():
        remote |= Q(listing__full_name__iregex=pattern)
    rows = ModelRepo.objects.visible_to(viewer).filter(disabled_reason="")
    rows = rows.filter(Q(listing__is_runnable=True) | remote)
    rows = rows.select_related("namespace", "listing").order_by("-listing__downloads", "id")
    found = list(rows[:MOST_MODELS])
    tags = _tags(found)
    data = [
        _model(repo, repo.full_name + tag) for repo in found for tag in ("", *tags.get(repo.pk, ()))
    ]
    return JsonResponse({"object": "list", "data": data})


@openai_view("GET")
def model(request: HttpRequest, viewer: Viewer, name: str) -> HttpResponseBase:
    """Describe one model, or one revision of it."""
    repo, revision, weights = model_named(viewer, name)
    oid = resolve(repo, revision or DEFAULT_BRANCH).commit_oid
    file_named(repo, oid, weights)
    return JsonResponse(_model(repo, name) | {"system_fingerprint": oid})


def _tags(repos: Sequence[ModelRepo]) -> dict[int, list[str]]:
    """Return what names the GGUF files of those of ``repos`` that have several. One query."""
    several = [repo.pk for repo in repos if "gguf" in _formats(repo)]
    cards = ModelCard.objects.filter(repo__in=several).values_list("repo_id", "facts__gguf_files")
    tags = {pk: sorted(tags_of(files).values()) for pk, files in cards if files}
    return {pk: [f":{tag}" for tag in found] for pk, found in tags.items()}


def _formats(repo: ModelRepo) -> list[str]:
    listing = getattr(repo, "listing", None)
    return list(listing.formats) if listing else []


def _model(repo: ModelRepo, name: str) -> dict[str, Any]:
    listing = getattr(repo, "listing", None)
    return {
        "id": name,
        "object": "model",
        "created": int(repo.created_at.timestamp()),
        "owned_by": repo.namespace.name,
        "context_length": listing.context_length if listing else None,
        "is_runnable": bool(listing and listing.is_runnable)
        or remote_for(repo.full_name) is not None,
        "is_sold": repo.is_sold,
    }


@openai_view("POST")
def completions(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Continue prompts, or tell how likely they are."""
    asked = read_completion(read_json(request))
    prompts = asked.prompts()
    wanted = Wanted(
        kind="completion",
        model=asked.model,
        has_logprobs=asked.logprobs is not None,
        include_usage=asked.include_usage,
        echo=bool(asked.echo),
    )
    return _answer(request, viewer, asked, prompts, wanted)


@openai_view("POST")
def chat_completions(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Write the assistant's next turn."""
    asked = read_chat(read_json(request))
    wanted = Wanted(
        kind="chat",
        model=asked.model,
        has_logprobs=bool(asked.logprobs),
        include_usage=asked.include_usage,
    )
    return _answer(request, viewer, asked, [asked.conversation()], wanted)


@openai_view("GET", "POST", "PUT", "DELETE", "PATCH")
def nothing_else(request: HttpRequest, viewer: Viewer, rest: str) -> HttpResponseBase:
    """Name what there is."""
    raise NoSuchCallError(f"This store has no /v1/{rest[:100]}. It has {_CALLS}.")


def _answer(
    request: HttpRequest,
    viewer: Viewer,
    asked: CompletionAsked | ChatAsked,
    prompts: Sequence[Prompted],
    wanted: Wanted,
) -> HttpResponseBase:
    """Queue the runs; wait for them, or stream them."""
    repo, revision, weights = model_named(viewer, asked.model)
    key = secrets.token_hex(16) if viewer.is_visitor else ""
    made = runs.submit_all(
        viewer,
        repo,
        revision,
        prompts,
        asked.params(),
        visitor_key=key,
        organization=request.headers.get("OpenAI-Organization", ""),
        weights=weights,
    )
    if asked.stream:
        answer = _stream(viewer, made, key, wanted)
    else:
        done = waiting.all_ended(viewer, made, key, within_s=settings.ENV.completion_wait_s)
        has_echo = isinstance(asked, CompletionAsked) and bool(asked.echo)
        answer = JsonResponse(shapes.whole(done, wanted.kind, asked.model, echo=has_echo))
    _tell_quota(answer, made[0])
    return answer


def _stream(
    viewer: Viewer, made: Sequence[GenerationRun], key: str, wanted: Wanted
) -> HttpResponseBase:
    """Stream runs side by side; a caller who goes away stops them, and so does one that fails."""

    def stop() -> None:
        waiting.stop_open(viewer, made, key)

    heard = [waiting.events_of(run, is_patient=len(made) == 1) for run in made]
    try:
        first = waiting.begun(heard[0], within_s=_BEGIN_S)
        _check_began(made[0], first)
        heard[0] = chain(first, heard[0])
        return stream_answer(with_heartbeat(stream_of(made, heard, wanted)), stop)
    except BaseException:
        stop()
        raise


def _check_began(run: GenerationRun, first: list[Event]) -> None:
    if first and first[-1].kind == "failed":
        raise failure_of(waiting.fresh(run))


def _tell_quota(answer: HttpResponseBase, run: GenerationRun) -> None:
    left = quotas.left_of(run.payer, now=timezone.now())
    if left is not None:
        answer["X-RateLimit-Limit-Tokens"] = str(quotas.quota_of(run.payer))
        answer["X-RateLimit-Remaining-Tokens"] = str(left)
