"""The one connection pool to Redis or Valkey."""

from functools import lru_cache

import redis
from django.conf import settings


@lru_cache(maxsize=1)
def valkey() -> redis.Redis:
    """Return this process's client; its pool is safe to share between threads."""
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=10, socket_connect_timeout=5, decode_responses=True
    )
