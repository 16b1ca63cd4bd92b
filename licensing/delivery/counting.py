"""Honest download counters: completed downloads, people apart from machines.

A download of a revision is one caller who received at least one counted file of it to its last
byte on one day; ten shards are one download, a probe or a broken transfer none. Callers are told
apart by account, else by a hash of their address that changes every day and is never stored.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from django.db import connection
from django.utils import timezone
from redis.exceptions import RedisError

from accounts.callers import CallerKind, caller_key, kind_of
from catalog.models import ModelRepo
from licensing.models import DownloadCount
from store.core.counts import CountBuffer
from store.core.valkey import valkey

logger = logging.getLogger(__name__)

DOWNLOADS = CountBuffer("downloads")
_SEEN_S = 2 * 86400
WINDOW = timedelta(days=30)

COUNTED_SUFFIXES = (".safetensors", ".gguf", ".bin", ".pt", ".pth", ".onnx", ".h5", ".zip")
"""Weights, and the archive of everything: what people come for."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A transfer that reached its last byte."""

    repo_id: int
    commit_oid: str
    path: str
    size_bytes: int
    caller: str
    """Opaque: equal for the same caller on the same day."""
    kind: CallerKind


def note(receipt: Receipt) -> None:
    """Keep a completed transfer in the buffer. Never fails the download it reports."""
    today = timezone.now().date()
    slot = f"{receipt.repo_id}|{receipt.commit_oid}|{today}|{receipt.kind}"
    seen = f"downloads:seen:{today}:{receipt.repo_id}:{receipt.commit_oid}"
    try:
        pipe = valkey().pipeline(transaction=True)
        pipe.hincrby(DOWNLOADS.waiting, f"{slot}|files", 1)
        pipe.hincrby(DOWNLOADS.waiting, f"{slot}|bytes", receipt.size_bytes)
        if receipt.path.lower().endswith(COUNTED_SUFFIXES):
            if valkey().sadd(seen, receipt.caller):
                pipe.hincrby(DOWNLOADS.waiting, f"{slot}|downloads", 1)
            pipe.expire(seen, _SEEN_S)
        pipe.execute()
    except RedisError:
        logger.warning("a download was not counted: Valkey cannot be reached")


def flush() -> int:
    """Move the buffer into PostgreSQL and bring the listings' counters up to date.

    Returns:
        How many rows were written. Safe to repeat and to interrupt; see ``CountBuffer``.
    """
    return DOWNLOADS.flush(_write)


def _write(fields: Mapping[str, int]) -> int:
    rows: dict[tuple[int, str, str, str], dict[str, int]] = defaultdict(dict)
    for field, amount in fields.items():
        repo, commit, day, kind, what = field.split("|")
        rows[int(repo), commit, day, kind][what] = amount
    alive = set(
        ModelRepo.objects.filter(pk__in={key[0] for key in rows}).values_list("pk", flat=True)
    )
    for (repo_id, commit, day, kind), amounts in rows.items():
        if repo_id in alive:
            _add(repo_id, commit, date.fromisoformat(day), kind, amounts)
    refresh_counters(alive)
    return len(rows)


def _add(repo_id: int, commit: str, day: date, kind: str, amounts: dict[str, int]) -> None:
    downloads, files = amounts.get("downloads", 0), amounts.get("files", 0)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO licensing_downloadcount
                (repo_id, commit_oid, day, kind, downloads, files, sent_bytes)
            VALUES (%s, %s, %s, %s, %s, %s, %s)
            ON CONFLICT (repo_id, commit_oid, day, kind) DO UPDATE SET
                downloads = licensing_downloadcount.downloads + EXCLUDED.downloads,
                files = licensing_downloadcount.files + EXCLUDED.files,
                sent_bytes = licensing_downloadcount.sent_bytes + EXCLUDED.sent_bytes
            """,
            [repo_id, commit, day, kind, downloads, files, amounts.get("bytes", 0)],
        )


def refresh_counters(repo_ids: set[int] | None = None) -> None:
    """Set the listings' download columns from the counts; people only.

    Args:
        repo_ids: Which; ``None``: all (the 30-day window moves every day).
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE catalog_listing l SET downloads = c.recent, downloads_all_time = c.total
            FROM (
                SELECT repo_id, sum(downloads) AS total,
                       coalesce(sum(downloads) FILTER (WHERE day > %(since)s), 0) AS recent
                FROM licensing_downloadcount
                WHERE kind = ANY(%(people)s) AND (%(all)s OR repo_id = ANY(%(repos)s))
                GROUP BY repo_id
            ) c
            WHERE l.repo_id = c.repo_id
              AND (l.downloads, l.downloads_all_time) IS DISTINCT FROM (c.recent, c.total)
            """,
            {
                "since": timezone.now().date() - WINDOW,
                "people": [str(kind) for kind in DownloadCount.PEOPLE],
                "all": repo_ids is None,
                "repos": list(repo_ids or []),
            },
        )


__all__ = ["Receipt", "caller_key", "flush", "kind_of", "note", "refresh_counters"]
