"""Model repositories: names, history, content, cards and search."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_delete, pre_migrate


class CatalogConfig(AppConfig):
    """Owns repositories and everything read from their files."""

    name = "catalog"
    verbose_name = "Catalog"

    def ready(self) -> None:
        from accounts.models import Organization, User
        from catalog.search import furniture
        from catalog.services import leaving

        pre_migrate.connect(furniture.create_extensions, sender=self)
        post_migrate.connect(furniture.create_functions, sender=self)
        for owner in (User, Organization):  # accounts cannot know what is kept for them here
            pre_delete.connect(leaving.forget_owner, sender=owner)
