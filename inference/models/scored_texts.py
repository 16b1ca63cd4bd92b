"""Texts people hand to one or two models to see how much each token surprised them."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from store.core.ids import new_public_id


class ScoredText(models.Model):
    """A text that models have read for somebody; what each made of it is an ``Explanation``.

    It belongs to whoever handed it in and nobody else.
    """

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="+")
    visitor_key = models.CharField(max_length=64, blank=True)
    """Hash of the session-bound key of a visitor, as of a generation."""
    prompt = models.TextField(blank=True)
    """What stands before the text: read, but not scored."""
    text = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"scored text {self.public_id}"
