"""Trying models: generations today; evaluations and explanations join them."""

from django.apps import AppConfig


class InferenceConfig(AppConfig):
    """Owns generation runs and the box models run in."""

    name = "inference"
    verbose_name = "Inference"
