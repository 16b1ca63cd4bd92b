"""The store's own worker program with the handlers and the patience of a test."""

from workers.app import app

app.conf.imports = [*app.conf.imports, "tests.workers.lab_handlers"]

__all__ = ["app"]
