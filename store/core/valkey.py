"""The one connection pool to Redis or Valkey."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import redis
from django.conf import settings
from django.utils.translation import gettext as _

from store.core.errors import TransientError


class ValkeyAwayError(TransientError):
    """What must not happen without Valkey was asked for while it does not answer."""

    code = "valkey_away"


@contextmanager
def needed() -> Iterator[None]:
    """Stop what nobody may go on with uncounted: guesses of secrets, things that are good once.

    Raises:
        ValkeyAwayError: Valkey did not answer in the block.
    """
    try:
        yield
    except redis.RedisError as error:
        raise ValkeyAwayError(
            _(
                "The store cannot count attempts at this moment, so it takes none."
                " Try again in a minute."
            )
        ) from error


@lru_cache(maxsize=1)
def valkey() -> redis.Redis:
    """Return this process's client; its pool is safe to share between threads."""
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=10, socket_connect_timeout=5, decode_responses=True
    )
