"""Prompts and texts are private and are not kept for longer than they are of use."""

from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from inference.models import Explanation, GenerationRun, ScoredText

KEEP_VISITORS = timedelta(days=1)
KEEP_PEOPLES = timedelta(days=30)


def forget_old() -> int:
    """Delete runs that have ended, walks and scored texts.

    A visitor's go after a day, as all walks do, a person's after 30; explanations go with their
    runs and texts. Returns how many rows were deleted.
    """
    now = timezone.now()
    ended = GenerationRun.objects.filter(state__in=GenerationRun.ENDED)
    visitors = ended.filter(user=None, finished_at__lt=now - KEEP_VISITORS)
    peoples = ended.filter(finished_at__lt=now - KEEP_PEOPLES)
    walks = Explanation.objects.filter(
        run=None, scored_text=None, finished_at__lt=now - KEEP_VISITORS
    )
    texts = ScoredText.objects.filter(
        Q(user=None, created_at__lt=now - KEEP_VISITORS) | Q(created_at__lt=now - KEEP_PEOPLES)
    )
    return sum(rows.delete()[0] for rows in (visitors, peoples, walks, texts))
