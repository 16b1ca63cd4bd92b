"""Asking why a model wrote what it wrote; the answers belong to whoever the text belongs to."""

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from accounts.viewer import Viewer
from catalog.access import repo_for
from catalog.history.refs import DEFAULT_BRANCH, resolve
from catalog.models import ModelRepo
from inference.box.explain_messages import MAX_PROMPT_CHANCES
from inference.models import Explanation, GenerationRun, ScoredText
from inference.services import queueing, quotas, runs
from inference.services.explain_params import (
    AskedExplanation,
    AskedWalk,
    key_of,
    read_explanation,
    read_walk,
)
from inference.services.params import check_prompt
from inference.services.weights import needed_files
from licensing.delivery.policy import check_reached
from licensing.services import trials
from store.core.errors import (
    ConflictError,
    NotFoundError,
    RateLimitedError,
    TransientError,
)
from store.core.jobs import JobName, enqueue

MAX_OPEN = 4
COST_TOKENS = {"tokens": 16, "saliency": 32, "attention": 16, "lens": 16, "walk": 16}
"""What an explanation takes of the asker's tokens of the day: it reads the text once; to trace a
token back it goes through the model twice more."""
_CHARS_PER_TOKEN = 4
"""Of English, roughly; the web process counts no tokens."""


class ExplanationNotFoundError(NotFoundError):
    """The explanation is absent, or somebody else's: the two look the same."""

    code = "explanation_not_found"


class NothingToExplainError(ConflictError):
    """The run has not ended yet, or has no such text."""

    code = "nothing_to_explain"


class TooManyExplanationsError(RateLimitedError):
    """The asker has as many questions open as one may have."""

    code = "too_many_explanations"


def find(run: GenerationRun, asked: AskedExplanation) -> Explanation | None:
    """Return the newest answer to the same question, if it was asked before."""
    same = Explanation.objects.filter(run=run, kind=asked.kind, key=key_of(asked.params()))
    return same.order_by("-id").first()


def ask(viewer: Viewer, run: GenerationRun, asked: AskedExplanation) -> Explanation:
    """Queue a question about a run, or return the one that was asked before and has not failed.

    Of a model somebody only tries, chances take a demo token for each token they are told of, the
    prompt's too; the other kinds what they cost of the tokens of the day.

    Args:
        viewer: Who asks.
        run: Through ``runs.read``, so it is theirs.
        asked: What.

    Raises:
        NothingToExplainError: the run goes on, failed, or has no such text.
        RepoDisabledError, GatedRepoError, PurchaseRequiredError: the model is not for them now.
        TrialUsedUpError: it is sold, and they have not enough demo tokens left.
        NotRunnableError: the revision cannot run here any more.
        TooManyExplanationsError, QueueFullError, QuotaExceededError: not now.
        TransientError: the queue cannot be reached.
    Nothing is queued in any of these cases.
    """
    if not run.has_ended or run.state == GenerationRun.State.FAILED:
        raise NothingToExplainError(_("Only a text that has been written can be explained."))
    if asked.sequence >= len(run.texts):
        raise NothingToExplainError(
            _("This generation has %(count)d texts; there is no text %(number)d.")
            % {"count": len(run.texts), "number": asked.sequence}
        )
    found = find(run, asked)
    if found is not None and found.state != Explanation.State.FAILED:
        return found
    is_trial = runs.check_right(viewer, run.repo, run.commit_oid)
    files = needed_files(run.repo, run.commit_oid, run.gguf_file)
    explanation = Explanation(
        run=run,
        repo=run.repo,
        commit_oid=run.commit_oid,
        user=run.user,
        visitor_key=run.visitor_key,
        asker=quotas.asker_of(viewer),
        kind=asked.kind,
        params=asked.params(),
        created_at=timezone.now(),
    )
    trial_tokens = _told_of(run, asked) if is_trial else 0
    return _queue(explanation, trial_tokens=trial_tokens, memory_bytes=files.least_bytes)


def ask_walk(
    viewer: Viewer, repo: ModelRepo, prompt: str, asked: AskedWalk, *, visitor_key: str = ""
) -> Explanation:
    """Queue a walk of a prompt through a public model.

    Raises:
        InvalidParamsError: the prompt cannot be used.
        NotRunnableError: the model cannot run here.
        TooManyExplanationsError, QueueFullError, QuotaExceededError: not now.
        TransientError: the queue cannot be reached.
    Nothing is queued in any of these cases.
    """
    check_prompt(prompt)
    commit_oid = check_reached(viewer, repo, DEFAULT_BRANCH)
    files = needed_files(repo, commit_oid)
    explanation = Explanation(
        repo=repo,
        commit_oid=commit_oid,
        user=viewer.user,
        visitor_key=runs.hashed(visitor_key) if viewer.is_visitor else "",
        asker=quotas.asker_of(viewer),
        kind=Explanation.Kind.WALK,
        prompt=prompt,
        params=asked.model_dump(mode="json"),
        created_at=timezone.now(),
    )
    return _queue(explanation, trial_tokens=0, memory_bytes=files.least_bytes)


def ask_of_text(viewer: Viewer, repo: ModelRepo, text: ScoredText, *, place: int) -> Explanation:
    """Queue the question how likely each token of a text is to a model.

    Of a model somebody only tries, it takes a demo token for each token read: probabilities of any
    text one likes are what a copy would learn from.

    Args:
        viewer: Who asks.
        repo: Through ``catalog.access``, so its visibility is settled.
        text: A row that is written.
        place: Which of its models this is, from 0.

    Raises:
        RepoDisabledError, GatedRepoError, MissingScopeError: the model is not for them.
        TrialUsedUpError: it is sold, and they have not enough demo tokens left.
        NotRunnableError: it cannot run here.
        TooManyExplanationsError, QueueFullError, QuotaExceededError: not now.
        TransientError: the queue cannot be reached.
    Nothing is queued in any of these cases.
    """
    is_trial = runs.check_right(viewer, repo, DEFAULT_BRANCH)
    commit_oid = resolve(repo, DEFAULT_BRANCH).commit_oid
    files = needed_files(repo, commit_oid)
    explanation = Explanation(
        scored_text=text,
        place=place,
        repo=repo,
        commit_oid=commit_oid,
        user=text.user,
        visitor_key=text.visitor_key,
        asker=quotas.asker_of(viewer),
        kind=Explanation.Kind.TOKENS,
        params={"top": 5},
        created_at=timezone.now(),
    )
    trial_tokens = _tokens_of(text) if is_trial else 0
    return _queue(explanation, trial_tokens=trial_tokens, memory_bytes=files.least_bytes)


def again(viewer: Viewer, explanation: Explanation) -> Explanation:
    """Ask a question that was not answered once more. Of a scored text the new one replaces it.

    Raises:
        ExplanationNotFoundError: it is somebody else's, or was answered.
        StoreError: as from ``ask``, ``ask_walk`` and ``ask_of_text``.
    """
    is_theirs = runs.is_theirs(explanation.run or explanation, viewer, "")
    if not is_theirs or explanation.state != Explanation.State.FAILED:
        raise ExplanationNotFoundError(_("There is no such question without an answer."))
    values = explanation.params | {"kind": explanation.kind}
    if explanation.run is not None:
        return ask(viewer, explanation.run, read_explanation(values))
    repo = repo_for(viewer, *explanation.repo.full_name.split("/"))
    if explanation.scored_text is None:
        return ask_walk(viewer, repo, explanation.prompt, read_walk(values))
    with transaction.atomic():
        text, place = explanation.scored_text, explanation.place
        explanation.delete()
        return ask_of_text(viewer, repo, text, place=place)


def trial_of(viewer: Viewer, run: GenerationRun, asked: AskedExplanation) -> tuple[int, int] | None:
    """Return the demo tokens a question would take, and how many are left; ``None``: it takes none.

    Args:
        viewer: Who would ask.
        run: Through ``runs.read``, so it is theirs.
        asked: What.
    """
    left = runs.trial_left(viewer, run.repo, run.commit_oid)
    return None if left is None else (_told_of(run, asked), left)


def _told_of(run: GenerationRun, asked: AskedExplanation) -> int:
    """Return the demo tokens a question takes: one for each token whose probability it tells.

    At most, that is: how long one of several texts is, and a prompt nobody has read yet, the web
    process does not know.
    """
    least = COST_TOKENS[asked.kind]
    if asked.kind != "tokens":
        return least
    prompt = min(run.prompt_tokens or MAX_PROMPT_CHANCES, MAX_PROMPT_CHANCES)
    return max(least, prompt + min(run.new_tokens, int(run.params["max_new_tokens"])))


def _tokens_of(text: ScoredText) -> int:
    """Return about how many tokens are read; at least what every explanation takes."""
    chars = len(text.prompt) + len(text.text)
    return max(COST_TOKENS["tokens"], -(-chars // _CHARS_PER_TOKEN))


def read(viewer: Viewer, public_id: str, visitor_key: str = "") -> Explanation:
    """Return an explanation to whoever asked for it, and to nobody else.

    Raises:
        ExplanationNotFoundError: there is none, or it is somebody else's.
    """
    rows = Explanation.objects.select_related("run", "repo__namespace", "job")
    found = rows.filter(public_id=public_id).first()
    if found is None or not runs.is_theirs(found.run or found, viewer, visitor_key):
        raise ExplanationNotFoundError(_("There is no such explanation, or it has been deleted."))
    return found


def read_of(run: GenerationRun, public_id: str) -> Explanation:
    """Return an explanation of a run that is the viewer's, through ``runs.read``.

    Raises:
        ExplanationNotFoundError: there is none.
    """
    rows = Explanation.objects.select_related("repo__namespace", "job")
    found = rows.filter(run=run, public_id=public_id).first()
    if found is None:
        raise ExplanationNotFoundError(_("There is no such explanation, or it has been deleted."))
    return found


def _queue(explanation: Explanation, *, trial_tokens: int, memory_bytes: int) -> Explanation:
    """Take the tokens and write the row, one question of an asker at a time.

    Args:
        explanation: Not saved yet.
        trial_tokens: Demo tokens it takes; 0: the asker has a right to the model.
        memory_bytes: The least a worker must have.
    """
    explanation.key = key_of(explanation.params)
    cost = COST_TOKENS[explanation.kind]
    taken = 0
    try:
        with transaction.atomic():
            queueing.lock_asker(explanation.asker)
            if (same := _same(explanation)) is not None:
                return same
            _check_room(explanation.asker)
            if trial_tokens:
                trials.take(explanation.repo, explanation.asker, trial_tokens)
                explanation.trial_tokens = trial_tokens
            taken = quotas.reserve(explanation.asker, cost, now=explanation.created_at)
            explanation.reserved_tokens = taken
            explanation.save()
            explanation.job = enqueue(
                JobName.EXPLAIN,
                asker=explanation.asker,
                memory_bytes=memory_bytes,
                explanation_id=explanation.pk,
            )
            explanation.save(update_fields=["job"])
    except RedisError as error:
        raise TransientError(_("The queue cannot be reached. Try again in a minute.")) from error
    except BaseException:
        quotas.give_back(explanation.asker, taken, day=explanation.created_at)
        raise
    return explanation


def _same(explanation: Explanation) -> Explanation | None:
    """Return the same question, asked a moment ago in another window."""
    if explanation.run is None:
        return None
    same = Explanation.objects.filter(
        run=explanation.run, kind=explanation.kind, key=explanation.key
    )
    return same.exclude(state=Explanation.State.FAILED).first()


def _check_room(asker: str) -> None:
    mine = Explanation.objects.filter(asker=asker, state__in=Explanation.OPEN)
    if mine.count() >= MAX_OPEN:
        raise TooManyExplanationsError(
            _("You have %(most)d questions open. Wait for one to be answered.")
            % {"most": MAX_OPEN},
            retry_after_s=5,
            limit=MAX_OPEN,
        )
    queueing.check_queue()
