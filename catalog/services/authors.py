"""Who a pushed commit is by: what git believes, and what the store can say."""

from collections.abc import Callable

from accounts.models import Namespace
from accounts.viewer import Viewer
from catalog.history.refs import signature
from catalog.history.strict import CommitFacts
from catalog.models import ModelRepo


def naming(viewer: Viewer, repo: ModelRepo) -> Callable[[CommitFacts], str]:
    """Return how pages name the author of a pushed commit.

    Git believes any name. So only the pusher, known by address, is shown by user name; everybody
    else by the name the commit claims, and when that is somebody's user name who could not have
    committed here, it is marked.
    """
    pusher = viewer.identified()
    mine = {pusher.email.casefold(), _noreply(pusher.username)}
    known: dict[str, str] = {}

    def author_of(facts: CommitFacts) -> str:
        if facts.email.casefold() in mine:
            return pusher.username
        name = " ".join(facts.author.split())[:100] or "unknown"
        if name not in known:
            known[name] = name if _is_free(viewer, repo, name) else f"{name} (not verified)"
        return known[name]

    return author_of


def _noreply(username: str) -> str:
    return signature(username).decode().partition("<")[2].rstrip(">").casefold()


def _is_free(viewer: Viewer, repo: ModelRepo, name: str) -> bool:
    """Whether nobody is called so, or somebody who may write here."""
    found = Namespace.objects.select_related("user").filter(name__iexact=name).first()
    if found is None:
        return True
    return found.user is not None and Viewer(user=found.user).can_write(repo.namespace_id)
