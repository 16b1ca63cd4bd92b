"""Asking a model for text, watching where the request stands, and taking it back."""

import hashlib
import hmac
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from accounts.models import Permission
from accounts.viewer import Viewer
from catalog.access import PurchaseRequiredError, repo_for
from catalog.history.refs import DEFAULT_BRANCH, resolve
from catalog.models import Listing, ModelRepo
from inference.box.conversation import Asked, Prompted, TokenPrompt
from inference.models import Explanation, GenerationRun
from inference.services import endings, quotas, streams
from inference.services.choosing_weights import file_named
from inference.services.params import (
    AskedParams,
    InvalidParamsError,
    check_all,
    messages_of,
    read_params,
)
from inference.services.payers import payer_of
from inference.services.queueing import queue
from inference.services.serving import server_of
from inference.services.weights import needed_files
from licensing.delivery.policy import check_reached
from licensing.services import trials
from store.core import fairness, jobs, placing
from store.core.errors import ConflictError, NotFoundError, StoreError, TransientError
from store.core.models import Job

_RECENT = 20
"""Runs the expected wait is worked out from."""


class RunNotFoundError(NotFoundError):
    """The run is absent, or somebody else's: the two look the same."""

    code = "run_not_found"


class NoChatTemplateError(ConflictError):
    """The model has no template to make a prompt of messages; send a prompt."""

    code = "no_chat_template"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an open run stands."""

    state: str
    ahead: int
    """Requests that come first; 0: it is next, or runs."""
    expected_wait_s: float | None
    """Until it starts, from recent runs; ``None``: not enough is known."""
    problem: str = ""
    """Why no worker can take it now; empty: one can."""


def submit(
    viewer: Viewer,
    repo: ModelRepo,
    revision: str,
    asked: Prompted,
    params: AskedParams | Mapping[str, Any],
    *,
    visitor_key: str = "",
    organization: str = "",
    weights: str = "",
) -> GenerationRun:
    """Queue one generation; as ``submit_all``."""
    (run,) = submit_all(
        viewer,
        repo,
        revision,
        [asked],
        params,
        visitor_key=visitor_key,
        organization=organization,
        weights=weights,
    )
    return run


def submit_all(
    viewer: Viewer,
    repo: ModelRepo,
    revision: str,
    asked: Sequence[Prompted],
    params: AskedParams | Mapping[str, Any],
    *,
    visitor_key: str = "",
    organization: str = "",
    weights: str = "",
) -> list[GenerationRun]:
    """Queue a generation for each of several prompts, or for none of them.

    Args:
        viewer: Who asks.
        repo: Through ``catalog.access``, so its visibility is settled.
        revision: A branch, tag or commit id; empty: the default branch.
        asked: 1 to ``MAX_PROMPTS``, each of 1 to ``MAX_PROMPT_CHARS`` characters or tokens.
        params: Sampling values; see ``AskedParams``.
        visitor_key: Secret of the visitor's session; opens the run to them later.
        organization: Name of the organization the viewer acts for; empty: for themselves.
        weights: Name of one of several GGUF files (``choosing_weights``); empty: the usual ones.

    Raises:
        InvalidParamsError: prompt or values cannot be used.
        RevisionNotFoundError, WeightsNotFoundError: there is no such revision, or file to choose.
        RepoDisabledError, GatedRepoError, MissingScopeError: it is not for this viewer.
        TrialUsedUpError: it is sold, and more demo tokens were asked for than are left.
        NotYourOrganizationError: the viewer may not act for it.
        NotRunnableError, NoChatTemplateError: this revision cannot do it here, with the reason.
        TooManyRunsError, QueueFullError, QuotaExceededError: not now, or not so much.
        TransientError: the queue cannot be reached. Nothing is queued in any of these cases.
    """
    sampling = params if isinstance(params, AskedParams) else read_params(params)
    check_all(asked)
    is_trial = check_right(viewer, repo, revision or DEFAULT_BRANCH)
    _check_trial(sampling, is_trial=is_trial)
    commit_oid = resolve(repo, revision or DEFAULT_BRANCH).commit_oid
    gguf_file = file_named(repo, commit_oid, weights)
    memory_bytes = _check_runnable(repo, commit_oid, asked, sampling, gguf_file)
    kept: dict[str, Any] = {"repo": repo, "commit_oid": commit_oid, "gguf_file": gguf_file}
    kept |= {
        **_asked_by(viewer, visitor_key),
        "params": sampling.within(_context_of(repo, commit_oid)).model_dump(mode="json"),
        **payer_of(viewer, repo, organization, has_right=not is_trial).as_kept(),
    }
    made = [GenerationRun(**kept, **_as_kept(each)) for each in asked]
    queue(made, is_trial=is_trial, memory_bytes=memory_bytes)
    return made


def _asked_by(viewer: Viewer, visitor_key: str) -> dict[str, Any]:
    return {
        "user": viewer.user,
        "visitor_key": hashed(visitor_key) if viewer.is_visitor else "",
        "asker": quotas.asker_of(viewer),
        "created_at": timezone.now(),
    }


def _check_trial(params: AskedParams, *, is_trial: bool) -> None:
    """Refuse what would let people copy a model they have not bought.

    A bias lifts any token among the likeliest, and so reads its probability for one demo token.
    """
    if not is_trial:
        return
    if params.prompt_logprobs is not None:
        words = _("Probabilities of a prompt are told to those who hold a license; leave them out.")
        raise InvalidParamsError(words, fields={"prompt_logprobs": words})
    if params.logit_bias:
        words = _("logit_bias is for those who hold a license; leave it out.")
        raise InvalidParamsError(words, fields={"logit_bias": words})


def asked_of(run: GenerationRun) -> Asked:
    """Return what a run goes on from, for people: tokens as their text."""
    return run.prompt if run.messages is None else messages_of(run.messages)


def prompted_of(run: GenerationRun) -> Prompted:
    """Return the same as it is sent to the model: tokens where they came so."""
    return asked_of(run) if run.prompt_ids is None else TokenPrompt(ids=run.prompt_ids)


def _as_kept(asked: Prompted) -> dict[str, Any]:
    if isinstance(asked, str):
        return {"prompt": asked}
    if isinstance(asked, TokenPrompt):
        return {"prompt_ids": asked.ids}
    return {"messages": [message.model_dump() for message in asked]}


def _check_runnable(
    repo: ModelRepo,
    commit_oid: str,
    asked: Sequence[Prompted],
    params: AskedParams,
    gguf_file: str,
) -> int:
    """Refuse what no engine here can run. What a remote one can is its own affair.

    Returns:
        The least memory a worker must have for it, in bytes.
    """
    if server_of(repo, commit_oid) is not None:
        _check_remote(repo, asked, params, gguf_file)
        return 0
    files = needed_files(repo, commit_oid, gguf_file)
    is_chat = any(not isinstance(each, (str, TokenPrompt)) for each in asked)
    if is_chat and not files.has_chat_template:
        raise NoChatTemplateError(
            _("%(model)s has no chat template. Send a prompt instead of messages.")
            % {"model": repo.full_name}
        )
    return files.least_bytes


def _check_remote(
    repo: ModelRepo, asked: Sequence[Prompted], params: AskedParams, gguf_file: str
) -> None:
    """Refuse what servers elsewhere are not asked for."""
    problems = {
        "num_beams": params.num_beams > 1,
        "prompt_logprobs": params.prompt_logprobs is not None,
        "model": bool(gguf_file),
        "prompt": any(isinstance(each, TokenPrompt) for each in asked),
    }
    words = {
        "num_beams": _("%(model)s runs on a server that has no beam search; leave num_beams out."),
        "prompt_logprobs": _(
            "%(model)s runs on a server that tells no probabilities of prompts; leave echo or"
            " logprobs out."
        ),
        "model": _("%(model)s runs on a server that has one file of it; name none."),
        "prompt": _("%(model)s runs on a server that takes texts; send no token ids."),
    }
    for name, is_asked in problems.items():
        if is_asked:
            message = words[name] % {"model": repo.full_name}
            raise InvalidParamsError(message, fields={name: message})


def _context_of(repo: ModelRepo, commit_oid: str) -> int | None:
    """Return how many tokens the model takes, where it is known."""
    head = Listing.objects.filter(repo=repo, head_oid=commit_oid)
    return head.values_list("context_length", flat=True).first()


def check_right(viewer: Viewer, repo: ModelRepo, revision: str) -> bool:
    """Refuse whoever may not have the files; a fine-grained token must list the repository.

    Listing it is needed even for a public one: generations use up what the person has a day.
    Before they buy it, or an update of it, people may try a sold model with demo tokens if its
    seller gives some.

    Returns:
        Whether it is such a trial.
    """
    is_trial = False
    try:
        check_reached(viewer, repo, revision)
    except PurchaseRequiredError:
        if not trials.left(repo, quotas.asker_of(viewer)):
            raise
        is_trial = True
    if viewer.reach is not None:
        viewer.require_at(Permission.READ, repo.namespace_id, repo.public_id)
    return is_trial


def trial_left(viewer: Viewer, repo: ModelRepo, revision: str = "") -> int | None:
    """Return the demo tokens left to somebody who would try a model before buying it.

    ``None``: asking takes none, or would be refused and say why.
    """
    try:
        is_trial = check_right(viewer, repo, revision)
    except StoreError:
        return None
    return trials.left(repo, quotas.asker_of(viewer)) if is_trial else None


def read(viewer: Viewer, public_id: str, visitor_key: str = "") -> GenerationRun:
    """Return a run to whoever asked for it, and to nobody else: staff neither.

    Raises:
        RunNotFoundError: there is none, or it is somebody else's.
    """
    rows = GenerationRun.objects.select_related("repo__namespace", "job")
    run = rows.filter(public_id=public_id).first()
    return check_theirs(viewer, run, visitor_key)


def check_theirs(viewer: Viewer, run: GenerationRun | None, visitor_key: str = "") -> GenerationRun:
    """Return ``run`` if it is there and the viewer's own.

    Raises:
        RunNotFoundError: it is not: the two look the same.
    """
    if run is None or not is_theirs(run, viewer, visitor_key):
        raise RunNotFoundError(_("There is no such generation, or it has been deleted."))
    return run


def again(viewer: Viewer, run: GenerationRun) -> GenerationRun:
    """Ask the same of the same commit once more, for the same organization, as a run of its own.

    Raises:
        RunNotFoundError: it is somebody else's.
        StoreError: as from ``submit``.
    """
    if not is_theirs(run, viewer, ""):
        raise RunNotFoundError(_("There is no such generation, or it has been deleted."))
    repo = repo_for(viewer, *run.repo.full_name.split("/"))
    acting_for = run.organization.name if run.organization else ""
    asked = prompted_of(run)
    chosen = {"organization": acting_for, "weights": run.gguf_file}
    return submit(viewer, repo, run.commit_oid, asked, run.params, **chosen)


def cancel(viewer: Viewer, run: GenerationRun, visitor_key: str = "") -> bool:
    """Stop a run. What is written so far is kept.

    Returns:
        ``False``: it had ended already.

    Raises:
        RunNotFoundError: it is somebody else's.
    """
    check_theirs(viewer, run, visitor_key)
    try:
        streams.ask_to_stop(run.public_id)
    except RedisError as error:
        raise TransientError(_("The run cannot be stopped now. Try again.")) from error
    outcome = endings.cancelled(endings.written_so_far(run.public_id))
    was_open = endings.end(run.pk, outcome)
    if was_open and run.job_id:
        jobs.cancel(run.job_id)
    run.refresh_from_db()
    return was_open


def standing(run: GenerationRun | Explanation) -> Standing:
    """Return where a run (or a question) stands in the queue, and how long until it starts."""
    if run.state != GenerationRun.State.QUEUED or run.job is None:
        return Standing(run.state, 0, None)
    run.job.refresh_from_db()
    ahead = fairness.ahead_of(run.job)
    workers = placing.present()
    problem = placing.problem_of(run.job.queue, run.job.memory_bytes, workers)
    slots = placing.slots_of(run.job.queue, workers)
    wait_s = None if problem else _expected_wait_s(run.job.queue, ahead, slots)
    return Standing(run.state, ahead, wait_s, problem)


def texts_so_far(run: GenerationRun) -> list[str]:
    """Return the texts, as far as they have come."""
    if run.has_ended:
        return list(run.texts)
    return endings.written_so_far(run.public_id).texts


def tokens_per_s(run: GenerationRun) -> float | None:
    """Return the speed of an ended run, all sequences together; ``None`` when it is not known."""
    if not run.generate_s:
        return None
    return float(run.new_tokens / run.generate_s)


def _expected_wait_s(queue: str, ahead: int, slots: int) -> float | None:
    """Median time of recent runs, once for each round of workers that must finish first."""
    recent = GenerationRun.objects.filter(
        state=GenerationRun.State.DONE, started_at__isnull=False
    ).order_by("-id")[:_RECENT]
    took = [
        (run.finished_at - run.started_at).total_seconds()
        for run in recent
        if run.finished_at and run.started_at
    ]
    running = Job.objects.filter(queue=queue, state=Job.State.RUNNING).count()
    if len(took) < 3:
        return None
    slots = max(slots, running, 1)
    must_end = running + ahead - slots + 1
    return max(0, must_end) / slots * statistics.median(took)


def is_theirs(run: GenerationRun | Explanation, viewer: Viewer, visitor_key: str) -> bool:
    """Whether a run (or a walk) was asked for by this person, or in this visitor's session."""
    if run.user_id is not None:
        repo = run.repo
        return (
            viewer.user is not None
            and viewer.user.pk == run.user_id
            and viewer.allows(Permission.READ, repo.namespace_id, repo.public_id)
        )
    return bool(visitor_key) and hmac.compare_digest(run.visitor_key, hashed(visitor_key))


def hashed(visitor_key: str) -> str:
    """Return what is stored of a visitor's key."""
    return hashlib.sha256(visitor_key.encode()).hexdigest() if visitor_key else ""
