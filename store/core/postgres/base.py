"""PostgreSQL through Django, with a pool that trusts a connection it has just used.

With ``CONN_HEALTH_CHECKS`` Django sends a question before each use of a pooled connection. That is
a round trip for every request, as long as most of our queries take. What it guards against (a
server that restarted) shows on the socket at once: the end of the stream is waiting to be read.
"""

import select
import time
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import psycopg
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base
from psycopg_pool import ConnectionPool

TRUSTED_FOR_S = 5.0
"""A connection that answered so lately is only looked at. A peer that went away without a word, as
behind a firewall that forgets, is found by the question that comes after."""

_answered_at: WeakKeyDictionary[psycopg.Connection[Any], float] = WeakKeyDictionary()


def check_usable(connection: psycopg.Connection[Any]) -> None:
    """Return if a connection that waits in a pool can be used.

    Raises:
        psycopg.Error: it cannot; the pool makes another.
    """
    now = time.monotonic()
    is_trusted = now - _answered_at.get(connection, float("-inf")) < TRUSTED_FOR_S
    if is_trusted and not _has_news(connection):
        return
    ConnectionPool.check_connection(connection)
    _answered_at[connection] = now


def _has_news(connection: psycopg.Connection[Any]) -> bool:
    """Whether something came that nobody asked for: the end of the stream, mostly."""
    sockets = select.poll()
    sockets.register(connection.fileno(), select.POLLIN)
    return bool(sockets.poll(0))


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's own, but for the pool's check."""

    _connection_pools: ClassVar[dict[str, ConnectionPool]] = {}

    @property
    def pool(self) -> ConnectionPool | None:
        """Return the process's pool for this database; ``None``: it is not to have one.

        It is opened at its first use, as Django's is.
        """
        options = self.settings_dict["OPTIONS"].get("pool")
        if self.alias == NO_DB_ALIAS or not options:
            return None
        if self.alias not in self._connection_pools:
            made = ConnectionPool(
                kwargs=self.get_connection_params() | {"autocommit": True},
                open=False,
                configure=self._configure_connection,  # type: ignore[attr-defined]
                check=check_usable,
                **options,
            )
            self._connection_pools.setdefault(self.alias, made)  # the first of two threads wins
        return self._connection_pools[self.alias]
