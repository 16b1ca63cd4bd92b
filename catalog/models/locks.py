"""Locks on files that cannot be merged (git-lfs file locking)."""

from django.conf import settings
from django.db import models

from catalog.models.repo import ModelRepo
from store.core.ids import new_public_id


class FileLock(models.Model):
    """Somebody works on a file: others can neither lock nor change it until it is unlocked.

    It holds for the path on every branch: what cannot be merged cannot be merged anywhere.
    """

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    repo = models.ForeignKey(ModelRepo, models.CASCADE, related_name="locks")
    path = models.CharField(max_length=1024, db_collation="C")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    locked_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repo", "path"], name="lock_once_per_path")]

    def __str__(self) -> str:
        return f"{self.path} locked by {self.owner_id}"
