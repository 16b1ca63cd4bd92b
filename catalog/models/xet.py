"""Files as recipes of chunks: xorbs hold the chunks, a recipe says which ones make a file."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Namespace, User
from catalog.models.repo import ModelRepo

_HASH_BYTES = 32


class Xorb(models.Model):
    """A bundle of chunks whose bytes were verified against its name and are durable."""

    hash = models.BinaryField(max_length=_HASH_BYTES, unique=True)
    blob = models.CharField(max_length=80)
    """The digest its stored bytes have in the storage: one content can be packed in many ways."""
    raw_bytes = models.IntegerField()
    """Size of all its chunks, unpacked."""
    stored_bytes = models.IntegerField()
    table = models.BinaryField()
    """Its chunks, as ``catalog.content.xet.xorbs.XorbTable`` writes them."""
    charged_to = models.ForeignKey(Namespace, models.PROTECT, related_name="+")
    """Whose room it takes until recipes use it."""
    is_used = models.BooleanField(default=False)
    """Recipes need most of it, or did once; their files are charged instead."""
    condemned_at = models.DateTimeField(null=True)
    """When the first pass of garbage collection found no use for it; a new use clears it."""
    created_at = models.DateTimeField(auto_now_add=True)
    touched_at = models.DateTimeField(default=timezone.now)
    """When a client was last led to believe that it is here: upload, shard, dedup answer."""

    class Meta:
        indexes = [
            models.Index(fields=["charged_to"], condition=Q(is_used=False), name="xorb_unused"),
            models.Index(fields=["touched_at"], name="xorb_by_touch"),
            models.Index(fields=["blob"], name="xorb_by_blob"),
        ]

    def __str__(self) -> str:
        return bytes(self.hash).hex()[:16]


class XetFile(models.Model):
    """The recipe of one content: which chunks of which xorbs, in order. Proven chunk by chunk."""

    hash = models.BinaryField(max_length=_HASH_BYTES, unique=True)
    size_bytes = models.BigIntegerField()
    terms = models.BinaryField()
    """See ``catalog.content.xet.recipes``."""
    xorbs = models.ManyToManyField(Xorb, through="XetFileXorb", related_name="files")
    created_at = models.DateTimeField(auto_now_add=True)
    touched_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["touched_at"], name="xet_file_by_touch")]

    def __str__(self) -> str:
        return bytes(self.hash).hex()[:16]


class XetFileXorb(models.Model):
    """A recipe needs a xorb; keeps the xorb from being collected."""

    id = models.BigAutoField(primary_key=True)
    file = models.ForeignKey(XetFile, models.CASCADE, related_name="+")
    xorb = models.ForeignKey(Xorb, models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["file", "xorb"], name="file_xorb_once")]

    def __str__(self) -> str:
        return f"{self.file_id} of {self.xorb_id}"


class XetClaim(models.Model):
    """Somebody says a recipe has this sha256, and nobody has checked it yet.

    Good for the repository it was made in, and there only for its owners, until a job has read
    the content; then an LFS object takes its place, or nothing does.
    """

    repo = models.ForeignKey(ModelRepo, models.CASCADE, related_name="xet_claims")
    sha256 = models.CharField(max_length=64)
    file = models.ForeignKey(XetFile, models.PROTECT, related_name="claims")
    user = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    charged_to = models.ForeignKey(Namespace, models.PROTECT, related_name="+")
    by_writer = models.BooleanField(default=True)
    """Its user could write to the repository. Claims of others, for proposals, are good for
    themselves alone, or they would take the place of what the owners send."""
    is_false = models.BooleanField(default=False)
    """The content has another sha256. Kept so that commits made meanwhile can say why."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["repo", "sha256", "user"], name="claim_once_each")
        ]

    def __str__(self) -> str:
        return f"{self.sha256[:8]} claimed in {self.repo_id}"


class DedupChunk(models.Model):
    """A chunk by which clients may find a xorb: about one in a thousand, and first ones."""

    id = models.BigAutoField(primary_key=True)
    hash = models.BinaryField(max_length=_HASH_BYTES)
    xorb = models.ForeignKey(Xorb, models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["hash", "xorb"], name="dedup_chunk_once")]

    def __str__(self) -> str:
        return f"{bytes(self.hash).hex()[:16]} in {self.xorb_id}"
