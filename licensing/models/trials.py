"""Demo tokens of models that are sold, as they were used."""

from django.db import models

from catalog.models import ModelRepo


class TrialUse(models.Model):
    """Tokens one asker had a sold model generate without a license."""

    repo = models.ForeignKey(ModelRepo, models.CASCADE, related_name="trial_uses")
    asker = models.CharField(max_length=64)
    """A person, or the hashed network of a visitor, as ``inference.services.quotas`` names them."""
    tokens = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repo", "asker"], name="trial_use_once")]

    def __str__(self) -> str:
        return f"{self.asker} used {self.tokens} of {self.repo_id}"
