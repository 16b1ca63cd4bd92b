"""Whose turn it is: which job of a queue a worker takes next, and what comes before another.

One order decides both, over the jobs of a queue that are due:

1. the better class (``Priority``);
2. within it askers take turns: a job comes after as many as its asker had lately (running, or
   begun within ``WINDOW_S``) plus those of the same asker that wait before it;
3. whoever waits longest.

So a thousand jobs of one asker delay the next asker by one, nobody waits longer than a window
for an asker who came later, and a place in the queue is a count over the same order. The
broker's order plays no part: a message only says that there is a job more.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from store.core import jobs
from store.core.jobs import POLICIES, Claim
from store.core.models import Job

WINDOW_S = 60
"""Turns an asker had are remembered so long, in seconds."""
DUE_EARLY_S = 1
"""A job may begin so much before its time, in seconds: messages are not punctual to the moment."""
_LINES = 20
"""Askers looked at for one claim; all of them are passed over only when workers race for them."""
ANY_MEMORY = 2**63 - 1
"""Memory of a worker that takes whatever comes, in bytes."""

_KNOWN = """
    known (name, most) AS (SELECT * FROM unnest(%(names)s::text[], %(most)s::int[]))
"""
_TURNS = """
    turns AS (
        SELECT asker, count(*) AS had FROM core_job
        WHERE queue = %(queue)s AND started_at IS NOT NULL
          AND (started_at > %(window)s
               OR (state = 'running' AND lease_until >= %(now)s))
        GROUP BY asker
    )
"""
# Heads of lines are found by skipping from one (class, asker) to the next in the index
# ``job_waiting``, so that a claim costs the same for ten jobs of an asker and for a million.
_NEXT = f"""
    WITH RECURSIVE {_KNOWN}, {_TURNS},
    line AS (
        (SELECT priority, asker FROM core_job WHERE queue = %(queue)s AND state = 'queued'
         ORDER BY priority, asker LIMIT 1)
        UNION ALL
        SELECT further.* FROM line CROSS JOIN LATERAL (
            SELECT priority, asker FROM core_job
            WHERE queue = %(queue)s AND state = 'queued'
              AND (priority, asker) > (line.priority, line.asker)
            ORDER BY priority, asker LIMIT 1
        ) AS further
    ),
    head AS (
        SELECT line.priority, line.asker, first.not_before, first.id, FALSE AS is_orphan
        FROM line CROSS JOIN LATERAL (
            SELECT not_before, id FROM core_job
            WHERE queue = %(queue)s AND state = 'queued'
              AND priority = line.priority AND asker = line.asker
              AND not_before <= %(due)s
              AND memory_bytes <= %(memory_bytes)s AND name = ANY(%(names)s)
            ORDER BY not_before, id LIMIT 1
        ) AS first
        UNION ALL
        SELECT priority, asker, not_before, id, TRUE FROM core_job JOIN known USING (name)
        WHERE queue = %(queue)s AND state = 'running' AND lease_until < %(now)s
          AND attempts < known.most AND memory_bytes <= %(memory_bytes)s
    )
    SELECT head.priority, head.asker, head.id, head.is_orphan
    FROM head LEFT JOIN turns USING (asker)
    ORDER BY head.priority, coalesce(turns.had, 0), head.not_before, head.id
    LIMIT %(lines)s
"""  # noqa: S608 - put together from the constants above
_LOCK_FIRST = """
    SELECT id FROM core_job
    WHERE queue = %(queue)s AND state = 'queued'
      AND priority = %(priority)s AND asker = %(asker)s
      AND not_before <= %(due)s
      AND memory_bytes <= %(memory_bytes)s AND name = ANY(%(names)s)
    ORDER BY not_before, id LIMIT 1
    FOR UPDATE SKIP LOCKED
"""
_PLACED = f"""
    WITH {_KNOWN}, {_TURNS},
    waiting AS (
        SELECT id, priority, asker, not_before FROM core_job JOIN known USING (name)
        WHERE queue = %(queue)s
          AND ((state = 'queued' AND not_before <= greatest(%(now)s, %(not_before)s))
               OR (state = 'running' AND lease_until < %(now)s AND attempts < known.most))
    ),
    placed AS (
        SELECT waiting.id, waiting.priority, waiting.not_before,
               coalesce(turns.had, 0) + row_number() OVER (
                   PARTITION BY waiting.priority, asker ORDER BY waiting.not_before, waiting.id
               ) AS turn
        FROM waiting LEFT JOIN turns USING (asker)
    )
"""  # noqa: S608 - put together from the constants above
_PLACES = f"""
    {_PLACED},
    numbered AS (
        SELECT id, row_number() OVER (ORDER BY priority, turn, not_before, id) - 1 AS place
        FROM placed
    )
    SELECT id, place FROM numbered WHERE id = ANY(%(ids)s)
"""  # noqa: S608 - put together from the constants above


def take_next(queue: str, *, memory_bytes: int = ANY_MEMORY) -> Claim | None:
    """Claim the job of ``queue`` whose turn it is.

    Workers that ask in the same instant are not made to wait for each other: each passes over
    what another is taking and has the next.

    Args:
        queue: Where to look.
        memory_bytes: What this worker has; jobs that need more are left for others.

    Returns:
        The claim, or ``None``: nothing is due, or others have taken it.
    """
    values = _values(queue) | {"memory_bytes": memory_bytes, "lines": _LINES}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_NEXT, values)
        for priority, asker, ident, is_orphan in cursor.fetchall():
            if not is_orphan:
                cursor.execute(_LOCK_FIRST, values | {"priority": priority, "asker": asker})
                row = cursor.fetchone()
                if row is None:
                    continue
                ident = row[0]  # noqa: PLW2901 - the first of the line nobody else is taking
            if claim := jobs.claim(ident):
                return claim
    return None


def ahead_of(job: Job) -> int:
    """Return how many waiting jobs of the same queue come before ``job`` (0: it is next)."""
    if job.state != Job.State.QUEUED:
        return 0
    values = _values(job.queue) | {"ids": [job.pk], "not_before": job.not_before}
    with connection.cursor() as cursor:
        cursor.execute(_PLACES, values)
        row = cursor.fetchone()
    return int(row[1]) if row else 0


def places(some: Iterable[Job]) -> dict[int, int]:
    """Return what ``ahead_of`` says of each waiting job that is due, by id: a query a queue."""
    by_queue: dict[str, list[int]] = {}
    for job in some:
        if job.state == Job.State.QUEUED:
            by_queue.setdefault(job.queue, []).append(job.pk)
    found: dict[int, int] = {}
    with connection.cursor() as cursor:
        for queue, ids in by_queue.items():
            values = _values(queue)
            cursor.execute(_PLACES, values | {"ids": ids, "not_before": values["now"]})
            found.update(dict(cursor.fetchall()))
    return found


def _values(queue: str) -> dict[str, Any]:
    now = timezone.now()
    return {
        "queue": queue,
        "names": [name.value for name in POLICIES],
        "most": [policy.max_attempts for policy in POLICIES.values()],
        "now": now,
        "window": now - timedelta(seconds=WINDOW_S),
        "due": now + timedelta(seconds=DUE_EARLY_S),
    }
