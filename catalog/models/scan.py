"""What the store thinks of each file."""

from django.db import models

from catalog.models.repo import ModelRepo


class FileScan(models.Model):
    """The verdict on one content under one path of one repository.

    Bound to the git blob's id, so the same file in a later revision needs no second look.
    """

    class Verdict(models.TextChoices):
        """See docs/glossary.md."""

        CLEAN = "clean"
        UNKNOWN = "unknown"
        UNSAFE = "unsafe"
        PENDING = "pending"
        ERROR = "error"

    SERVED = (Verdict.CLEAN, Verdict.UNKNOWN)
    """Verdicts under which a file is served to others than its owners."""

    repo = models.ForeignKey(ModelRepo, models.CASCADE, related_name="scans")
    blob_oid = models.CharField(max_length=40)
    path = models.CharField(max_length=1024)
    verdict = models.CharField(max_length=8, choices=Verdict.choices, default=Verdict.PENDING)
    kind = models.CharField(max_length=32, blank=True)
    """What the bytes are, whatever the name says."""
    code = models.CharField(max_length=64, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    report = models.JSONField(null=True)
    """The whole finding, as ``catalog.formats.verdicts.FileReport`` writes it."""
    is_proposed = models.BooleanField(default=False)
    """It is in pull requests only: no part of the listing, whatever its verdict."""
    scanner_version = models.CharField(max_length=24)
    scanned_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["repo", "blob_oid", "path"], name="scan_once")
        ]
        indexes = [
            models.Index(
                fields=["repo"], condition=models.Q(verdict="pending"), name="scan_pending"
            )
        ]

    def __str__(self) -> str:
        return f"{self.path}: {self.verdict}"
