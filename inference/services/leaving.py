"""What goes with a person who leaves: their data sets and what was measured with them alone."""

from typing import Any

from django.db.models import Q

from accounts.models import User
from inference.models import EvaluationRun, Suite


def forget_private(user: User) -> None:
    """Delete the data sets of a person and their private runs. Public runs stay."""
    mine = Q(asked_by=user, is_public=False) | Q(suite__owner=user, suite__is_public=False)
    EvaluationRun.objects.filter(mine).delete()
    Suite.objects.filter(owner=user, is_public=False).delete()


def on_user_deleted(sender: Any, instance: User, **_kwargs: Any) -> None:
    """Do that in the transaction that deletes the person."""
    forget_private(instance)
