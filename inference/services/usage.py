"""What models did for people: a record of each work that has ended, and their sums."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db.models import Count, Max, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Namespace, Role
from accounts.viewer import Viewer
from inference.models import EvaluationRun, Explanation, GenerationRun, UsageRecord
from inference.services.payers import NotYourOrganizationError
from store.core.errors import InvalidError
from store.core.spreadsheets import plain_cell


def record(run: GenerationRun, *, trial_tokens: int) -> UsageRecord:
    """Write what an ended run used; inside the transaction that ends it, so exactly once.

    Args:
        run: As it ended.
        trial_tokens: How many of its new tokens were demo tokens.
    """
    began, ended = run.started_at, run.finished_at or timezone.now()
    return _write(
        UsageRecord.Kind.GENERATION,
        run,
        user_id=run.user_id,
        payer=run.payer or run.asker,
        organization_id=run.organization_id,
        license_id=run.license_id,
        prompt_tokens=run.prompt_tokens,
        new_tokens=run.new_tokens,
        trial_tokens=trial_tokens,
        seconds=max(0.0, (ended - began).total_seconds()) if began else 0.0,
        memory_bytes=run.memory_bytes,
    )


def record_explanation(explanation: Explanation) -> UsageRecord:
    """Write what an answered question used; inside the transaction that answers it.

    Args:
        explanation: With its answer, and with the demo tokens it took.
    """
    result = explanation.result or {}
    return _write(
        UsageRecord.Kind.EXPLANATION,
        explanation,
        user_id=explanation.user_id,
        payer=explanation.asker,
        prompt_tokens=len(result.get("tokens", ())),
        new_tokens=0,
        trial_tokens=explanation.trial_tokens,
        seconds=result.get("explain_s", 0.0),
        memory_bytes=0,
    )


@dataclass(frozen=True, slots=True)
class Work:
    """What a model did for an evaluation."""

    prompt_tokens: int = 0
    new_tokens: int = 0
    memory_bytes: int = 0
    """The most its process had."""

    def and_then(self, other: "Work") -> "Work":
        """Return both together."""
        return Work(
            self.prompt_tokens + other.prompt_tokens,
            self.new_tokens + other.new_tokens,
            max(self.memory_bytes, other.memory_bytes),
        )


def record_evaluation(
    run: EvaluationRun, work: Work, *, seconds: float, trial_tokens: int
) -> UsageRecord | None:
    """Write what a person's evaluation used; inside the transaction that ends it.

    Args:
        run: As it ended, with its scores.
        work: Of all pieces that are kept; what was lost with a worker is not charged.
        seconds: They took.
        trial_tokens: Demo tokens of a sold model it took.

    Returns:
        ``None``: the store asked for it itself.
    """
    if run.asked_by_id is None:
        return None
    return _write(
        UsageRecord.Kind.EVALUATION,
        run,
        user_id=run.asked_by_id,
        payer=f"user:{run.asked_by_id}",
        trial_tokens=trial_tokens,
        seconds=seconds,
        **asdict(work),
    )


def _write(
    kind: UsageRecord.Kind, ended: GenerationRun | Explanation | EvaluationRun, **used: Any
) -> UsageRecord:
    return UsageRecord.objects.create(
        kind=kind,
        run=ended.public_id,
        repo_id=ended.repo_id,
        model=ended.repo.full_name,
        commit_oid=ended.commit_oid,
        state=ended.state,
        finished_at=ended.finished_at or timezone.now(),
        **used,
    )


LONGEST = timedelta(days=366)
"""Longest span one answer sums up."""
USUAL = timedelta(days=30)
HEAD = [
    *("day", "model", "kind", "requests", "prompt_tokens", "new_tokens", "trial_tokens"),
    *("seconds", "most_memory_bytes"),
]


class BadSpanError(InvalidError):
    """The days are in the wrong order, or too many."""

    code = "bad_span"


@dataclass(frozen=True, slots=True)
class Span:
    """Days (UTC), both included."""

    first: date
    last: date


@dataclass(frozen=True, slots=True)
class DaySum:
    """What one model was used for on one day, one kind of work."""

    day: date
    model: str
    kind: str
    """One of ``UsageRecord.Kind``."""
    requests: int
    prompt_tokens: int
    new_tokens: int
    trial_tokens: int
    seconds: float
    most_memory_bytes: int


def span_of(first: date | None, last: date | None) -> Span:
    """Return the days somebody asked for; the last 30 where they named none.

    Raises:
        BadSpanError: the first comes after the last, or they are more than a year apart.
    """
    last = last or timezone.now().astimezone(UTC).date()
    first = first or last - USUAL
    if not first <= last <= first + LONGEST:
        raise BadSpanError(_("Choose a first day before the last one, at most a year apart."))
    return Span(first, last)


def records_of(viewer: Viewer, organization: str = "") -> QuerySet[UsageRecord]:
    """Return what a person used, or what was used in the name of an organization they run.

    Raises:
        UnauthenticatedError: nobody is signed in.
        MissingScopeError: the token is fine-grained.
        NotYourOrganizationError: they are no admin of it, or there is none.
    """
    user = viewer.signed_in()
    if not organization:
        return UsageRecord.objects.filter(user=user)
    rows = Namespace.objects.filter(name__iexact=organization, organization__isnull=False)
    found = rows.first()
    if found is None or viewer.role_in(found.pk) != Role.ADMIN:
        raise NotYourOrganizationError(
            _("You do not run an organization called %(name)s.") % {"name": organization[:42]}
        )
    return UsageRecord.objects.filter(organization=found.organization_id)


def sums(records: QuerySet[UsageRecord], span: Span) -> list[DaySum]:
    """Return the records of these days by day, model and kind, newest day first."""
    start = datetime.combine(span.first, time.min, tzinfo=UTC)
    end = datetime.combine(span.last + timedelta(days=1), time.min, tzinfo=UTC)
    rows = (
        records.filter(finished_at__gte=start, finished_at__lt=end)
        .annotate(day=TruncDate("finished_at", tzinfo=UTC))
        .values("day", "model", "kind")
        .annotate(
            requests=Count("id"),
            all_prompt=Sum("prompt_tokens"),
            all_new=Sum("new_tokens"),
            all_trial=Sum("trial_tokens"),
            all_seconds=Sum("seconds"),
            most_memory=Max("memory_bytes"),
        )
        .order_by("-day", "model", "kind")
    )
    return [
        DaySum(
            day=row["day"],
            model=row["model"],
            kind=row["kind"],
            requests=row["requests"],
            prompt_tokens=row["all_prompt"],
            new_tokens=row["all_new"],
            trial_tokens=row["all_trial"],
            seconds=round(row["all_seconds"], 3),
            most_memory_bytes=row["most_memory"],
        )
        for row in rows
    ]


def table(found: list[DaySum]) -> Iterator[list[str]]:
    """Yield sums as lines of a spreadsheet, the head first."""
    yield HEAD
    for each in found:
        values = asdict(each)
        yield [plain_cell(str(values[name])) for name in HEAD]
