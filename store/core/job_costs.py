"""Values the database works out when a job changes hands: what it has cost, what is said of it."""

from datetime import datetime

from django.db.models import (
    Case,
    DateTimeField,
    DurationField,
    ExpressionWrapper,
    F,
    FloatField,
    TextField,
    Value,
    When,
)
from django.db.models.functions import Coalesce, Extract

from store.core.models import Job
from store.core.placing import NO_WORKER


def unless_no_worker(field: str) -> Case:
    """Return what stands in ``field``, but nothing once a worker is there after all."""
    told = When(error_code=NO_WORKER, then=Value(""))
    return Case(told, default=F(field), output_field=TextField())


def spent_s(until: datetime | F) -> Case:
    """Return what a job has cost when the attempt that runs, if one does, ends at ``until``."""
    end = Value(until, DateTimeField()) if isinstance(until, datetime) else until
    took = ExpressionWrapper(end - F("started_at"), DurationField())
    attempt_s = Coalesce(Extract(took, "epoch"), 0.0, output_field=FloatField())
    return Case(When(state=Job.State.RUNNING, then=F("spent_s") + attempt_s), default=F("spent_s"))
