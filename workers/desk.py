"""What people see of background work, and what they may do about it.

A job belongs to its asker. Others learn nothing of it, not even that it is there; staff see all
jobs, but never what somebody asked a model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from accounts.viewer import Viewer
from inference.models import Explanation, GenerationRun
from inference.services import explanations, quotas, runs
from store.core import fairness, jobs, placing, retrying
from store.core.errors import ConflictError, NotFoundError
from store.core.jobs import POLICIES, JobName, Priority
from store.core.models import Job
from store.core.presence import Worker
from workers.handlers import WHEN_ENDED
from workers.subjects import subjects_of

TITLES: Mapping[str, str | Promise] = {
    JobName.GENERATE: gettext_lazy("Generation"),
    JobName.EXPLAIN: gettext_lazy("Explanation"),
    JobName.EVALUATE: gettext_lazy("Evaluation"),
    JobName.DUPLICATE_REPO: gettext_lazy("Copy of a model"),
    JobName.SCAN_COMMIT: gettext_lazy("Check of files"),
}
"""Kinds of work by the names people know; the others go by their own."""
CLASSES: Mapping[int, str | Promise] = {
    Priority.PERSON: gettext_lazy("people who wait"),
    Priority.BATCH: gettext_lazy("people's batch work"),
    Priority.STORE: gettext_lazy("the store's own work"),
}
STATES: Mapping[str, str | Promise] = {
    "open": gettext_lazy("Not ended"),
    Job.State.QUEUED: gettext_lazy("Waiting"),
    Job.State.RUNNING: gettext_lazy("Running"),
    Job.State.DONE: gettext_lazy("Done"),
    Job.State.FAILED: gettext_lazy("Failed"),
    Job.State.CANCELLED: gettext_lazy("Cancelled"),
}
"""What lists can be narrowed to, in words."""


class JobNotFoundError(NotFoundError):
    """The job is absent, or somebody else's: the two look the same."""

    code = "job_not_found"


class NotRetriableError(ConflictError):
    """The job cannot be tried again: it is open, was done, or only its asker can ask again."""

    code = "not_retriable"


class HasEndedError(ConflictError):
    """The job has ended, so there is nothing to cancel."""

    code = "job_has_ended"


@dataclass(frozen=True, slots=True)
class Shown:
    """A job with what is worked out for its page."""

    job: Job
    subject: str
    """What it is for, in words; empty where the viewer may not know."""
    href: str
    """Where that is; empty: nowhere."""
    place: int | None
    """Jobs that come first; ``None``: it does not wait, or is not due yet."""
    problem: str
    """Why no worker can take it now; empty: one can."""
    is_stuck: bool
    """It runs, but its worker was not heard of in time: it goes to another within seconds."""
    waited_s: float
    took_s: float | None
    """Seconds since the attempt began, or of the last one; ``None``: none has begun."""
    left_s: float | None
    """Expected rest, from its progress; ``None``: not known."""
    spent_s: float
    """Seconds of workers so far, the running attempt included."""
    can_retry: bool

    @property
    def title(self) -> str:
        """Return the kind of work in words."""
        return str(TITLES.get(self.job.name, self.job.name))

    @property
    def state_text(self) -> str:
        """Return the state in words."""
        return str(STATES[self.job.state])

    @property
    def class_text(self) -> str:
        """Return the class in words."""
        return str(CLASSES.get(self.job.priority, self.job.priority))

    @property
    def max_attempts(self) -> int:
        """How often it is tried."""
        known = self.job.name in set(JobName)
        return POLICIES[JobName(self.job.name)].max_attempts if known else 1

    @property
    def silent_s(self) -> float:
        """Seconds since its worker should have been heard of; 0: it was."""
        until = self.job.lease_until
        return (timezone.now() - until).total_seconds() if self.is_stuck and until else 0.0


def jobs_of(user: User) -> QuerySet[Job]:
    """Return a person's jobs, newest first."""
    return Job.objects.filter(asker=f"user:{user.pk}").order_by("-pk")


def all_jobs() -> QuerySet[Job]:
    """Return the jobs of everybody and of the store, newest first. For staff."""
    return Job.objects.order_by("-pk")


def narrowed(
    rows: QuerySet[Job], *, state: str = "", queue: str = "", name: str = ""
) -> QuerySet[Job]:
    """Keep jobs of a state (or ``open``), a queue, a kind; what is empty or unknown keeps all."""
    if state == "open":
        rows = rows.filter(state__in=Job.OPEN)
    elif state in set(Job.State):
        rows = rows.filter(state=state)
    if queue:
        rows = rows.filter(queue=queue)
    if name:
        rows = rows.filter(name=name)
    return rows


def job_for(viewer: Viewer, job_id: int | str) -> Job:
    """Return a job to its asker and to staff.

    Raises:
        JobNotFoundError: there is none, or it is somebody else's.
        UnauthenticatedError, MissingScopeError: nobody in person asks.
    """
    user = viewer.signed_in()
    rows = all_jobs() if viewer.is_staff else jobs_of(user)
    is_number = str(job_id).isascii() and str(job_id).isdigit() and len(str(job_id)) < 19
    job = rows.filter(pk=int(job_id)).first() if is_number else None
    if job is None:
        raise JobNotFoundError(_("There is no such job, or it was deleted after a month."))
    return job


def shown(viewer: Viewer, found: Sequence[Job]) -> list[Shown]:
    """Return ``found`` as their pages show them."""
    now = timezone.now()
    places = fairness.places(found)
    has_waiting = any(job.state == Job.State.QUEUED for job in found)
    workers = placing.present() if has_waiting else None
    subjects = subjects_of(viewer, found)
    return [
        _shown(viewer, job, subjects.get(job.pk, ("", "")), places.get(job.pk), workers, now)
        for job in found
    ]


def cancel(viewer: Viewer, job: Job) -> None:
    """End an open job; what it belongs to ends with it.

    Raises:
        HasEndedError: it had ended already.
    """
    if not jobs.cancel(job.pk):
        raise HasEndedError(_("This job has ended already."))
    if job.name in WHEN_ENDED:
        WHEN_ENDED[JobName(job.name)](job.pk)


def retry(viewer: Viewer, job: Job) -> Job:
    """Try a job again that failed or was cancelled.

    Returns:
        The job that is open now: the same, or a new one where what it belonged to has ended.

    Raises:
        NotRetriableError: it cannot be; the message says why.
        StoreError: what asking for the same again raises.
    """
    if job.name == JobName.EVALUATE:
        raise NotRetriableError(_("An evaluation is tried again on its own page."))
    if not _can_retry(viewer, job):
        raise NotRetriableError(
            _("Only jobs that failed or were cancelled can be tried again, by whoever asked.")
        )
    if job.name in _ASK_AGAIN:
        return _ASK_AGAIN[JobName(job.name)](viewer, job)
    if not retrying.retry(job.pk):
        raise NotRetriableError(_("This job is open again already."))
    job.refresh_from_db()
    return job


def _generate_again(viewer: Viewer, job: Job) -> Job:
    run = GenerationRun.objects.select_related("repo__namespace").filter(job=job).first()
    if run is None:
        raise JobNotFoundError(_("The generation was deleted. Ask anew in the playground."))
    new = runs.again(viewer, run).job
    assert new is not None  # noqa: S101 - submit has queued it
    return new


def _explain_again(viewer: Viewer, job: Job) -> Job:
    asked = Explanation.objects.filter(pk=job.args["explanation_id"]).first()
    if asked is None:
        raise JobNotFoundError(_("What was to be explained was deleted."))
    new = explanations.again(viewer, asked).job
    if new is None:
        raise NotRetriableError(_("This was asked again and answered long ago."))
    return new


_ASK_AGAIN: Mapping[str, Callable[[Viewer, Job], Job]] = {
    JobName.GENERATE: _generate_again,
    JobName.EXPLAIN: _explain_again,
}
"""Jobs whose run ends with them: trying again is a new run."""


def _can_retry(viewer: Viewer, job: Job) -> bool:
    has_failed = job.state in {Job.State.FAILED, Job.State.CANCELLED}
    is_theirs = job.asker == quotas.asker_of(viewer)
    is_known = job.name in set(JobName) and job.name != JobName.EVALUATE
    return has_failed and is_known and (is_theirs or job.name not in _ASK_AGAIN)


def _shown(
    viewer: Viewer,
    job: Job,
    subject: tuple[str, str],
    place: int | None,
    workers: Sequence[Worker] | None,
    now: datetime,
) -> Shown:
    is_running = job.state == Job.State.RUNNING
    is_waiting = job.state == Job.State.QUEUED
    began = job.started_at if not is_waiting else None
    end = now if is_running else job.finished_at
    took_s = (end - began).total_seconds() if began and end else None
    rest = (1 - job.progress) / job.progress if is_running and job.progress > 0 else None
    waiting_ended = job.finished_at if began is None and not is_waiting else began
    waited_s = ((waiting_ended or now) - job.created_at).total_seconds()
    return Shown(
        job=job,
        subject=subject[0],
        href=subject[1],
        place=place,
        problem=placing.problem_of(job.queue, job.memory_bytes, workers) if is_waiting else "",
        is_stuck=bool(is_running and job.lease_until and job.lease_until < now),
        waited_s=max(0.0, waited_s),
        took_s=took_s,
        left_s=took_s * rest if took_s is not None and rest is not None else None,
        spent_s=job.spent_s + (took_s or 0.0 if is_running else 0.0),
        can_retry=_can_retry(viewer, job),
    )
