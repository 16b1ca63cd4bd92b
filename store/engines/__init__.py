"""The store's own private PostgreSQL and Valkey, for sites that bring none.

With ``DATABASE_URL`` or ``REDIS_URL`` unset a command holds the engines while it runs::

    with engines.hold(data_dir):
        ...  # both engines answer at engines.addresses(data_dir)

Whoever comes first starts them, whoever comes later shares them, the last one out stops them.
Everything lives in ``data_dir/engines/`` and is reached over unix sockets only.
"""

from store.engines.errors import (
    EngineAccessError,
    EngineBusyError,
    EngineError,
    EngineFolderError,
    EngineStartError,
)
from store.engines.holding import Hold, hold
from store.engines.places import EngineAddresses, addresses, postgres_dsn

__all__ = [
    "EngineAccessError",
    "EngineAddresses",
    "EngineBusyError",
    "EngineError",
    "EngineFolderError",
    "EngineStartError",
    "Hold",
    "addresses",
    "hold",
    "postgres_dsn",
]
