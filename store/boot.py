"""Brings up the engines that this site does not run itself."""

from contextlib import AbstractContextManager

from django.conf import settings

from store import engines


def hold_engines() -> AbstractContextManager[object]:
    """Hold the embedded engines for whichever of the two addresses is not configured."""
    return engines.hold(
        settings.DATA_DIR,
        postgres=not settings.ENV.database_url,
        valkey=not settings.ENV.redis_url,
    )
