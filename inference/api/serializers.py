"""Shapes of the REST API's generations."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from inference.models import DemoGeneration, GenerationRun
from inference.services import runs


@extend_schema_field({"oneOf": [{"type": "boolean"}, {"type": "string", "enum": ["never"]}]})
class _EndOfBeams(serializers.JSONField):
    """``True``, ``False`` or ``"never"``; what else comes is refused where runs are made."""


class NewGenerationIn(serializers.Serializer[Any]):
    """What to generate; ranges are checked again, and clamped, where runs are made."""

    model = serializers.CharField(
        max_length=400,
        help_text="`ns/name` or `ns/name@revision`; `:Q4_K_M` behind it names one of several GGUF"
        " files.",
    )
    prompt = serializers.CharField(max_length=20_000, allow_blank=True, trim_whitespace=False)
    max_new_tokens = serializers.IntegerField(required=False)
    temperature = serializers.FloatField(required=False, help_text="0 always takes the likeliest.")
    top_p = serializers.FloatField(required=False)
    top_k = serializers.IntegerField(required=False)
    repetition_penalty = serializers.FloatField(required=False)
    frequency_penalty = serializers.FloatField(
        required=False, help_text="Taken from a token for each time the text has it; -2 to 2."
    )
    presence_penalty = serializers.FloatField(
        required=False, help_text="Taken from a token the text has already; -2 to 2."
    )
    logit_bias = serializers.DictField(
        child=serializers.FloatField(),
        required=False,
        help_text="By token id, what is added to its score; -100 to 100.",
    )
    organization = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=96,
        help_text="Whose tokens of the day it uses: one you belong to; empty: your own.",
    )
    seed = serializers.IntegerField(required=False, allow_null=True)
    num_sequences = serializers.IntegerField(required=False)
    num_beams = serializers.IntegerField(
        required=False,
        help_text="Above 1: beam search with so many beams, 8 at most. Nothing is drawn, the text"
        " comes at the end, and the tokens of every beam count.",
    )
    length_penalty = serializers.FloatField(
        required=False,
        help_text="Of a beam search: above 0 favors long texts, below 0 short ones; 1 by default.",
    )
    early_stopping = _EndOfBeams(
        required=False,
        help_text="Of a beam search: end as soon as there are as many finished texts as beams"
        " (`true`), when a better one is unlikely (`false`), or when none can come (`never`).",
    )


class GenerationOut(serializers.Serializer[Any]):
    """One generation."""

    id = serializers.CharField(source="public_id")
    model = serializers.CharField(source="repo.full_name")
    revision = serializers.CharField(source="commit_oid")
    gguf_file = serializers.CharField(help_text="The one that was chosen among several.")
    state = serializers.ChoiceField(choices=GenerationRun.State.choices)
    params = serializers.DictField()
    texts = serializers.SerializerMethodField()
    finish_reasons = serializers.ListField(child=serializers.CharField())
    prompt_tokens = serializers.IntegerField()
    new_tokens = serializers.IntegerField()
    ahead = serializers.SerializerMethodField(help_text="Runs that come before this one.")
    error_code = serializers.CharField()
    error = serializers.CharField()
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)

    def get_texts(self, run: GenerationRun) -> list[str]:
        """Return the texts, as far as they have come."""
        return runs.texts_so_far(run)

    def get_ahead(self, run: GenerationRun) -> int:
        """Return the place in the queue, 0 for next or running."""
        return runs.standing(run).ahead


class DemoOut(serializers.Serializer[Any]):
    """One text the store let a commit write."""

    prompt_key = serializers.CharField()
    way = serializers.CharField(help_text="`greedy`, or `seeded`: drawn with a fixed seed.")
    prompt = serializers.CharField()
    params = serializers.DictField()
    state = serializers.ChoiceField(choices=DemoGeneration.State.choices)
    text = serializers.CharField()
    finish_reason = serializers.CharField()
    prompt_tokens = serializers.IntegerField()
    new_tokens = serializers.IntegerField()
    tokens_per_s = serializers.FloatField(allow_null=True)
    error_code = serializers.CharField()
    error = serializers.CharField(help_text="Why there is no text.")
    finished_at = serializers.DateTimeField(allow_null=True)


class DemosOut(serializers.Serializer[Any]):
    """What the store let one commit write on the published prompts."""

    model = serializers.CharField()
    revision = serializers.CharField(help_text="Commit id; empty while there are none.")
    is_current = serializers.BooleanField(help_text="Whether it is the newest of `main`.")
    set_version = serializers.IntegerField(allow_null=True, help_text="Of the set of prompts.")
    reason = serializers.CharField(help_text="Why there are none, where it is known.")
    results = DemoOut(many=True)
