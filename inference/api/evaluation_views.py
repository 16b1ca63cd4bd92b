"""``/api/v1/evaluations`` and ``suites``: what was measured, and asking for more."""

import json
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.permissions import IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.rest import viewer
from catalog.access import repo_for
from catalog.api.parameters import limit_of, page_of, paging
from inference.api import evaluation_examples as examples
from inference.api.evaluation_serializers import (
    EvaluationOut,
    EvaluationRecordOut,
    EvaluationsPageOut,
    NewEvaluationIn,
    NewSuiteIn,
    NoteIn,
    NoteOut,
    NotesOut,
    SampleOut,
    SamplesPageOut,
    SuiteOut,
    SuitesOut,
    SuiteSpecOut,
)
from inference.models import Sample
from inference.services import datasets, evaluations, suites
from store.core.paging import keyset_page

_TASK = OpenApiParameter("task", str, description="Of this task alone.")
_SUITE = OpenApiParameter("suite", str, description="Of the suite with this key alone.")


class _View(APIView):
    permission_classes = (IsAuthenticatedOrReadOnly,)


class SuitesView(_View):
    """Suites."""

    @extend_schema(
        operation_id="suites_list",
        summary="List suites",
        responses=SuitesOut,
        examples=[examples.SUITES],
    )
    def get(self, request: Request) -> Response:
        """Answer the built-in suites, and your own data sets."""
        who = viewer(request)
        own = suites.own_of(who) if who.user is not None else []
        tasks = list(settings.ENV.eval_tasks)
        body = {"results": [*suites.sync(), *own], "harness_tasks": tasks}
        return Response(SuitesOut(body).data)

    @extend_schema(
        operation_id="suites_create",
        summary="Keep a data set of your own",
        request=NewSuiteIn,
        responses={201: SuiteOut},
        examples=[examples.DATASET_BODY, examples.NEW_SUITE],
    )
    def post(self, request: Request) -> Response:
        """Keep it for you alone; the same content again is the same suite."""
        form = NewSuiteIn(data=request.data)
        form.is_valid(raise_exception=True)
        values = form.validated_data
        suite = datasets.add_dataset(
            viewer(request), values["name"], values["jsonl"].encode(), match=values["match"]
        )
        return Response(SuiteOut(suite).data, status=status.HTTP_201_CREATED)


class SuiteView(_View):
    """One suite."""

    @extend_schema(
        operation_id="suites_read",
        summary="Read a suite",
        responses=SuiteSpecOut,
        examples=[examples.SUITE],
    )
    def get(self, request: Request, suite_id: str) -> Response:
        """Answer a suite with all that is needed to run it."""
        return Response(SuiteSpecOut(suites.read(viewer(request), suite_id)).data)

    @extend_schema(
        operation_id="suites_delete",
        summary="Delete a data set of your own",
        responses={204: None},
    )
    def delete(self, request: Request, suite_id: str) -> Response:
        """Delete it with every evaluation that was made with it."""
        datasets.delete_dataset(viewer(request), suite_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class ModelEvaluationsView(_View):
    """Evaluations of a model."""

    @extend_schema(
        operation_id="evaluations_list",
        summary="List evaluations of a model",
        parameters=[_SUITE, *paging()],
        responses=EvaluationsPageOut,
        examples=[examples.EVALUATIONS],
    )
    def get(self, request: Request, ns: str, name: str) -> Response:
        """Answer the public ones and your own, newest first."""
        who = viewer(request)
        rows = evaluations.visible_runs(who, repo_for(who, ns, name)).prefetch_related("scores")
        if key := request.query_params.get("suite"):
            rows = rows.filter(suite__key=key)
        found, following = page_of(request, rows)
        return Response(EvaluationsPageOut({"results": found, "next": following}).data)

    @extend_schema(
        operation_id="evaluations_create",
        summary="Ask for an evaluation",
        request=NewEvaluationIn,
        responses={201: EvaluationRecordOut, 200: EvaluationRecordOut},
        examples=[examples.BODY, examples.EVALUATION],
    )
    def post(self, request: Request, ns: str, name: str) -> Response:
        """Queue it; follow it by its `id`. One that is there already is answered with 200."""
        who = viewer(request)
        who.identified()
        form = NewEvaluationIn(data=request.data)
        form.is_valid(raise_exception=True)
        values = form.validated_data
        repo = repo_for(who, ns, name)
        suite = suites.suite_for(who, values["suite"], values["version"])
        run, is_new = evaluations.ask(who, repo, suite, values["revision"])
        code = status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
        return Response(EvaluationRecordOut(run).data, status=code)


class EvaluationView(_View):
    """One evaluation."""

    @extend_schema(
        operation_id="evaluations_read",
        summary="Read an evaluation",
        responses=EvaluationRecordOut,
        examples=[examples.EVALUATION],
    )
    def get(self, request: Request, run_id: str) -> Response:
        """Answer its scores, its progress, and all that is needed to repeat it."""
        return Response(EvaluationRecordOut(evaluations.read(viewer(request), run_id)).data)


class CancelEvaluationView(_View):
    """Stopping an evaluation."""

    @extend_schema(
        operation_id="evaluations_cancel",
        summary="Stop an evaluation",
        request=None,
        responses=EvaluationOut,
        examples=[examples.STOPPED],
    )
    def post(self, request: Request, run_id: str) -> Response:
        """Stop one you asked for; its samples so far stay."""
        who = viewer(request)
        run = evaluations.read(who, run_id)
        evaluations.cancel(who, run)
        return Response(EvaluationOut(run).data)


class RetryEvaluationView(_View):
    """Doing a failed evaluation again."""

    @extend_schema(
        operation_id="evaluations_retry",
        summary="Do a failed evaluation again",
        request=None,
        responses=EvaluationOut,
        examples=[examples.QUEUED],
    )
    def post(self, request: Request, run_id: str) -> Response:
        """Queue it again; what was done stays done."""
        who = viewer(request)
        run = evaluations.retry(who, evaluations.read(who, run_id))
        return Response(EvaluationOut(run).data)


class SamplesView(_View):
    """Samples of an evaluation."""

    @extend_schema(
        operation_id="evaluations_samples",
        summary="List samples of an evaluation",
        parameters=[_TASK, *paging()],
        responses=SamplesPageOut,
        examples=[examples.SAMPLES],
    )
    def get(self, request: Request, run_id: str) -> Response:
        """Answer every question with prompt, output and score, in order; once it has ended."""
        found, following = keyset_page(
            _samples(request, run_id),
            request.query_params.get("cursor"),
            limit_of(request.query_params.get("limit")),
            oldest_first=True,
        )
        return Response(SamplesPageOut({"results": found, "next": following}).data)


class SamplesFileView(_View):
    """Samples of an evaluation as a file."""

    @extend_schema(
        operation_id="evaluations_samples_file",
        summary="Download samples of an evaluation",
        parameters=[_TASK],
        responses={(200, "application/x-ndjson"): OpenApiTypes.STR},
    )
    def get(self, request: Request, run_id: str) -> StreamingHttpResponse:
        """Answer all samples, one JSON object a line; once the evaluation has ended."""
        rows = _samples(request, run_id)
        answer = StreamingHttpResponse(_lines(rows), content_type="application/x-ndjson")
        answer["Content-Disposition"] = f'attachment; filename="evaluation-{run_id}.jsonl"'
        answer["Cache-Control"] = "private, no-store"
        return answer


class NotesView(_View):
    """Notes on an evaluation."""

    @extend_schema(
        operation_id="evaluations_notes",
        summary="List notes on an evaluation",
        responses=NotesOut,
        examples=[examples.NOTES],
    )
    def get(self, request: Request, run_id: str) -> Response:
        """Answer what publisher and staff say of it, oldest first."""
        run = evaluations.read(viewer(request), run_id)
        rows = run.measured.notes.select_related("author").order_by("pk")
        return Response(NotesOut({"results": rows}).data)

    @extend_schema(
        operation_id="evaluations_note",
        summary="Note something on an evaluation",
        request=NoteIn,
        responses={201: NoteOut},
        examples=[examples.NOTE_BODY, examples.NOTE],
    )
    def post(self, request: Request, run_id: str) -> Response:
        """Say something in public, as publisher or staff; it stays."""
        who = viewer(request)
        form = NoteIn(data=request.data)
        form.is_valid(raise_exception=True)
        run = evaluations.read(who, run_id)
        note = evaluations.add_note(who, run, form.validated_data["text"])
        return Response(NoteOut(note).data, status=status.HTTP_201_CREATED)


def _samples(request: Request, run_id: str) -> "QuerySet[Sample]":
    run = evaluations.read(viewer(request), run_id)
    return evaluations.samples(run, request.query_params.get("task", ""))


def _lines(rows: "QuerySet[Sample]") -> Iterator[str]:
    for row in rows.iterator(chunk_size=200):
        shown: Any = SampleOut(row).data
        yield json.dumps(shown, ensure_ascii=False) + "\n"
