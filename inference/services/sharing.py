"""Showing a run to others by a link, and taking the link back."""

from django.utils.translation import gettext as _

from accounts.viewer import Viewer
from catalog.access import repo_for
from inference.models import GenerationRun, ShareLink
from inference.services.runs import RunNotFoundError, check_theirs
from store.core.errors import ConflictError, StoreError


class RunOpenError(ConflictError):
    """The run still writes; its end is not known."""

    code = "run_open"


def share(viewer: Viewer, run: GenerationRun, visitor_key: str = "") -> ShareLink:
    """Make the link of a run. Safe to repeat: a run has one.

    Raises:
        RunNotFoundError: it is somebody else's.
        RunOpenError: it has not ended.
    """
    check_theirs(viewer, run, visitor_key)
    if not run.has_ended:
        raise RunOpenError(_("It is still being written. Share it once it has ended."))
    return ShareLink.objects.get_or_create(run=run)[0]


def unshare(viewer: Viewer, run: GenerationRun, visitor_key: str = "") -> bool:
    """Take the link back: it leads nowhere from now on, and a new one will be another.

    Returns:
        Whether there was one.

    Raises:
        RunNotFoundError: the run is somebody else's.
    """
    check_theirs(viewer, run, visitor_key)
    return bool(ShareLink.objects.filter(run=run).delete()[0])


def shared_run(viewer: Viewer, token: str) -> GenerationRun:
    """Return what a link shows. It follows the model: who may not know of it, sees nothing.

    Raises:
        RunNotFoundError: no such link, or the model is hidden from the viewer or taken down.
    """
    links = ShareLink.objects.select_related("run__repo__namespace")
    link = links.filter(token=token).first()
    if link is not None and not link.run.repo.disabled_reason:
        repo = link.run.repo
        try:
            repo_for(viewer, repo.namespace.name, repo.name)
        except StoreError:
            pass
        else:
            return link.run
    raise RunNotFoundError(_("This link leads nowhere: it was taken back, or has expired."))
