"""How programs name a model: ``ns/name``, ``ns/name@revision``, or a short name staff gave it.

``:Q4_K_M`` behind it names one of several GGUF files, as other programs do.
"""

from typing import NamedTuple

from accounts.viewer import Viewer
from catalog.access import RepoMovedError, RepoNotFoundError, canonical_alias, repo_for
from catalog.models import ModelRepo


class Named(NamedTuple):
    """What somebody named."""

    repo: ModelRepo
    revision: str
    """Empty: the default branch."""
    weights: str
    """Of a GGUF file, for ``choosing_weights``; empty: the usual weights."""


def model_named(viewer: Viewer, text: str) -> Named:
    """Return the model, the revision and the file somebody named.

    A model that was renamed is found by its old name, too.

    Args:
        viewer: Who asks.
        text: The name.

    Raises:
        RepoNotFoundError: absent or hidden.
    """
    text, _, weights = text.partition(":")
    name, _, revision = text.partition("@")
    if not revision:
        weights, _, revision = weights.partition("@")
    full_name = name if "/" in name else canonical_alias(viewer, name) or ""
    namespace, _, short = full_name.partition("/")
    if not (namespace and short) or "/" in short:
        raise RepoNotFoundError(
            f"There is no model {text[:200]}. A model is named ns/name; GET /v1/models lists them."
        )
    return Named(repo_named(viewer, full_name), revision, weights)


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
