"""``/api/v1/generations/{id}/explanations``: ask why a model wrote what it wrote."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.rest import viewer
from inference.box.explain_messages import MAX_EXPLAIN_TOKENS, MAX_TOP
from inference.models import Explanation
from inference.services import answering, explanations, runs
from inference.services.explain_params import read_explanation

_KINDS = ["tokens", "saliency", "attention", "lens"]


class NewExplanationIn(serializers.Serializer[Any]):
    """What to explain; values are checked again where explanations are made."""

    kind = serializers.ChoiceField(
        choices=_KINDS,
        help_text="`tokens`: how likely each token was; `saliency`: what a token came from;"
        " `attention`: which tokens look at which; `lens`: what each layer would say.",
    )
    sequence = serializers.IntegerField(required=False, min_value=0, help_text="Which text.")
    target = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=MAX_EXPLAIN_TOKENS - 1,
        help_text="Place of the token, prompt and answer counted together, from 0;"
        " by default the first of the answer.",
    )
    top = serializers.IntegerField(required=False, min_value=0, max_value=MAX_TOP)
    layer = serializers.IntegerField(required=False, min_value=0)
    head = serializers.CharField(required=False, help_text="A number, `mean` or `max`.")
    pool = serializers.ChoiceField(
        choices=["mean", "max"],
        required=False,
        help_text="What a cell tells that stands for several tokens.",
    )
    first = serializers.IntegerField(
        required=False, min_value=0, help_text="First token of the window of attention."
    )
    window = serializers.IntegerField(required=False, min_value=1, help_text="Its tokens.")


class ExplanationOut(serializers.Serializer[Any]):
    """One explanation."""

    id = serializers.CharField(source="public_id")
    kind = serializers.ChoiceField(choices=_KINDS)
    params = serializers.DictField()
    state = serializers.ChoiceField(choices=Explanation.State.choices)
    result = serializers.DictField(
        allow_null=True,
        help_text="`tokens`: id and text of each. `chances` (from token `chances_from` on):"
        " logprob, rank and the likeliest. `saliency`: shares and effects of the tokens before"
        " `target`. `attention`: a tile of `side` x `side` bytes in base64, 255 is `scale`."
        " `lens`: a chance for each layer, the embeddings first.",
    )
    error_code = serializers.CharField()
    error = serializers.CharField()
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


_BODY = OpenApiExample(
    "Where a token came from", value={"kind": "saliency", "target": 5}, request_only=True
)
_DONE = OpenApiExample(
    "Done",
    value={
        "id": "1f46eaab35ae7f3e9dd3932e",
        "kind": "saliency",
        "params": {"sequence": 0, "target": 2},
        "state": "done",
        "result": {
            "prompt_tokens": 2,
            "tokens": [[1026, "It"], [318, " is"], [257, " a"]],
            "layers": 12,
            "heads": 12,
            "target": 2,
            "chances_from": 1,
            "saliency": {"logit": -82.5, "shares": [0.38, 0.62], "effects": [-0.4, 1.9]},
            "explain_s": 0.21,
        },
        "error_code": "",
        "error": "",
        "created_at": "2026-11-24T02:19:05.471377Z",
        "finished_at": "2026-11-24T02:19:06.102931Z",
    },
    response_only=True,
    status_codes=("200", "201"),
)

_STOPPED = OpenApiExample(
    "Stopped",
    value=_DONE.value
    | {
        "state": "failed",
        "result": None,
        "error_code": answering.CANCELLED,
        "error": "This was stopped before there was an answer. Ask again.",
    },
    response_only=True,
)


class ExplanationsView(APIView):
    """The explanations of a generation."""

    @extend_schema(
        operation_id="explanations_list",
        summary="List explanations of a generation",
        responses=ExplanationOut(many=True),
        examples=[_DONE],
    )
    def get(self, request: Request, run_id: str) -> Response:
        """Answer what was asked about it, newest first."""
        run = runs.read(viewer(request), run_id)
        rows = Explanation.objects.filter(run=run).order_by("-id")[:100]
        return Response(ExplanationOut(rows, many=True).data)

    @extend_schema(
        operation_id="explanations_create",
        summary="Explain a generation",
        request=NewExplanationIn,
        responses={201: ExplanationOut},
        examples=[_BODY, _DONE],
    )
    def post(self, request: Request, run_id: str) -> Response:
        """Queue a question, or answer the one that was asked before."""
        who = viewer(request)
        run = runs.read(who, run_id)
        form = NewExplanationIn(data=request.data)
        form.is_valid(raise_exception=True)
        explanation = explanations.ask(who, run, read_explanation(form.validated_data))
        return Response(ExplanationOut(explanation).data, status=status.HTTP_201_CREATED)


class ExplanationView(APIView):
    """One explanation."""

    @extend_schema(
        operation_id="explanations_read",
        summary="Read an explanation",
        responses=ExplanationOut,
        examples=[_DONE],
    )
    def get(self, request: Request, run_id: str, explanation_id: str) -> Response:
        """Answer the explanation as far as it has come."""
        found = explanations.read_of(runs.read(viewer(request), run_id), explanation_id)
        return Response(ExplanationOut(found).data)


class CancelExplanationView(APIView):
    """Stopping an explanation."""

    @extend_schema(
        operation_id="explanations_cancel",
        summary="Stop an explanation",
        request=None,
        responses=ExplanationOut,
        examples=[_STOPPED],
    )
    def post(self, request: Request, run_id: str, explanation_id: str) -> Response:
        """End it as `failed` with the code `cancelled`; one that has ended is left as it is."""
        found = explanations.read_of(runs.read(viewer(request), run_id), explanation_id)
        answering.cancel(found)
        return Response(ExplanationOut(found).data)
