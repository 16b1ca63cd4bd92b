"""The Hugging Face wire protocol."""

from django.apps import AppConfig


class HubConfig(AppConfig):
    """Translates; owns no tables."""

    name = "hub"
    verbose_name = "Hub protocol"
