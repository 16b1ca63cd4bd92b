"""Trying and judging models: generations, evaluations; explanations join them."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_delete


class InferenceConfig(AppConfig):
    """Owns generation and evaluation runs, and the box models run in."""

    name = "inference"
    verbose_name = "Inference"

    def ready(self) -> None:
        """Keep records of usage from being changed, and listen for people who leave.

        The room that deletes people knows nothing of this one.
        """
        from accounts.models import User
        from inference import usage_triggers
        from inference.services.leaving import on_user_deleted

        post_migrate.connect(usage_triggers.create_triggers, sender=self)
        pre_delete.connect(on_user_deleted, sender=User, dispatch_uid="inference.leaving")
