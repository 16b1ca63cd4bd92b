"""The core application: background jobs and what every page shares."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    """Holds the tables of jobs and of counters that were written."""

    name = "store.core"
    label = "core"
    verbose_name = "Background jobs"

    def ready(self) -> None:
        from store.core.routing import register

        register()
