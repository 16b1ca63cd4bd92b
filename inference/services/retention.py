"""Prompts and texts are private and are not kept for longer than they are of use."""

from datetime import timedelta

from django.utils import timezone

from inference.models import GenerationRun

KEEP_VISITORS = timedelta(days=1)
KEEP_PEOPLES = timedelta(days=30)


def forget_old() -> int:
    """Delete ended runs: a visitor's after a day, a person's after 30. Returns how many."""
    now = timezone.now()
    ended = GenerationRun.objects.filter(state__in=GenerationRun.ENDED)
    visitors = ended.filter(user=None, finished_at__lt=now - KEEP_VISITORS)
    peoples = ended.filter(finished_at__lt=now - KEEP_PEOPLES)
    return visitors.delete()[0] + peoples.delete()[0]
