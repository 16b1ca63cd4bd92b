"""People, organizations and their tokens."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Owns users, organizations, namespaces, access tokens and audit events."""

    name = "accounts"
    verbose_name = "Accounts"
