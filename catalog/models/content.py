"""Large files by digest, and which repository owns which."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Namespace
from catalog.models.repo import ModelRepo
from catalog.models.xet import XetFile
from store.core.ids import new_public_id


class LfsObject(models.Model):
    """Bytes by sha256, kept once however many repositories own them.

    They are one whole object, or a recipe of chunks, or both; readers cannot tell. The row exists
    only after the bytes are durable and verified.
    """

    sha256 = models.CharField(max_length=64, primary_key=True)
    size_bytes = models.BigIntegerField()
    is_whole = models.BooleanField(default=True)
    """The storage has the bytes as one object."""
    xet_file = models.ForeignKey(
        XetFile, models.PROTECT, null=True, related_name="lfs_objects", db_index=True
    )
    """The recipe that was seen to make exactly these bytes."""
    created_at = models.DateTimeField(auto_now_add=True)
    cached_at = models.DateTimeField(null=True, db_index=True)
    """The whole object was made from the recipe, because many people fetch it; it may go again."""
    touched_at = models.DateTimeField(default=timezone.now)
    """When it was last uploaded, or found to be here."""

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(size_bytes__gte=0), name="lfs_size_not_negative"),
            models.CheckConstraint(
                condition=Q(is_whole=True) | Q(xet_file__isnull=False), name="lfs_has_bytes"
            ),
        ]

    def __str__(self) -> str:
        return self.sha256


class RepoLfsObject(models.Model):
    """``repo`` owns the object: its bytes were uploaded there, or copied by somebody entitled."""

    repo = models.ForeignKey(ModelRepo, models.CASCADE, related_name="lfs_objects")
    lfs_object = models.ForeignKey(LfsObject, models.PROTECT, related_name="owners")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    charged_to = models.ForeignKey(Namespace, models.PROTECT, related_name="+")
    """Whose quota it counts against: the owner's, or that of a stranger who uploaded it."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["repo", "lfs_object"], name="repo_lfs_object_once")
        ]

    def __str__(self) -> str:
        return f"{self.lfs_object_id[:8]} in {self.repo_id}"


class Upload(models.Model):
    """A large file on its way in, in one piece or in parts."""

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    repo = models.ForeignKey(ModelRepo, models.CASCADE, related_name="uploads")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="uploads")
    sha256 = models.CharField(max_length=64)
    charged_to = models.ForeignKey(Namespace, models.PROTECT, related_name="+")
    size_bytes = models.BigIntegerField()
    part_bytes = models.BigIntegerField()
    """Size of each part but the last; a file in one piece is one part."""
    plan_id = models.CharField(max_length=1024, blank=True)
    """What the storage calls the upload; empty for one piece to local disk."""
    created_at = models.DateTimeField(auto_now_add=True)
    touched_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["repo", "user", "sha256"], name="upload_once_per_person"
            )
        ]

    def __str__(self) -> str:
        return f"{self.sha256[:8]} to {self.repo_id}"


class StagedFile(models.Model):
    """A file on its way in through a browser, kept on disk until the person commits."""

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    repo = models.ForeignKey(ModelRepo, models.CASCADE, related_name="staged_files")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    path = models.CharField(max_length=1024)
    size_bytes = models.BigIntegerField()
    received_bytes = models.BigIntegerField(default=0)
    touched_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["repo", "user", "path"], name="staged_once_per_person")
        ]

    def __str__(self) -> str:
        return f"{self.path} ({self.received_bytes} of {self.size_bytes})"
