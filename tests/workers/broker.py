"""A Valkey of a test's own between senders and workers, which may be flushed and killed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from celery import Celery

from store import engines
from store.core import jobs, sweeping
from tests.store.engines_lab import kill, server, short_folder, valkey
from workers.app import app


class Broker:
    """A Valkey of the test's own, which may be killed without hurting other tests."""

    def __init__(self, folder: Path, held: engines.Hold) -> None:
        self._folder = folder
        self._held = held
        self.url = f"unix://{held.addresses.valkey_socket}?db=0"

    def flush(self) -> None:
        """Forget everything."""
        with valkey(self._folder) as client:
            client.flushall()

    def restart(self) -> None:
        """Die by SIGKILL and come back."""
        kill(server(self._folder, "Valkey"))
        assert self._held.revive() == ["Valkey"]


@contextmanager
def own_broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    """Send what is queued in the block through a broker of its own."""
    with short_folder() as folder, engines.hold(folder, postgres=False, durable=False) as held:
        own = Broker(folder, held)
        where = own.url.replace("unix://", "redis+socket://").replace("?db=", "?virtual_host=")
        ours = Celery("chaos", broker=where, set_as_current=False)
        ours.conf.broker_transport_options = app.conf.broker_transport_options
        for module in (jobs, sweeping):
            monkeypatch.setattr(module, "current_app", ours)
        yield own
        ours.close()
