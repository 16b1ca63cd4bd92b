"""Which model the page "How it works" takes apart."""

from django.conf import settings

from accounts.viewer import Viewer
from catalog.access import repo_for
from catalog.history.refs import DEFAULT_BRANCH
from catalog.models import Listing, ModelRepo
from inference.services.weights import needed_files
from licensing.delivery.policy import check_reached
from store.core.errors import StoreError

_TRIED = 20


def walk_model() -> ModelRepo | None:
    """Return the model of the setting, else the smallest that everybody may have and that runs.

    ``None``: there is none.
    """
    chosen = settings.ENV.walk_model
    if chosen:
        namespace, _, name = chosen.partition("/")
        try:
            return _usable(repo_for(Viewer(), namespace, name))
        except StoreError:
            return None
    rows = Listing.objects.filter(is_runnable=True, is_private=False, parameters__isnull=False)
    for listing in rows.select_related("repo__namespace").order_by("parameters", "pk")[:_TRIED]:
        if (found := _usable(listing.repo)) is not None:
            return found
    return None


def _usable(repo: ModelRepo) -> ModelRepo | None:
    """Return ``repo`` if a visitor may have it and it runs."""
    try:
        needed_files(repo, check_reached(Viewer(), repo, DEFAULT_BRANCH))
    except StoreError:
        return None
    return repo
