"""``/api/v1/scored-texts``: how much each token of a text surprised one or two models."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.rest import viewer
from inference.models import Explanation, ScoredText
from inference.services import scored_texts
from inference.services.naming import model_named
from inference.services.params import MAX_PROMPT_CHARS, InvalidParamsError
from inference.services.reading_along import Along, along


class NewScoredTextIn(serializers.Serializer[Any]):
    """A text and who is to read it."""

    models = serializers.ListField(
        child=serializers.CharField(max_length=200),
        min_length=1,
        max_length=scored_texts.MOST_MODELS,
        help_text="One or two models, as `ns/name`; each at its default branch.",
    )
    text = serializers.CharField(
        max_length=scored_texts.MAX_TEXT_CHARS,
        trim_whitespace=False,
        help_text="What is scored, every character of it.",
    )
    prompt = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=MAX_PROMPT_CHARS,
        trim_whitespace=False,
        help_text="What stands before it: read, but not scored. Empty: models begin by themselves.",
    )


class ReadTokenOut(serializers.Serializer[Any]):
    """A token over the characters of the text."""

    begin = serializers.IntegerField(help_text="Its first character, from 0.")
    end = serializers.IntegerField(help_text="The character after its last.")
    text = serializers.CharField(
        help_text="What it says by itself; a part of a character is `U+FFFD`."
    )
    probability = serializers.FloatField(allow_null=True, help_text="0 to 1.")
    bits = serializers.FloatField(allow_null=True, help_text="Surprise: -log2 of it.")
    rank = serializers.IntegerField(allow_null=True, help_text="1: the likeliest.")


class ReadingOut(serializers.Serializer[Any]):
    """What one model made of it."""

    model = serializers.CharField()
    revision = serializers.CharField()
    state = serializers.ChoiceField(choices=Explanation.State.choices)
    bits = serializers.FloatField(allow_null=True)
    bytes = serializers.IntegerField(
        allow_null=True, help_text="Bytes of the text as UTF-8 that `bits` are counted over."
    )
    bits_per_byte = serializers.FloatField(
        allow_null=True, help_text="Less is better; the same for every tokenizer."
    )
    tokens = ReadTokenOut(many=True)
    error_code = serializers.CharField()
    error = serializers.CharField()


class PassageOut(serializers.Serializer[Any]):
    """A part of the text in which every model has whole tokens."""

    begin = serializers.IntegerField()
    end = serializers.IntegerField()
    bits = serializers.ListField(
        child=serializers.FloatField(allow_null=True), help_text="Of each model that has read it."
    )


class ScoredTextOut(serializers.Serializer[Any]):
    """A text and what models made of it."""

    id = serializers.CharField()
    prompt = serializers.CharField()
    text = serializers.CharField()
    is_open = serializers.BooleanField(help_text="A model still reads.")
    readings = ReadingOut(many=True)
    passages = PassageOut(many=True, help_text="Empty while a model still reads.")
    created_at = serializers.DateTimeField()


_TOKEN = {"begin": 0, "end": 4, "text": "Once", "probability": 0.25, "bits": 2.0, "rank": 1}
_BODY = OpenApiExample(
    "Two models",
    value={"models": ["regency/austen-gpt2-small", "regency/tales"], "text": "Once"},
    request_only=True,
)
_DONE = OpenApiExample(
    "Read by one",
    value={
        "id": "1f46eaab35ae7f3e9dd3932e",
        "prompt": "",
        "text": "Once",
        "is_open": False,
        "readings": [
            {
                "model": "regency/austen-gpt2-small",
                "revision": "cb4140ed35905615e3243c1b1e84335458b421ba",
                "state": "done",
                "bits": 2.0,
                "bytes": 4,
                "bits_per_byte": 0.5,
                "tokens": [_TOKEN],
                "error_code": "",
                "error": "",
            }
        ],
        "passages": [{"begin": 0, "end": 4, "bits": [2.0]}],
        "created_at": "2026-11-24T02:19:05.471377Z",
    },
    response_only=True,
    status_codes=("200", "201"),
)


def _body(row: ScoredText, found: list[Explanation]) -> dict[str, Any]:
    done = [each for each in found if each.result is not None]
    is_open = any(each.is_open for each in found)
    shown = None
    if done and not is_open:
        shown = along(row.text, [each.result for each in done if each.result is not None])
    places = {each.pk: number for number, each in enumerate(done)}
    return {
        "id": row.public_id,
        "prompt": row.prompt,
        "text": row.text,
        "is_open": is_open,
        "readings": [_reading(each, shown, places.get(each.pk)) for each in found],
        "passages": shown.passages if shown else [],
        "created_at": row.created_at,
    }


def _reading(explanation: Explanation, shown: Along | None, number: int | None) -> dict[str, Any]:
    told: dict[str, Any] = {"bits": None, "bytes": None, "bits_per_byte": None, "tokens": []}
    if shown is not None and number is not None:
        total = shown.totals[number]
        tokens = zip(shown.spans[number], shown.tokens[number], strict=True)
        told = {
            "bits": total.bits,
            "bytes": total.count_bytes,
            "bits_per_byte": total.bits_per_byte,
            "tokens": [_token(*span, token) for span, token in tokens],
        }
    return told | {
        "model": explanation.repo.full_name,
        "revision": explanation.commit_oid,
        "state": explanation.state,
        "error_code": explanation.error_code,
        "error": explanation.error,
    }


def _token(begin: int, end: int, token: Any) -> dict[str, Any]:
    is_known = token.percent is not None
    return {
        "begin": begin,
        "end": end,
        "text": token.raw,
        "probability": token.percent / 100 if is_known else None,
        "bits": token.bits if is_known else None,
        "rank": token.rank if is_known else None,
    }


class ScoredTextsView(APIView):
    """Texts for models to read."""

    @extend_schema(
        operation_id="scored_texts_create",
        summary="Score a text",
        request=NewScoredTextIn,
        responses={201: ScoredTextOut},
        examples=[_BODY, _DONE],
    )
    def post(self, request: Request) -> Response:
        """Hand a text to one or two models; read what they made of it by its `id`."""
        who = viewer(request)
        who.identified()
        form = NewScoredTextIn(data=request.data)
        form.is_valid(raise_exception=True)
        values = form.validated_data
        repos = [_default_of(*model_named(who, name)) for name in values["models"]]
        row = scored_texts.submit(who, repos, values["text"], prompt=values.get("prompt", ""))
        answer = ScoredTextOut(_body(*scored_texts.read(who, row.public_id)))
        return Response(answer.data, status=status.HTTP_201_CREATED)


def _default_of(repo: Any, revision: str, weights: str) -> Any:
    """Refuse a revision or a file: models are read at their default branch, as pages do."""
    if revision or weights:
        told = "A text is read at a model's default branch. Leave out what follows the @ or :."
        raise InvalidParamsError(told, fields={"models": told})
    return repo


class ScoredTextView(APIView):
    """One text."""

    @extend_schema(
        operation_id="scored_texts_read",
        summary="Read a scored text",
        responses=ScoredTextOut,
        examples=[_DONE],
    )
    def get(self, request: Request, text_id: str) -> Response:
        """Answer what models made of it, as far as they have come."""
        found = scored_texts.read(viewer(request), text_id)
        return Response(ScoredTextOut(_body(*found)).data)

    @extend_schema(
        operation_id="scored_texts_delete", summary="Delete a scored text", responses={204: None}
    )
    def delete(self, request: Request, text_id: str) -> Response:
        """Delete the text and what was said of it."""
        scored_texts.delete(viewer(request), text_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class CancelScoredTextView(APIView):
    """Stopping what reads a text."""

    @extend_schema(
        operation_id="scored_texts_cancel",
        summary="Stop scoring a text",
        request=None,
        responses=ScoredTextOut,
        examples=[_DONE],
    )
    def post(self, request: Request, text_id: str) -> Response:
        """Stop each model that still reads it (`failed`, `cancelled`); what is read stays."""
        found = scored_texts.cancel(viewer(request), text_id)
        return Response(ScoredTextOut(_body(*found)).data)
