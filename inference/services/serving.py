"""Which server elsewhere runs a revision, if one does."""

from catalog.models import ModelRepo
from inference.engines.config import Remote, remote_for
from inference.services.weights import NotRunnableError, least_memory
from store.core import placing


def server_of(repo: ModelRepo, commit_oid: str) -> Remote | None:
    """Return the server that runs a revision; ``None``: the store's own box does, or nothing.

    A server that is named for a hardware class runs what the store would run on such hardware,
    models that are too large for any worker here included: clean, of a format it knows.
    """
    return remote_for(repo.full_name, lambda: _class_of(repo, commit_oid))


def _class_of(repo: ModelRepo, commit_oid: str) -> str:
    try:
        return placing.class_of(least_memory(repo, commit_oid))
    except NotRunnableError:
        return ""
