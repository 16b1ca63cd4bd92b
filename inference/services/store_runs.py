"""What the store measures by itself: the suites of each new revision of what can run."""

import logging

from django.conf import settings
from django.utils import timezone

from catalog.models import Listing, ModelRepo, RepoEvent
from inference.models import EvaluationRun
from inference.services import evaluations, suites
from inference.services.weights import NotRunnableError

logger = logging.getLogger(__name__)

NO_SUITE, EVERY_SUITE = "none", "all"


def after_event(event_id: int) -> int:
    """Evaluate the head of a repository whose contents changed. Safe to repeat.

    Returns:
        How many runs there are for the head now.
    """
    event = RepoEvent.objects.filter(pk=event_id, scope=RepoEvent.Scope.CONTENT).first()
    return evaluate_head(event.repo_id) if event is not None and event.repo_id else 0


def evaluate_head(repo_id: int) -> int:
    """Ask for the site's suites on the head of a repository, if it can run. Safe to repeat.

    Runs of the store that wait for an earlier commit are taken back.

    Returns:
        How many runs there are for the head now.
    """
    keys = site_suites()
    listing = Listing.objects.filter(repo_id=repo_id, is_runnable=True).first()
    if not keys or listing is None or not listing.head_oid:
        return 0
    _supersede(repo_id, listing.head_oid)
    return len(_asked(listing, keys))


def site_suites() -> list[str]:
    """Return the keys of the suites the store runs by itself on each new revision."""
    return [key for key in settings.ENV.evaluate_on_publish if key != NO_SUITE]


def demo_suites() -> list[str]:
    """Return the keys of the suites the first start runs, those of new revisions first."""
    wanted = settings.ENV.evaluate_demo
    first = site_suites()
    if EVERY_SUITE not in wanted:
        return [key for key in wanted if key != NO_SUITE]
    return sorted((suite.key for suite in suites.sync()), key=lambda key: (key not in first, key))


def evaluate_all(repo: ModelRepo, keys: list[str]) -> list[EvaluationRun]:
    """Ask for suites on the head of a repository, by the store itself; what cannot run is left."""
    listing = Listing.objects.filter(repo=repo, is_runnable=True).first()
    return _asked(listing, keys) if listing is not None and listing.head_oid else []


def _asked(listing: Listing, keys: list[str]) -> list[EvaluationRun]:
    repo = ModelRepo.objects.select_related("namespace").get(pk=listing.repo_id)
    runs = []
    for key in keys:
        try:
            runs.append(evaluations.ask_for_store(repo, listing.head_oid, suites.builtin(key)))
        except NotRunnableError as error:  # not clean yet; the scan's end asks again
            logger.info("%s is not evaluated: %s", repo.full_name, error.message)
        except suites.SuiteNotFoundError as error:
            logger.warning("STORE_EVALUATE_ON_PUBLISH: %s", error.message)
    return runs


def _supersede(repo_id: int, head_oid: str) -> None:
    waiting = EvaluationRun.objects.filter(
        repo_id=repo_id, asked_by=None, state=EvaluationRun.State.QUEUED, job=None
    )
    waiting.exclude(commit_oid=head_oid).update(
        state=EvaluationRun.State.CANCELLED,
        error_code="superseded",
        error="A newer revision was published before its turn came.",
        finished_at=timezone.now(),
    )
