"""Demo tokens of a sold model that judging it by one's own data set takes before it is bought."""

from collections.abc import Iterable

from accounts.viewer import Viewer
from catalog.access import PurchaseRequiredError
from catalog.history.refs import DEFAULT_BRANCH
from catalog.models import ModelRepo
from inference.models import EvaluationRun, Suite
from inference.services import quotas
from inference.services.datasets import MAX_NEW_TOKENS
from inference.services.suites import spec_of
from licensing.delivery.policy import check_reached
from licensing.services import trials
from store.core.errors import StoreError

TRIAL_TOKENS = "trial_tokens"
"""In ``record``: demo tokens it took; they are given back where it ends without scores."""


def cost_for(viewer: Viewer, repo: ModelRepo, revision: str, suite: Suite) -> int:
    """Return the demo tokens an evaluation takes; 0: the viewer may have the model's files.

    A row takes one for each of its choices or, where the model writes, as many as an answer may
    have.

    Raises:
        RepoDisabledError, GatedRepoError, PurchaseRequiredError: it is not for this viewer, not
            even to try: the suite is public, or no demo token is left.
    """
    try:
        check_reached(viewer, repo, revision)
    except PurchaseRequiredError:
        if suite.is_public or not trials.left(repo, quotas.asker_of(viewer)):
            raise
        return _cost_of(suite)
    return 0


def left_of(viewer: Viewer, repo: ModelRepo) -> int | None:
    """Return the demo tokens somebody has for judging a model before they buy it.

    ``None``: they need none, or the model is not for them, not even to try.
    """
    try:
        check_reached(viewer, repo, DEFAULT_BRANCH)
    except PurchaseRequiredError:
        return trials.left(repo, quotas.asker_of(viewer)) or None
    except StoreError:
        return None
    return None


def costs_of(own: Iterable[Suite]) -> list[tuple[str, int]]:
    """Return the title of each data set and the demo tokens it takes."""
    return [(suite.title, _cost_of(suite)) for suite in own]


def _cost_of(suite: Suite) -> int:
    rows = [row for task in spec_of(suite).tasks for row in task.rows]
    return sum(len(row.get("choices", ())) or MAX_NEW_TOKENS for row in rows)


def take(viewer: Viewer, repo: ModelRepo, tokens: int) -> None:
    """Use demo tokens, all or none.

    Raises:
        TrialUsedUpError: fewer are left; none are used.
    """
    if tokens:
        trials.take(repo, quotas.asker_of(viewer), tokens)


def give_back(run: EvaluationRun) -> None:
    """Return what a run took that has just ended without scores."""
    trials.give_back(run.repo_id, f"user:{run.asked_by_id}", run.record.get(TRIAL_TOKENS, 0))
