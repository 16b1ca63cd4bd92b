"""Shapes of the REST API's evaluations and suites."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from inference.models import EvaluationNote, EvaluationRun, Suite
from inference.services import evaluation_queue
from inference.services.evaluation_progress import progress_of
from inference.services.evaluations import SCORES_ONLY
from inference.services.suites import spec_of


class SuiteOut(serializers.Serializer[Any]):
    """One version of a suite."""

    id = serializers.CharField(source="public_id")
    key = serializers.CharField()
    version = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=Suite.Kind.choices)
    title = serializers.CharField()
    summary = serializers.CharField()
    digest = serializers.CharField(help_text="sha256 of its spec as canonical JSON.")
    is_public = serializers.BooleanField()
    is_ranked = serializers.BooleanField(help_text="Whether it has a leaderboard.")
    tasks = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()

    def get_tasks(self, suite: Suite) -> list[str]:
        """Return the names of its tasks."""
        return [task.name for task in spec_of(suite).tasks]


class SuiteSpecOut(SuiteOut):
    """A suite with all that is needed to run it."""

    spec = serializers.DictField()


class SuitesOut(serializers.Serializer[Any]):
    """Suites a caller may run."""

    results = SuiteOut(many=True)
    harness_tasks = serializers.ListField(
        child=serializers.CharField(),
        help_text="Tasks of lm-evaluation-harness that run as `lm-eval/<task>`; `*`: any.",
    )


class NewSuiteIn(serializers.Serializer[Any]):
    """A data set of one's own."""

    name = serializers.CharField(max_length=61, help_text="Its key is `you/name`.")
    jsonl = serializers.CharField(
        trim_whitespace=False,
        help_text="Lines `{prompt, answer}`, or `{prompt, choices, answer}`.",
    )
    match = serializers.ChoiceField(choices=["exact", "contains"], default="exact")


class NewEvaluationIn(serializers.Serializer[Any]):
    """What to measure."""

    suite = serializers.CharField(max_length=128, help_text="Key of a suite, or `lm-eval/<task>`.")
    version = serializers.IntegerField(required=False, allow_null=True, default=None)
    revision = serializers.CharField(
        required=False, allow_blank=True, default="", help_text="Branch, tag or commit."
    )


class ScoreOut(serializers.Serializer[Any]):
    """One figure, with the ends of its 95 % confidence interval."""

    task = serializers.CharField()
    metric = serializers.CharField()
    value = serializers.FloatField()
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    method = serializers.CharField(help_text="`wilson`, `bootstrap`, or empty: no interval.")
    samples = serializers.IntegerField()
    unit = serializers.CharField()
    is_higher_better = serializers.BooleanField()
    is_primary = serializers.BooleanField(help_text="The suite is ranked by it.")


class SuiteRefOut(serializers.Serializer[Any]):
    """Which suite."""

    id = serializers.CharField(source="public_id")
    key = serializers.CharField()
    version = serializers.IntegerField()
    title = serializers.CharField()
    digest = serializers.CharField()


class ProgressOut(serializers.Serializer[Any]):
    """How far it has come."""

    done = serializers.IntegerField(help_text="Samples that are kept.")
    total = serializers.IntegerField()
    seconds_left = serializers.FloatField(allow_null=True)


class CarriedFromOut(serializers.Serializer[Any]):
    """The evaluation a result is carried over from: of a revision with the same model files."""

    id = serializers.CharField(source="public_id")
    revision = serializers.CharField(source="commit_oid")


class EvaluationOut(serializers.Serializer[Any]):
    """One evaluation."""

    id = serializers.CharField(source="public_id")
    model = serializers.CharField(source="repo.full_name")
    revision = serializers.CharField(source="commit_oid")
    carried_from = CarriedFromOut(
        allow_null=True, help_text="Where it was measured, if at another revision; same files."
    )
    suite = SuiteRefOut()
    state = serializers.ChoiceField(choices=EvaluationRun.State.choices)
    is_public = serializers.BooleanField()
    by_store = serializers.SerializerMethodField(help_text="Whether the store asked by itself.")
    is_scores_only = serializers.SerializerMethodField(help_text="Whether samples are not shown.")
    ahead = serializers.SerializerMethodField(help_text="Evaluations that come before it.")
    progress = serializers.SerializerMethodField()
    scores = ScoreOut(many=True)
    error_code = serializers.CharField()
    error = serializers.CharField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)

    def get_by_store(self, run: EvaluationRun) -> bool:
        """Tell whether nobody asked for it."""
        return run.is_public and run.asked_by_id is None

    def get_is_scores_only(self, run: EvaluationRun) -> bool:
        """Tell whether its samples are kept from everybody."""
        return bool(run.record.get(SCORES_ONLY))

    def get_ahead(self, run: EvaluationRun) -> int:
        """Return its place, 0 for next or begun."""
        return evaluation_queue.place_of(run)

    @extend_schema_field(ProgressOut)
    def get_progress(self, run: EvaluationRun) -> Any:
        """Return how far it has come."""
        return ProgressOut(progress_of(run)).data


class EvaluationRecordOut(EvaluationOut):
    """One evaluation with all that is needed to repeat it."""

    record = serializers.DictField(
        help_text="Suite digest, seed, batch, dtype, device, digests of the weights, libraries,"
        " hardware; what each piece was done on, if that was not the same for all."
    )


class EvaluationsPageOut(serializers.Serializer[Any]):
    """One page of evaluations."""

    results = EvaluationOut(many=True)
    next = serializers.CharField(allow_null=True)


class SampleOut(serializers.Serializer[Any]):
    """One question and its answer."""

    task = serializers.CharField()
    index = serializers.IntegerField()
    prompt = serializers.CharField()
    expected = serializers.CharField()
    output = serializers.CharField()
    metrics = serializers.DictField()
    facts = serializers.DictField(help_text="Log-probabilities, broken rules, and the like.")


class SamplesPageOut(serializers.Serializer[Any]):
    """One page of samples."""

    results = SampleOut(many=True)
    next = serializers.CharField(allow_null=True)


class NoteIn(serializers.Serializer[Any]):
    """A public word on a run."""

    text = serializers.CharField(max_length=4000)


class NoteOut(serializers.Serializer[Any]):
    """A public word on a run."""

    author = serializers.SerializerMethodField()
    text = serializers.CharField()
    created_at = serializers.DateTimeField()

    def get_author(self, note: EvaluationNote) -> str:
        """Return who wrote it; empty for somebody who has left."""
        return note.author.username if note.author is not None else ""


class NotesOut(serializers.Serializer[Any]):
    """All notes of a run, oldest first."""

    results = NoteOut(many=True)
