"""``/api/v1/usage``: what models did for somebody, by day, as JSON and as a table."""

from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.rest import viewer
from inference.models import UsageRecord
from inference.services import usage
from inference.services.usage import DaySum, Span
from store.core.spreadsheets import csv_answer

_ASKED = [
    OpenApiParameter("first", OpenApiTypes.DATE, description="First day (UTC); 30 days ago."),
    OpenApiParameter("last", OpenApiTypes.DATE, description="Last day (UTC); today."),
    OpenApiParameter(
        "organization", OpenApiTypes.STR, description="Of an organization you run; else your own."
    ),
]
_EXAMPLE = OpenApiExample(
    "A month",
    value={
        "first": "2026-11-01",
        "last": "2026-11-30",
        "organization": "",
        "results": [
            {
                "day": "2026-11-24",
                "model": "regency/austen-gpt2-small",
                "kind": "generation",
                "requests": 12,
                "prompt_tokens": 148,
                "new_tokens": 960,
                "trial_tokens": 0,
                "seconds": 14.2,
                "most_memory_bytes": 612368384,
            }
        ],
    },
    response_only=True,
)


class UsageIn(serializers.Serializer[Any]):
    """Which days, and whose."""

    first = serializers.DateField(required=False)
    last = serializers.DateField(required=False)
    organization = serializers.CharField(required=False, default="", max_length=42)


class DaySumOut(serializers.Serializer[Any]):
    """What one model was used for on one day, one kind of work."""

    day = serializers.DateField()
    model = serializers.CharField()
    kind = serializers.ChoiceField(
        choices=UsageRecord.Kind.values, help_text="Texts, explanations, or evaluations."
    )
    requests = serializers.IntegerField()
    prompt_tokens = serializers.IntegerField()
    new_tokens = serializers.IntegerField()
    trial_tokens = serializers.IntegerField(help_text="Demo tokens of a sold model it took.")
    seconds = serializers.FloatField()
    most_memory_bytes = serializers.IntegerField(help_text="Of the model's process; 0: elsewhere.")


class UsageOut(serializers.Serializer[Any]):
    """Usage of a span of days."""

    first = serializers.DateField()
    last = serializers.DateField()
    organization = serializers.CharField()
    results = DaySumOut(many=True)


def _asked(request: Request) -> tuple[Span, str, list[DaySum]]:
    form = UsageIn(data=request.query_params)
    form.is_valid(raise_exception=True)
    values = form.validated_data
    span = usage.span_of(values.get("first"), values.get("last"))
    name = values["organization"]
    return span, name, usage.sums(usage.records_of(viewer(request), name), span)


class UsageView(APIView):
    """Usage of models."""

    @extend_schema(
        operation_id="usage_read",
        summary="What you used, by day, model and kind of work",
        parameters=_ASKED,
        responses=UsageOut,
        examples=[_EXAMPLE],
    )
    def get(self, request: Request) -> Response:
        """Answer sums of all work that ended on these days, newest day first."""
        span, name, found = _asked(request)
        body = {"first": span.first, "last": span.last, "organization": name, "results": found}
        return Response(UsageOut(body).data)


class UsageTableView(APIView):
    """The same as a table."""

    @extend_schema(
        operation_id="usage_table",
        summary="What you used, as CSV",
        parameters=_ASKED,
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> HttpResponseBase:
        """Answer the same sums as a table for spreadsheets."""
        _span, _name, found = _asked(request)
        return csv_answer(usage.table(found), "usage.csv")
