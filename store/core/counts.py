"""Counters that many requests raise at once: kept in Valkey, moved into PostgreSQL by a job.

Nothing waits for a row's lock while somebody waits for a page. The buffer has append-only
durability, so a crash of the web process loses nothing; moving it takes two steps (rename, then
write and delete), so a crash of the job counts nothing twice: each batch has an id that
PostgreSQL remembers.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from store.core.models import CounterBatch
from store.core.valkey import valkey

BATCH = "batch"
_REMEMBERED = timedelta(days=7)
"""A batch that was written is known for so long; a crashed job is repeated much sooner."""


@dataclass(frozen=True, slots=True)
class CountBuffer:
    """Counters under one name: a hash of amounts by field in Valkey.

    Args:
        name: Of no other buffer.
    """

    name: str

    @property
    def waiting(self) -> str:
        """The hash that requests add to, with ``HINCRBY``."""
        return f"{self.name}:buffer"

    @property
    def flushing(self) -> str:
        """The hash that is being written."""
        return f"{self.name}:flushing"

    def flush(self, write: Callable[[Mapping[str, int]], int]) -> int:
        """Move what waits into PostgreSQL.

        Args:
            write: Adds the amounts, in the transaction it is called in; returns how many rows.

        Returns:
            How many rows were written. Safe to repeat and to interrupt: what an earlier run took
            out of the buffer and did not finish is written first.
        """
        client, written = valkey(), 0
        for _ in range(2):  # what a crashed run left, then what came since
            if not client.exists(self.flushing) and not (
                client.exists(self.waiting) and client.renamenx(self.waiting, self.flushing)
            ):
                break
            client.hsetnx(self.flushing, BATCH, uuid.uuid4().hex)
            fields: dict[str, str] = client.hgetall(self.flushing)  # type: ignore[assignment]
            batch = fields.pop(BATCH)
            with transaction.atomic():
                if CounterBatch.objects.get_or_create(batch=batch)[1]:
                    written += write({field: int(amount) for field, amount in fields.items()})
            client.delete(self.flushing)
        return written


def prune() -> int:
    """Forget batches nobody will write again; return how many. Run by the beat."""
    old = CounterBatch.objects.filter(written_at__lt=timezone.now() - _REMEMBERED)
    return old.delete()[0]
