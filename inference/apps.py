"""Trying models: generations today; evaluations and explanations join them."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class InferenceConfig(AppConfig):
    """Owns generation runs and the box models run in."""

    name = "inference"
    verbose_name = "Inference"

    def ready(self) -> None:
        """Keep records of usage from being changed."""
        from inference import usage_triggers

        post_migrate.connect(usage_triggers.create_triggers, sender=self)
