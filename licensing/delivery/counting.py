"""Honest download counters: completed downloads, people apart from machines.

A download of a revision is one caller who received at least one counted file of it to its last
byte on one day; ten shards are one download, a probe or a broken transfer none. Callers are told
apart by account, else by a hash of their address that changes every day and is never stored.

The buffer lives in Valkey with append-only durability, so a crash of the web process loses
nothing; a job moves it into PostgreSQL in two steps (rename, then write and delete), so a crash
of the job counts nothing twice: each batch has an id that PostgreSQL remembers.
"""

import hashlib
import logging
import re
import uuid
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from redis.exceptions import RedisError

from accounts.viewer import Viewer
from catalog.models import ModelRepo
from licensing.models import CounterBatch, DownloadCount
from store.core.valkey import valkey

logger = logging.getLogger(__name__)

BUFFER = "downloads:buffer"
FLUSHING = "downloads:flushing"
BATCH = "batch"
_SEEN_S = 2 * 86400
WINDOW = timedelta(days=30)

COUNTED_SUFFIXES = (".safetensors", ".gguf", ".bin", ".pt", ".pth", ".onnx", ".h5", ".zip")
"""Weights, and the archive of everything: what people come for."""

_CI = re.compile(
    r"is_ci/true|github-actions|gitlab-runner|jenkins|circleci|buildkite", re.IGNORECASE
)
_BOT = re.compile(r"bot\b|crawler|spider|slurp|facebookexternalhit|monitor", re.IGNORECASE)
_BROWSER = re.compile(r"^Mozilla/")


@dataclass(frozen=True, slots=True)
class Receipt:
    """A transfer that reached its last byte."""

    repo_id: int
    commit_oid: str
    path: str
    size_bytes: int
    caller: str
    """Opaque: equal for the same caller on the same day."""
    kind: DownloadCount.Kind


def caller_key(viewer: Viewer, user_agent: str) -> str:
    """Return today's opaque name of a caller."""
    who = f"user:{viewer.user.pk}" if viewer.user else f"{viewer.address} {user_agent}"
    salted = f"{settings.SECRET_KEY} {timezone.now().date()} {who}"
    return hashlib.sha256(salted.encode()).hexdigest()[:20]


def kind_of(user_agent: str) -> DownloadCount.Kind:
    """Return what kind of caller a ``User-Agent`` speaks of."""
    if _CI.search(user_agent):
        return DownloadCount.Kind.CI
    if _BOT.search(user_agent):
        return DownloadCount.Kind.BOT
    if _BROWSER.match(user_agent):
        return DownloadCount.Kind.BROWSER
    return DownloadCount.Kind.LIBRARY


def note(receipt: Receipt) -> None:
    """Keep a completed transfer in the buffer. Never fails the download it reports."""
    today = timezone.now().date()
    slot = f"{receipt.repo_id}|{receipt.commit_oid}|{today}|{receipt.kind}"
    seen = f"downloads:seen:{today}:{receipt.repo_id}:{receipt.commit_oid}"
    try:
        pipe = valkey().pipeline(transaction=True)
        pipe.hincrby(BUFFER, f"{slot}|files", 1)
        pipe.hincrby(BUFFER, f"{slot}|bytes", receipt.size_bytes)
        if receipt.path.lower().endswith(COUNTED_SUFFIXES):
            if valkey().sadd(seen, receipt.caller):
                pipe.hincrby(BUFFER, f"{slot}|downloads", 1)
            pipe.expire(seen, _SEEN_S)
        pipe.execute()
    except RedisError:
        logger.warning("a download was not counted: Valkey cannot be reached")


def flush() -> int:
    """Move the buffer into PostgreSQL and bring the listings' counters up to date.

    Returns:
        How many rows were written. Safe to repeat and to interrupt: what an earlier run took out
        of the buffer and did not finish is written first.
    """
    client = valkey()
    written = 0
    for _ in range(2):  # what a crashed run left, then what came since
        if not client.exists(FLUSHING) and not (
            client.exists(BUFFER) and client.renamenx(BUFFER, FLUSHING)
        ):
            break
        client.hsetnx(FLUSHING, BATCH, uuid.uuid4().hex)
        fields: dict[str, str] = client.hgetall(FLUSHING)  # type: ignore[assignment]
        batch = fields.pop(BATCH)
        written += _write(fields, batch=batch)
        client.delete(FLUSHING)
    return written


def _write(fields: dict[str, str], *, batch: str) -> int:
    """Add ``fields`` to the counts, once: a batch that is written already is left alone."""
    rows: dict[tuple[int, str, str, str], dict[str, int]] = defaultdict(dict)
    for field, amount in fields.items():
        repo, commit, day, kind, what = field.split("|")
        rows[int(repo), commit, day, kind][what] = int(amount)
    alive = set(
        ModelRepo.objects.filter(pk__in={key[0] for key in rows}).values_list("pk", flat=True)
    )
    with transaction.atomic():
        if not CounterBatch.objects.get_or_create(batch=batch)[1]:
            return 0
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
