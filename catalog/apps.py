"""Model repositories: names, history, content, cards and search."""

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    """Owns repositories and everything read from their files."""

    name = "catalog"
    verbose_name = "Catalog"
