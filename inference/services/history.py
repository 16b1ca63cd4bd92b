"""What somebody has asked so far: list, search, delete."""

from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.viewer import Viewer
from inference.models import GenerationRun, ShareLink
from inference.services import runs, streams
from inference.services.retention import KEEP_PEOPLES, KEEP_VISITORS
from inference.services.runs import check_theirs, hashed

MAX_QUERY_CHARS = 200


def own_runs(viewer: Viewer, visitor_key: str = "", *, text: str = "") -> QuerySet[GenerationRun]:
    """Return the runs of a person, or of a visitor's session, newest first, with ``is_shared``.

    Args:
        viewer: Who asks.
        visitor_key: Secret of the visitor's session.
        text: Keep those whose prompt or model's name has it, whatever the case of its letters.
    """
    link = ShareLink.objects.filter(run=OuterRef("pk"))
    rows = GenerationRun.objects.select_related("repo__namespace").order_by("-pk")
    rows = rows.annotate(is_shared=Exists(link))
    if viewer.reach is not None:  # it stands for single models, not for the whole person
        return rows.none()
    if viewer.user is not None:
        rows = rows.filter(user=viewer.user)
    elif visitor_key:
        rows = rows.filter(user=None, visitor_key=hashed(visitor_key))
    else:
        return rows.none()
    for word in text[:MAX_QUERY_CHARS].split():
        named = Q(repo__name__icontains=word) | Q(repo__namespace__name__icontains=word)
        said = Q(prompt__icontains=word) | Q(messages__icontains=word)
        rows = rows.filter(said | named)
    return rows


def keep_for(viewer: Viewer) -> timedelta:
    """Return how long a run is kept after its end."""
    return KEEP_VISITORS if viewer.is_visitor else KEEP_PEOPLES


def kept_until(viewer: Viewer, run: GenerationRun) -> datetime | None:
    """Return when an ended run is deleted by itself; ``None`` while it is open."""
    return run.finished_at + keep_for(viewer) if run.finished_at else None


def delete(viewer: Viewer, run: GenerationRun, visitor_key: str = "") -> None:
    """Delete a run with its text and its link; stop it first if it still writes.

    Raises:
        RunNotFoundError: it is somebody else's.
        TransientError: it still writes and cannot be stopped now; nothing was deleted.
    """
    check_theirs(viewer, run, visitor_key)
    if not run.has_ended:
        runs.cancel(viewer, run, visitor_key)
    streams.forget(run.public_id)
    run.delete()


def delete_all(viewer: Viewer, visitor_key: str = "") -> int:
    """Delete all runs of a person, or of a visitor's session. Returns how many."""
    count = 0
    for run in own_runs(viewer, visitor_key).iterator():
        delete(viewer, run, visitor_key)
        count += 1
    return count
