"""Models people name in a form: which there are to offer, and the one they mean."""

from collections.abc import Iterable
from contextlib import suppress

from django.http import HttpRequest

from accounts.views.guards import viewer_of
from catalog.access import RepoNotFoundError
from catalog.models import Listing, ModelRepo
from inference.services import runs
from inference.services.naming import repo_named

_OFFERED = 50
"""Models the fields offer; any other can be typed."""


def named(request: HttpRequest, full_name: str) -> ModelRepo:
    """Return the model somebody typed the name of; one that moved by its old name, too.

    Raises:
        RepoNotFoundError: absent or hidden: the two look the same.
    """
    try:
        return repo_named(viewer_of(request), full_name.strip())
    except RepoNotFoundError as error:
        error.message = f"There is no model {full_name.strip()}."
        raise


def offered() -> list[str]:
    """Return public models that can run, the most wanted first, for fields to offer."""
    rows = Listing.objects.filter(is_private=False, is_runnable=True).order_by("-popularity")
    return list(rows.values_list("full_name", flat=True)[:_OFFERED])


def trials_of(request: HttpRequest, names: Iterable[str]) -> list[tuple[str, int]]:
    """Return which of these models the reader would try before buying, and the demo tokens left."""
    found = []
    for name in filter(None, dict.fromkeys(map(str.strip, names))):
        with suppress(RepoNotFoundError):
            repo = named(request, name)
            left = runs.trial_left(viewer_of(request), repo)
            if left is not None:
                found.append((repo.full_name, left))
    return found
