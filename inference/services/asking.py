"""Which suites a person can ask for on a page."""

from django.conf import settings

from accounts.viewer import Viewer
from inference.models import Suite
from inference.services import suites

MOST_CHOICES = 200


def choices_for(viewer: Viewer) -> list[Suite]:
    """Return the newest version of each suite ``viewer`` may use: their own, then by title.

    Tasks of the harness are there once somebody has asked for them by name.
    """
    suites.sync()
    rows = suites.visible_to(viewer).defer("spec").order_by("key", "-version").distinct("key")
    found = list(rows[:MOST_CHOICES])
    return sorted(found, key=lambda suite: (suite.is_public, suite.kind, suite.title.lower()))


def harness_tasks() -> list[str] | None:
    """Return tasks of lm-evaluation-harness to suggest; ``None``: this site runs none by name.

    Where it runs all, those are too many to list: the answer is empty.
    """
    allowed = settings.ENV.eval_tasks
    return [name for name in allowed if name != "*"] if allowed else None


def chosen(viewer: Viewer, public_id: str, task: str = "") -> Suite:
    """Return the suite that was chosen on a page.

    Args:
        viewer: Who asks.
        public_id: Of the suite, or its key.
        task: Of lm-evaluation-harness, by name, instead of a suite; empty: none.

    Raises:
        UnauthenticatedError: a visitor asks for a task.
        SuiteNotFoundError: there is none, or it is somebody else's.
        TaskNotAllowedError: the site does not run this task.
    """
    if task:
        viewer.signed_in()
        return suites.harness_suite(task.removeprefix(suites.HARNESS_PREFIX))
    found = suites.visible_to(viewer).filter(public_id=public_id).first()
    return found or suites.suite_for(viewer, public_id[:128])
