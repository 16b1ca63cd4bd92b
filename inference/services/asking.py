"""Which suites a person can ask for on a page."""

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


def chosen(viewer: Viewer, public_id: str) -> Suite:
    """Return the suite that was chosen on a page.

    Raises:
        SuiteNotFoundError: there is none, or it is somebody else's.
    """
    found = suites.visible_to(viewer).filter(public_id=public_id).first()
    return found or suites.suite_for(viewer, public_id[:128])
