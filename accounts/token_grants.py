"""What a fine-grained token reaches: name spaces and repositories, and what it may do in each.

A table of its own and a module that knows no other, so that ``accounts.models`` can show it.
"""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Permission(models.TextChoices):
    """What a fine-grained token may do somewhere; the hub's words where it has some.

    Each of the others includes reading.
    """

    READ = "repo.content.read", _("Read contents")
    WRITE = "repo.write", _("Write contents")
    DISCUSS = "discussion.write", _("Take part in discussions")
    SETTINGS = "repo.settings.write", _("Change settings")


class TokenGrant(models.Model):
    """One place a fine-grained token reaches: a whole name space, or one repository."""

    token = models.ForeignKey("accounts.AccessToken", models.CASCADE, related_name="grants")
    namespace = models.ForeignKey(
        "accounts.Namespace", models.CASCADE, null=True, blank=True, related_name="+"
    )
    """The whole name space, with what comes later."""
    repo_id = models.CharField(max_length=24, blank=True)
    """Or the public id of one repository, which it keeps through every change of its name."""
    permissions: "ArrayField[Any, Any]" = ArrayField(
        models.CharField(max_length=24, choices=Permission.choices)
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["token", "namespace"], name="token_grant_once_per_namespace"
            ),
            models.UniqueConstraint(
                fields=["token", "repo_id"],
                condition=~Q(repo_id=""),
                name="token_grant_once_per_repo",
            ),
            models.CheckConstraint(
                condition=Q(namespace__isnull=False, repo_id="")
                | (Q(namespace__isnull=True) & ~Q(repo_id="")),
                name="token_grant_is_of_one_place",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.token_id}: {', '.join(self.permissions)}"
