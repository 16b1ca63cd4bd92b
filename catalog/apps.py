"""Model repositories: names, history, content, cards and search."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class CatalogConfig(AppConfig):
    """Owns repositories and everything read from their files."""

    name = "catalog"
    verbose_name = "Catalog"

    def ready(self) -> None:
        from catalog.search import furniture

        pre_migrate.connect(furniture.create_extensions, sender=self)
        post_migrate.connect(furniture.create_functions, sender=self)
