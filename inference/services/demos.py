"""Demo generations: planned once for each new commit, read by whoever may see the model."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.db.models import F, Min, Q, QuerySet
from django.utils import timezone

from accounts.viewer import Viewer
from catalog.access import RepoDisabledError
from catalog.history.refs import DEFAULT_BRANCH, HEADS
from catalog.models import Listing, ModelRepo, RepoEvent
from inference.engines.config import remote_for
from inference.models import DemoGeneration
from inference.services.demo_set import demo_set
from inference.services.serving import server_of
from inference.services.weights import NotRunnableError, needed_files
from store.core.jobs import ERRAND, JobName, enqueue
from store.core.queues import MODEL_QUEUES, Queue

MAX_ATTEMPTS = 3
"""A prompt that could not be written on so often is given up."""
_MAIN = f"{HEADS}{DEFAULT_BRANCH}"
_WAITING = DemoGeneration.State.QUEUED
EXCERPT_CHARS = 160


@dataclass(frozen=True, slots=True)
class Demos:
    """The demo generations of one commit."""

    commit_oid: str
    """Empty: there are none."""
    rows: list[DemoGeneration]
    is_current: bool
    """Whether ``commit_oid`` is the newest one of the default branch."""
    why_none: str = ""
    """Why there are none, for people; empty when there are some, or they are yet to come."""


def plan(repo: ModelRepo, commit_oid: str) -> int:
    """Ask for the demo generations of a commit, unless they were asked for before.

    Returns:
        How many were asked for: the whole set or none. A commit that cannot run has none.
    """
    if _why_not(repo, commit_oid):
        return 0
    chosen = demo_set()
    rows = [
        DemoGeneration(
            repo=repo,
            commit_oid=commit_oid,
            set_version=chosen.version,
            number=prompt.number,
            prompt_key=prompt.key,
            way=prompt.way,
            prompt=prompt.prompt,
            params=prompt.params.model_dump(mode="json"),
        )
        for prompt in chosen.prompts
    ]
    with transaction.atomic():
        known = DemoGeneration.objects.filter(
            repo=repo, commit_oid=commit_oid, set_version=chosen.version
        )
        if known.exists():
            return 0
        # Two planners at once: the constraint lets each row in once.
        DemoGeneration.objects.bulk_create(rows, ignore_conflicts=True)
        ask()
    return len(rows)


def plan_head(repo_id: int) -> int:
    """Do that for the newest commit of a model, if it is there and can run."""
    listing = Listing.objects.filter(repo_id=repo_id).first()
    if listing is None or not listing.head_oid:
        return 0
    return plan(ModelRepo.objects.get(pk=repo_id), listing.head_oid)


def plan_scanned(repo_id: int, commit_oid: str) -> int:
    """Do that for a commit whose files were judged just now, where it is on no side branch."""
    repo = ModelRepo.objects.filter(pk=repo_id).first()
    if repo is None:
        return 0
    trunk = repo.refs.filter(name=_MAIN, commit_oid=commit_oid)
    return plan(repo, commit_oid) if trunk.exists() else plan_head(repo_id)


def plan_for_event(event_id: int) -> int:
    """Do that for every commit an event put on the default branch. Safe to repeat."""
    event = RepoEvent.objects.select_related("repo").filter(pk=event_id).first()
    if event is None or event.repo is None:
        return 0
    is_new = (event.scope, event.action) == (RepoEvent.Scope.REPO, RepoEvent.Action.CREATE)
    if not is_new and event.scope != RepoEvent.Scope.CONTENT:
        return 0
    moved = event.facts.get("updated_refs") or []
    oids = {ref.get("new") for ref in moved if ref.get("ref") == _MAIN} - {None, ""}
    known = event.repo.commits.filter(oid__in=oids).values_list("oid", flat=True)
    return sum(plan(event.repo, oid) for oid in known) + plan_head(event.repo.pk)


def ask() -> None:
    """Have what waits written, if anything does: one job a hardware class, behind everybody's runs.

    Safe to repeat; the sweeper does, for what a lost job left.
    """
    for hardware in MODEL_QUEUES:
        rows = _waiting_for(hardware)
        if rows.exists():
            least = rows.aggregate(least=Min("repo__listing__weights_bytes"))["least"]
            enqueue(
                JobName.MAKE_DEMOS,
                key=f"{ERRAND}:{hardware}",
                memory_bytes=0 if hardware == Queue.INFERENCE else least,
                hardware=str(hardware),
            )


def _waiting_for(hardware: str) -> QuerySet[DemoGeneration]:
    """Return what waits and is meant for a hardware class, as ``placing.class_of`` has it."""
    rows = DemoGeneration.objects.filter(state=_WAITING, repo__disabled_reason="")
    large = Q(repo__listing__weights_bytes__gte=settings.ENV.gpu_from_bytes)
    return rows.filter(large) if hardware == Queue.INFERENCE_GPU else rows.exclude(large)


def next_waiting(hardware: str) -> DemoGeneration | None:
    """Return the next one to write for a hardware class, the oldest first; count the attempt."""
    rows = _waiting_for(hardware).select_related("repo__namespace")
    row = rows.order_by("attempts", "id").first()
    if row is not None:
        row.attempts += 1
        DemoGeneration.objects.filter(pk=row.pk).update(attempts=F("attempts") + 1)
    return row


def put_back(row: DemoGeneration) -> None:
    """Leave one for later; it costs no attempt."""
    DemoGeneration.objects.filter(pk=row.pk, state=_WAITING).update(attempts=F("attempts") - 1)


def finish(
    row: DemoGeneration,
    *,
    text: str,
    finish_reason: str,
    prompt_tokens: int,
    new_tokens: int,
    generate_s: float | None,
) -> bool:
    """Write down what came of it. ``False``: it was written down before, or the model is gone."""
    return _end(
        row,
        state=DemoGeneration.State.DONE,
        text=text,
        finish_reason=finish_reason,
        prompt_tokens=prompt_tokens,
        new_tokens=new_tokens,
        generate_s=generate_s,
    )


def fail(row: DemoGeneration, *, code: str, message: str) -> bool:
    """Write down why there is no text. ``False``: as in ``finish``."""
    return _end(row, state=DemoGeneration.State.FAILED, error_code=code, error=message)


def _end(row: DemoGeneration, **changes: object) -> bool:
    waiting = DemoGeneration.objects.filter(pk=row.pk, state=_WAITING)
    return bool(waiting.update(finished_at=timezone.now(), **changes))


def demos_of(viewer: Viewer, repo: ModelRepo, commit_oid: str = "") -> Demos:
    """Return the demo generations of a commit; by default the newest that has any.

    Args:
        viewer: Who reads. Whoever sees a model sees them, a gate or a price aside.
        repo: Through ``catalog.access``.
        commit_oid: Full commit id; empty: the newest commit, or the last before it with texts.

    Raises:
        RepoDisabledError: staff took the model down and the viewer is none of them.
    """
    if repo.disabled_reason and not viewer.is_staff:
        raise RepoDisabledError(
            "This repository is disabled. Its page says why.", reason=repo.disabled_reason
        )
    head = Listing.objects.get(repo=repo)
    chosen = commit_oid or _newest_commit(repo, head.head_oid)
    rows = list(_newest_set(repo, chosen))
    why_none = "" if rows or commit_oid else _why_none(repo, head)
    is_current = chosen == head.head_oid
    return Demos(chosen if rows else "", rows, is_current, why_none)


def _newest_commit(repo: ModelRepo, head_oid: str) -> str:
    """Return the head if anything was asked of it, else the last commit that has texts."""
    rows = DemoGeneration.objects.filter(repo=repo)
    if rows.filter(commit_oid=head_oid).exists():
        return head_oid
    done = rows.filter(state=DemoGeneration.State.DONE).order_by("-id")
    return done.values_list("commit_oid", flat=True).first() or head_oid


def _newest_set(repo: ModelRepo, commit_oid: str) -> Iterable[DemoGeneration]:
    rows = DemoGeneration.objects.filter(repo=repo, commit_oid=commit_oid)
    version = rows.order_by("-set_version").values_list("set_version", flat=True).first()
    return rows.filter(set_version=version).order_by("number") if version is not None else []


def _why_none(repo: ModelRepo, listing: Listing) -> str:
    if not listing.is_runnable and remote_for(repo.full_name) is None:
        return listing.not_runnable_reason
    return _why_not(repo, listing.head_oid)


def _why_not(repo: ModelRepo, commit_oid: str) -> str:
    """Return why nothing here, and no server elsewhere, runs a commit; empty: something does."""
    if server_of(repo, commit_oid) is not None:
        return ""
    try:
        needed_files(repo, commit_oid)
    except NotRunnableError as error:
        return error.message
    return ""


def excerpts(listings: Iterable[Listing]) -> dict[int, str]:
    """Return the beginning of what each model wrote on the first prompt, by model; one query.

    Args:
        listings: Those of a list. Private and disabled ones have none.
    """
    heads = {row.pk: row.head_oid for row in listings if not row.is_private and row.head_oid}
    if not heads:
        return {}
    first = demo_set().prompts[0].key
    rows = DemoGeneration.objects.filter(
        repo_id__in=heads,
        commit_oid__in=set(heads.values()),
        prompt_key=first,
        way="seeded",
        state=DemoGeneration.State.DONE,
        repo__disabled_reason="",
    ).order_by("set_version")
    return {row.repo_id: excerpt(row.text) for row in rows if heads[row.repo_id] == row.commit_oid}


def excerpt(text: str, chars: int = EXCERPT_CHARS) -> str:
    """Return the beginning of ``text`` in one line, cut between words where it can be."""
    line = " ".join(text.split())
    if len(line) <= chars:
        return line
    cut = line[:chars]
    return f"{cut.rpartition(' ')[0] or cut}…"
