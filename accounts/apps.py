"""People, organizations and their tokens."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    """Owns users, organizations, namespaces, access tokens and audit events."""

    name = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        """Have the database keep the audit trail."""
        from accounts import furniture

        post_migrate.connect(furniture.create_triggers, sender=self)
