"""Asking for an evaluation, reading it, stopping it, and saying something about it.

Nothing here edits or deletes a run of the store: what was measured stands.
"""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Permission, User
from accounts.viewer import Viewer
from catalog.access import can
from catalog.history.refs import DEFAULT_BRANCH, resolve
from catalog.models import ModelRepo
from catalog.services.comments import check_text
from inference.models import EvaluationNote, EvaluationRun, Sample, Suite
from inference.services import evaluation_queue, evaluation_trials, suites
from inference.services.carrying import carry_over
from inference.services.evaluation_progress import progress_of
from inference.services.weights import needed_files
from store.core import jobs
from store.core.database import lock_name
from store.core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    RateLimitedError,
    TransientError,
)
from store.core.models import Job

MAX_OPEN_OF_PERSON = 8
MAX_NOTE_CHARS = 4_000
MAX_NOTES = 100
SCORES_ONLY = "scores_only"
"""In ``record``: prompts and outputs of the samples were not kept and are not shown."""


class EvaluationNotFoundError(NotFoundError):
    """The run is absent, or hidden from this viewer: the two look the same."""

    code = "evaluation_not_found"


class TooManyEvaluationsError(RateLimitedError):
    """The person has asked for as many as one may for now."""

    code = "too_many_evaluations"


class EvaluationOpenError(ConflictError):
    """The run has not ended, or ended well: there is nothing to do again."""

    code = "evaluation_not_failed"


class SamplesNotYetError(ConflictError):
    """The run goes on: its samples are shown once it has ended, to everybody at once."""

    code = "samples_not_yet"


class ScoresOnlyError(ForbiddenError):
    """Of this run only the scores are given: its model is sold, and the questions are a buyer's."""

    code = "scores_only"


def ask(
    viewer: Viewer, repo: ModelRepo, suite: Suite, revision: str = ""
) -> tuple[EvaluationRun, bool]:
    """Queue an evaluation, or return the one there is of the same commit and suite.

    What was measured at another revision with the same model files is carried over at once.
    Whoever may have the model's files may have it judged by a public suite; the result is public
    where the model is. With one's own data set it is private. A data set may also judge a model
    that is sold and can be tried, before it is bought: that gives scores only, and takes demo
    tokens (``evaluation_trials``).

    Args:
        viewer: Who asks; signed in.
        repo: Through ``catalog.access``, so its visibility is settled.
        suite: Through ``suites``.
        revision: A branch, tag or commit id; empty: the default branch.

    Returns:
        The run, and whether it was made now.

    Raises:
        UnauthenticatedError, MissingScopeError: nobody is signed in; the token does not reach it.
        SuiteNotFoundError: the suite is somebody else's.
        RevisionNotFoundError: there is no such revision.
        RepoDisabledError, GatedRepoError, PurchaseRequiredError: it is not for this viewer.
        TrialUsedUpError: it is sold, and takes more demo tokens than are left.
        NotRunnableError: this revision cannot run here, with the reason.
        TooManyEvaluationsError: not now.
    Nothing is queued in any of these cases.
    """
    user = viewer.identified()
    if not suites.may_use(viewer, suite):
        raise suites.SuiteNotFoundError(_("There is no suite %(key)s.") % {"key": suite.key})
    viewer.require_at(Permission.READ, repo.namespace_id, repo.public_id)
    cost = evaluation_trials.cost_for(viewer, repo, revision or DEFAULT_BRANCH, suite)
    commit_oid = resolve(repo, revision or DEFAULT_BRANCH).commit_oid
    needed_files(repo, commit_oid)
    with transaction.atomic():
        _lock(user)
        if (found := _present(user, repo, commit_oid, suite)) is not None:
            return found, False
        _check_room(user)
        evaluation_trials.take(viewer, repo, cost)
        record: dict[str, Any] = {evaluation_trials.TRIAL_TOKENS: cost} if cost else {}
        if _is_scores_only(viewer, repo, suite):
            record[SCORES_ONLY] = True
        run, is_new = _made(repo, commit_oid, suite, user=user, record=record)
        evaluation_queue.dispatch()
    run.refresh_from_db()
    return run, is_new


def ask_for_store(repo: ModelRepo, commit_oid: str, suite: Suite) -> EvaluationRun:
    """Queue an evaluation by the store itself, or return the one there is.

    One that a person has open becomes the store's: whoever asked first cannot stop it any more.

    Raises:
        NotRunnableError: this revision cannot run here, with the reason.
        TransientError: it was stopped at this moment.
    """
    needed_files(repo, commit_oid)
    with transaction.atomic():
        run, is_new = _made(repo, commit_oid, suite, user=None, record={})
        if not is_new:
            _take_over(run)
        evaluation_queue.dispatch()
    run.refresh_from_db()
    return run


def _take_over(run: EvaluationRun) -> None:
    """Make an open run the store's, its job too; what has been measured stands as it is."""
    row = EvaluationRun.objects.select_for_update().get(pk=run.pk)
    if row.state in EvaluationRun.ENDED_WITHOUT:
        raise TransientError(_("The evaluation was stopped just now. Ask again."))
    if row.has_ended or row.asked_by_id is None:
        return
    row.asked_by = None
    open_job = Job.objects.filter(pk=row.job_id or 0, state__in=Job.OPEN)
    if not open_job.update(asker=""):
        row.state, row.job = EvaluationRun.State.QUEUED, None  # a cancelled job must not end it
    row.save(update_fields=["asked_by", "state", "job"])


def public_run(repo: ModelRepo, commit_oid: str, suite: Suite) -> EvaluationRun | None:
    """Return the open or done public run of a suite on a commit."""
    if not suite.is_public:
        return None
    rows = EvaluationRun.objects.filter(repo=repo, commit_oid=commit_oid, suite=suite)
    states = [*EvaluationRun.OPEN, EvaluationRun.State.DONE]
    return rows.filter(is_public=True, state__in=states).first()


def _present(user: User, repo: ModelRepo, commit_oid: str, suite: Suite) -> EvaluationRun | None:
    """Return the public run, or the one the person has open by a suite of their own."""
    if suite.is_public:
        return public_run(repo, commit_oid, suite)
    mine = EvaluationRun.objects.filter(asked_by=user, state__in=EvaluationRun.OPEN)
    return mine.filter(repo=repo, commit_oid=commit_oid, suite=suite).first()


def visible_runs(viewer: Viewer, repo: ModelRepo) -> "QuerySet[EvaluationRun]":
    """Return the runs of a visible repository a viewer may see, newest first."""
    related = ("suite", "job", "repo__namespace", "carried_from")
    rows = EvaluationRun.objects.filter(repo=repo).select_related(*related)
    mine = Q(is_public=True)
    may_read = viewer.allows(Permission.READ, repo.namespace_id, repo.public_id)
    if viewer.user is not None and may_read:
        mine |= Q(asked_by=viewer.user)
    return rows.filter(mine).order_by("-pk")


def read(viewer: Viewer, public_id: str) -> EvaluationRun:
    """Return a run: a public one to whoever sees its repository, a private one to its asker.

    Raises:
        EvaluationNotFoundError: there is none, or it is hidden.
    """
    related = ("suite", "job", "repo__namespace", "asked_by", "carried_from")
    rows = EvaluationRun.objects.select_related(*related)
    run = rows.filter(public_id=public_id).first()
    if run is not None:
        repo = ModelRepo.objects.visible_to(viewer).filter(pk=run.repo_id).first()
        if repo is not None and visible_runs(viewer, repo).filter(pk=run.pk).exists():
            return run
    raise EvaluationNotFoundError(_("There is no such evaluation here."))


def samples(run: EvaluationRun, task: str = "") -> "QuerySet[Sample]":
    """Return the samples of a run the viewer may see, in order; of one task, or of all.

    Nobody reads along: a run whose answers one has seen is one to stop before its score is there.

    Raises:
        SamplesNotYetError: it has not ended.
        ScoresOnlyError: it gives scores only.
    """
    if not run.has_ended:
        so_far = progress_of(run)
        raise SamplesNotYetError(
            _(
                "This evaluation goes on: %(done)d of %(total)d samples are done. They can be read"
                " once all are, and it has its scores; ask for its progress until then."
            )
            % {"done": so_far.done, "total": so_far.total},
            done=so_far.done,
            total=so_far.total,
            seconds_left=so_far.seconds_left,
        )
    if run.record.get(SCORES_ONLY):
        raise ScoresOnlyError(_("Of this evaluation only the scores are given: the model is sold."))
    rows = Sample.objects.filter(run_id=run.measured_id)
    return (rows.filter(task=task) if task else rows).order_by("pk")


def may_stop(viewer: Viewer, run: EvaluationRun) -> bool:
    """Whether the viewer may cancel a run: who asked for it, and staff."""
    is_asker = viewer.user is not None and run.asked_by_id == viewer.user.pk
    return is_asker or viewer.is_staff


def cancel(viewer: Viewer, run: EvaluationRun) -> bool:
    """Stop an open run. A publisher cannot stop a run of the store's.

    It stays in the list of its model, with how far it had come: nobody unsees what it measured.

    Returns:
        ``False``: it had ended already.

    Raises:
        ForbiddenError: it is not the viewer's.
    """
    if not may_stop(viewer, run):
        raise ForbiddenError(_("Only who asked for an evaluation, and staff, may stop it."))
    with transaction.atomic():
        row = EvaluationRun.objects.select_for_update().get(pk=run.pk)
        if row.has_ended:
            return False
        row.state, row.finished_at = EvaluationRun.State.CANCELLED, timezone.now()
        row.save(update_fields=["state", "finished_at"])
        if row.job_id:
            jobs.cancel(row.job_id)
        evaluation_trials.give_back(row)
        evaluation_queue.dispatch()
    run.refresh_from_db()
    return True


def may_retry(viewer: Viewer, run: EvaluationRun) -> bool:
    """Whether the viewer may have a run that failed done again: asker, publisher, staff."""
    return may_stop(viewer, run) or (run.is_public and can(viewer, run.repo, to="write"))


def retry(viewer: Viewer, run: EvaluationRun) -> EvaluationRun:
    """Do a run that failed or was stopped again; the shards that are done stay done.

    Raises:
        ForbiddenError: it is not the viewer's.
        EvaluationOpenError: it did not fail, or another one of the same was asked for since.
        PurchaseRequiredError: it was a trial, and too few demo tokens are left.
        NotRunnableError: the revision cannot run here any more.
        TooManyEvaluationsError: not now.
    """
    user = viewer.identified()
    if not may_retry(viewer, run):
        raise ForbiddenError(_("Only who asked for an evaluation, its publisher, and staff may."))
    needed_files(run.repo, run.commit_oid)
    try:
        with transaction.atomic():
            _lock(user)
            _check_open(user)
            rows = EvaluationRun.objects.filter(pk=run.pk, state__in=EvaluationRun.ENDED_WITHOUT)
            values = {"state": EvaluationRun.State.QUEUED, "job": None, "finished_at": None}
            values |= _paid_again(viewer, run)
            if not rows.update(**values, error_code="", error=""):
                raise EvaluationOpenError(_("This evaluation has not failed."))
            evaluation_queue.dispatch()
    except IntegrityError as error:
        raise EvaluationOpenError(
            _("This suite was asked for again since. Look at the newer evaluation.")
        ) from error
    run.refresh_from_db()
    return run


def _paid_again(viewer: Viewer, run: EvaluationRun) -> dict[str, Any]:
    """Take the demo tokens of a trial again, and return its new record."""
    if not run.record.get(evaluation_trials.TRIAL_TOKENS):
        return {}
    cost = evaluation_trials.cost_for(viewer, run.repo, run.commit_oid, run.suite)
    evaluation_trials.take(viewer, run.repo, cost)
    return {"record": run.record | {evaluation_trials.TRIAL_TOKENS: cost}}


def add_note(viewer: Viewer, run: EvaluationRun, text: str) -> EvaluationNote:
    """Say something in public about a public run: its publisher disputes it, staff answer.

    Raises:
        UnauthenticatedError, ForbiddenError, MissingScopeError: it is not the viewer's to say.
        InvalidError: the text is empty, too long, or the run has all the notes it can have.
    """
    user, run = viewer.identified(), run.measured
    if not run.is_public:
        raise ForbiddenError(_("A private evaluation has no public notes."))
    if not (viewer.is_staff or can(viewer, run.repo, to="write")):
        raise ForbiddenError(_("Only the publisher of a model and staff may note something here."))
    text = check_text(text)
    if len(text) > MAX_NOTE_CHARS:
        raise InvalidError(
            _("A note has at most %(most)d characters.") % {"most": MAX_NOTE_CHARS},
            most=MAX_NOTE_CHARS,
        )
    with transaction.atomic():
        _lock(user)
        if run.notes.count() >= MAX_NOTES:
            raise InvalidError(_("This evaluation has as many notes as one can have."))
        return EvaluationNote.objects.create(run=run, author=user, text=text)


def _is_scores_only(viewer: Viewer, repo: ModelRepo, suite: Suite) -> bool:
    is_member = viewer.role_at(repo.namespace_id, repo.public_id) is not None
    return bool(repo.is_sold) and not suite.is_public and not is_member


def _made(
    repo: ModelRepo,
    commit_oid: str,
    suite: Suite,
    *,
    user: User | None,
    record: dict[str, Any],
) -> tuple[EvaluationRun, bool]:
    try:
        with transaction.atomic():
            run = EvaluationRun.objects.create(
                repo=repo,
                commit_oid=commit_oid,
                suite=suite,
                asked_by=user,
                is_public=suite.is_public,
                record=record,
            )
    except IntegrityError:  # asked for at the same moment
        found = public_run(repo, commit_oid, suite)
        if found is None:
            raise
        return found, False
    carry_over(run)
    return run, True


def _lock(user: User) -> None:
    lock_name(f"evaluations of {user.pk}")


def _check_room(user: User) -> None:
    most: int = settings.ENV.user_evaluations_per_day
    since = timezone.now() - timedelta(days=1)
    asked = EvaluationRun.objects.filter(asked_by=user, created_at__gt=since).count()
    if most and asked >= most:
        raise TooManyEvaluationsError(
            _("You may ask for %(most)d evaluations a day. Come back tomorrow.") % {"most": most},
            retry_after_s=3600,
            limit=most,
        )
    _check_open(user)


def _check_open(user: User) -> None:
    rows = EvaluationRun.objects.filter(asked_by=user, state__in=EvaluationRun.OPEN)
    if rows.count() >= MAX_OPEN_OF_PERSON:
        raise TooManyEvaluationsError(
            _("You have %(most)d evaluations open. Wait for one to end, or stop one.")
            % {"most": MAX_OPEN_OF_PERSON},
            retry_after_s=60,
            limit=MAX_OPEN_OF_PERSON,
        )
