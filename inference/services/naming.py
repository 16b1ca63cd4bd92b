"""How programs name a model: ``ns/name``, ``ns/name@revision``, or a short name staff gave it."""

from accounts.viewer import Viewer
from catalog.access import RepoMovedError, RepoNotFoundError, canonical_alias, repo_for
from catalog.models import ModelRepo


def model_named(viewer: Viewer, text: str) -> tuple[ModelRepo, str]:
    """Return the model and the revision somebody named; empty: the default branch.

    A model that was renamed is found by its old name, too.

    Args:
        viewer: Who asks.
        text: The name.

    Raises:
        RepoNotFoundError: absent or hidden.
    """
    name, _, revision = text.partition("@")
    full_name = name if "/" in name else canonical_alias(viewer, name) or ""
    namespace, _, short = full_name.partition("/")
    if not (namespace and short) or "/" in short:
        raise RepoNotFoundError(
            f"There is no model {text[:200]}. A model is named ns/name; GET /v1/models lists them."
        )
    return repo_named(viewer, full_name), revision


def repo_named(viewer: Viewer, full_name: str) -> ModelRepo:
    """Return the model of a full name, ``ns/name``; one that was renamed by its old name, too.

    Raises:
        RepoNotFoundError: absent or hidden: the two look the same.
    """
    namespace, _slash, name = full_name.partition("/")
    try:
        return repo_for(viewer, namespace, name)
    except RepoMovedError as moved:
        return moved.repo
