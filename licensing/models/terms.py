"""Texts people agree to, by their hash."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Terms(models.Model):
    """The text of a license as it was offered. Written once, never changed."""

    class Source(models.TextChoices):
        """Where the text comes from."""

        TEMPLATE = "template", _("A template of this store")
        SPDX = "spdx", _("A well-known license")
        OPENRAIL = "openrail", _("A responsible-use license")
        OWN = "own", _("The seller's own text")

    sha256 = models.CharField(max_length=64, primary_key=True)
    """Of the normalized text as UTF-8."""
    source = models.CharField(max_length=8, choices=Source.choices)
    template_id = models.CharField(max_length=64, blank=True)
    title = models.CharField(max_length=120)
    text = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "terms"

    def __str__(self) -> str:
        return f"{self.title} ({self.sha256[:12]})"
