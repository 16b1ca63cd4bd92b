"""What clients show their users once, beside an answer that is good (``X-HF-Warning``)."""

from django.http import HttpResponse

from catalog.content.quotas import usage_of
from catalog.models import ModelRepo
from hub.answers import header_text
from store.core.ui.figures import size_text

ALMOST_FULL = 0.9


def warn(answer: HttpResponse, topic: str, text: str) -> HttpResponse:
    """Add a warning; clients print one text of each topic."""
    answer["X-HF-Warning"] = header_text(f"{topic}; {text}")
    return answer


def warn_of_room(answer: HttpResponse, repo: ModelRepo) -> HttpResponse:
    """Warn a publisher whose room is almost used up."""
    usage = usage_of(repo.namespace)
    if usage.quota_bytes is None or usage.share < ALMOST_FULL:
        return answer
    used, quota = size_text(usage.used_bytes), size_text(usage.quota_bytes)
    return warn(
        answer, "storage", f"{repo.namespace.name} uses {used} of {quota}.".replace("\u202f", " ")
    )
