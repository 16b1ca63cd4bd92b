"""Celery: the application, the schedule and the handlers of jobs."""

from django.apps import AppConfig


class WorkersConfig(AppConfig):
    """Makes the Celery application known to every process."""

    name = "workers"
    verbose_name = "Workers"

    def ready(self) -> None:
        from workers.app import app

        app.set_default()
