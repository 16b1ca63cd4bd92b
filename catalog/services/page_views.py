"""Counting people who look at a listing: a number a day, nothing about anybody.

A view is one caller who opened the page on one day: browsers only, not the owners, not what a
browser fetches before anybody asked for it. Callers are told apart by ``caller_key``, whose hashes
lie in Valkey for two days at most. No cookie is set.
"""

import logging
from collections.abc import Mapping
from datetime import date

from django.db import connection
from django.utils import timezone
from redis.exceptions import RedisError

from accounts.callers import CallerKind, caller_key, kind_of
from accounts.viewer import Viewer
from catalog.models import ModelRepo
from store.core.counts import CountBuffer
from store.core.valkey import valkey

logger = logging.getLogger(__name__)

VIEWS = CountBuffer("views")
_SEEN_S = 2 * 86400

# One round trip: a page waits for it.
_NOTE = """
if redis.call('SADD', KEYS[1], ARGV[1]) == 1 then
    redis.call('EXPIRE', KEYS[1], ARGV[2])
    redis.call('HINCRBY', KEYS[2], ARGV[3], 1)
end
"""

_ADD = """
INSERT INTO catalog_pageviews (repo_id, day, people)
SELECT f.repo_id, f.day, f.people
FROM unnest(%s::bigint[], %s::date[], %s::bigint[]) AS f(repo_id, day, people)
JOIN catalog_modelrepo r ON r.id = f.repo_id
ORDER BY f.repo_id, f.day
ON CONFLICT (repo_id, day) DO UPDATE SET people = catalog_pageviews.people + EXCLUDED.people
"""


def note_view(viewer: Viewer, repo: ModelRepo, headers: Mapping[str, str]) -> None:
    """Count that somebody opened the page of ``repo``. Never fails the page.

    Args:
        viewer: Who looks.
        repo: At what.
        headers: Of the request.
    """
    agent = headers.get("User-Agent", "")
    is_fetched_ahead = "prefetch" in (headers.get("Sec-Purpose", "") + headers.get("Purpose", ""))
    if is_fetched_ahead or kind_of(agent) != CallerKind.BROWSER:
        return
    if viewer.role_at(repo.namespace_id, repo.public_id) is not None:
        return
    today = timezone.now().date()
    seen = f"views:seen:{today}:{repo.pk}"
    caller = caller_key(viewer, agent)
    try:
        valkey().eval(_NOTE, 2, seen, VIEWS.waiting, caller, _SEEN_S, f"{repo.pk}|{today}")
    except RedisError:
        logger.warning("a view was not counted: Valkey cannot be reached")


def flush() -> int:
    """Move the counted views into PostgreSQL; return how many rows. Safe to repeat."""
    return VIEWS.flush(_write)


def _write(fields: Mapping[str, int]) -> int:
    keys = [field.split("|") for field in fields]
    repo_ids, days = [int(repo) for repo, _day in keys], [date.fromisoformat(d) for _r, d in keys]
    with connection.cursor() as cursor:
        cursor.execute(_ADD, [repo_ids, days, list(fields.values())])
        return int(cursor.rowcount)
