"""Trying and judging models: generations, evaluations; explanations join them."""

from django.apps import AppConfig
from django.db.models.signals import pre_delete


class InferenceConfig(AppConfig):
    """Owns generation and evaluation runs, and the box models run in."""

    name = "inference"
    verbose_name = "Inference"

    def ready(self) -> None:
        """Listen for people who leave: the room that deletes them knows nothing of this one."""
        from accounts.models import User
        from inference.services.leaving import on_user_deleted

        pre_delete.connect(on_user_deleted, sender=User, dispatch_uid="inference.leaving")
