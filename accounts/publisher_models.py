"""Tables of trusted publishers: CI jobs that prove who they are and need no stored secret.

A module that knows no other, so that ``accounts.models`` can show it.
"""

from django.conf import settings
from django.db import models


class TrustedPublisher(models.Model):
    """A project whose CI jobs may act for a person: publish to one model, or read for them.

    What it says must be what the job's ID token says; an empty field says nothing.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="trusted_publishers"
    )
    """Who trusts it. Its tokens have this person's rights and no more."""
    repo_id = models.CharField(max_length=24, blank=True)
    """Public id of the model it may publish to, which the model keeps through every change of its
    name. Empty: it reads gated models that are open to the person."""
    issuer = models.CharField(max_length=200)
    """Who signs its ID tokens: the ``iss`` claim."""
    project = models.CharField(max_length=255)
    """``owner/name`` at GitHub, the whole path at GitLab."""
    workflow = models.CharField(max_length=100, blank=True)
    """GitHub: file name of the workflow, in ``.github/workflows``."""
    environment = models.CharField(max_length=255, blank=True)
    branch = models.CharField(max_length=255, blank=True)
    project_ids = models.CharField(max_length=100, blank=True)
    """The issuer's own ids of owner and project, kept at the first use: a name can come to belong
    to somebody else, an id cannot."""
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=[
                    "user",
                    "repo_id",
                    "issuer",
                    "project",
                    "workflow",
                    "environment",
                    "branch",
                ],
                name="trusted_publisher_once",
            )
        ]
        indexes = [models.Index(fields=["repo_id"], name="trusted_publisher_of_repo")]

    def __str__(self) -> str:
        return self.project


class UsedIdentity(models.Model):
    """An ID token that was exchanged; it is good once."""

    digest = models.CharField(max_length=64, unique=True)
    """SHA-256 of its issuer and its ``jti``, or of the token where it has none."""
    expires_at = models.DateTimeField(db_index=True)
    """Past it the token is too old to be shown again."""

    def __str__(self) -> str:
        return self.digest[:12]
