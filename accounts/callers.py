"""Who calls, as far as counters want to know: the same one as before, and a person or a machine."""

import hashlib
import re

from django.conf import settings
from django.db import models
from django.utils import timezone

from accounts.viewer import Viewer

_CI = re.compile(
    r"is_ci/true|github-actions|gitlab-runner|jenkins|circleci|buildkite", re.IGNORECASE
)
_BOT = re.compile(
    r"bot\b|crawler|spider|slurp|facebookexternalhit|monitor|headlesschrome", re.IGNORECASE
)
_BROWSER = re.compile(r"^Mozilla/")


class CallerKind(models.TextChoices):
    """What calls, as far as the request tells."""

    BROWSER = "browser"
    LIBRARY = "library"
    CI = "ci"
    BOT = "bot"


def caller_key(viewer: Viewer, user_agent: str) -> str:
    """Return today's opaque name of a caller: another one every day, and never stored."""
    who = f"user:{viewer.user.pk}" if viewer.user else f"{viewer.address} {user_agent}"
    salted = f"{settings.SECRET_KEY} {timezone.now().date()} {who}"
    return hashlib.sha256(salted.encode()).hexdigest()[:20]


def kind_of(user_agent: str) -> CallerKind:
    """Return what kind of caller a ``User-Agent`` speaks of."""
    if _CI.search(user_agent):
        return CallerKind.CI
    if _BOT.search(user_agent):
        return CallerKind.BOT
    if _BROWSER.match(user_agent):
        return CallerKind.BROWSER
    return CallerKind.LIBRARY
