"""Links by which somebody shows a run of theirs to others."""

import secrets

from django.db import models
from django.utils import timezone

from inference.models.generations import GenerationRun


def _new_token() -> str:
    """Return 192 random bits: nobody finds a link by trying."""
    return secrets.token_urlsafe(24)


class ShareLink(models.Model):
    """An address that shows one run to whoever has it, until its owner takes it back.

    The token is kept as it is, since its owner is shown it again; it opens no more than the text
    in the very same database.
    """

    run = models.OneToOneField(GenerationRun, models.CASCADE, related_name="share")
    token = models.CharField(max_length=43, default=_new_token, unique=True)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"link to {self.run_id}"
