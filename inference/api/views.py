"""``/api/v1/generations``: ask a model, follow it, stop it."""

from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.rest import viewer
from inference.api import examples
from inference.api.serializers import GenerationOut, NewGenerationIn
from inference.services import follow, runs
from inference.services.naming import model_named
from inference.services.streams import FIRST
from inference.sse import event_stream


class GenerationsView(APIView):
    """Generations."""

    @extend_schema(
        operation_id="generations_create",
        summary="Generate text",
        request=NewGenerationIn,
        responses={201: GenerationOut},
        examples=[examples.BODY, examples.GENERATION],
    )
    def post(self, request: Request) -> Response:
        """Queue a generation; follow it by its `id`."""
        who = viewer(request)
        who.identified()
        form = NewGenerationIn(data=request.data)
        form.is_valid(raise_exception=True)
        values = dict(form.validated_data)
        repo, revision, weights = model_named(who, values.pop("model"))
        prompt, payer = values.pop("prompt"), values.pop("organization", "")
        given = {key: value for key, value in values.items() if value is not None}
        chosen = {"organization": payer, "weights": weights}
        run = runs.submit(who, repo, revision, prompt, given, **chosen)
        return Response(GenerationOut(run).data, status=status.HTTP_201_CREATED)


class GenerationView(APIView):
    """One generation."""

    @extend_schema(
        operation_id="generations_read",
        summary="Read a generation",
        responses=GenerationOut,
        examples=[examples.GENERATION],
    )
    def get(self, request: Request, run_id: str) -> Response:
        """Answer the generation as far as it has come."""
        return Response(GenerationOut(runs.read(viewer(request), run_id)).data)


class CancelView(APIView):
    """Stopping a generation."""

    @extend_schema(
        operation_id="generations_cancel",
        summary="Stop a generation",
        request=None,
        responses=GenerationOut,
        examples=[examples.GENERATION],
    )
    def post(self, request: Request, run_id: str) -> Response:
        """Stop it; what has come stays."""
        who = viewer(request)
        run = runs.read(who, run_id)
        runs.cancel(who, run)
        run.refresh_from_db()
        return Response(GenerationOut(run).data)


class _AnyAccept(BaseContentNegotiation):
    """Event streams are asked for with ``Accept: text/event-stream``, which no renderer makes."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return next(iter(parsers))

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> Any:
        first = next(iter(renderers))
        return first, first.media_type


class EventsView(APIView):
    """The events of a generation."""

    content_negotiation_class = _AnyAccept

    @extend_schema(
        operation_id="generations_events",
        summary="Stream a generation",
        description="Server-sent events: `token`, `status`, `done`, `error`; goes on after"
        " `Last-Event-ID`.",
        responses={(200, "text/event-stream"): OpenApiTypes.STR},
    )
    def get(self, request: Request, run_id: str) -> HttpResponseBase:
        """Stream the tokens as they come."""
        run = runs.read(viewer(request), run_id)
        after = request.headers.get("Last-Event-ID") or FIRST
        poll = f"/api/v1/generations/{run.public_id}"
        return event_stream(follow.watch(run, after=after), poll=poll)
