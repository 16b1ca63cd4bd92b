"""Prompts and texts are private and are not kept for longer than they are of use."""

from datetime import timedelta

from django.utils import timezone

from inference.models import Explanation, GenerationRun

KEEP_VISITORS = timedelta(days=1)
KEEP_PEOPLES = timedelta(days=30)


def forget_old() -> int:
    """Delete ended runs: a visitor's after a day, a person's after 30; walks after a day.

    Explanations go with their runs. Returns how many rows were deleted.
    """
    now = timezone.now()
    ended = GenerationRun.objects.filter(state__in=GenerationRun.ENDED)
    visitors = ended.filter(user=None, finished_at__lt=now - KEEP_VISITORS)
    peoples = ended.filter(finished_at__lt=now - KEEP_PEOPLES)
    walks = Explanation.objects.filter(run=None, finished_at__lt=now - KEEP_VISITORS)
    return visitors.delete()[0] + peoples.delete()[0] + walks.delete()[0]
