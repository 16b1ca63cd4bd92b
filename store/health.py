"""Is the store alive, and is it ready?"""

from collections.abc import Callable

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from redis.exceptions import RedisError

from catalog.content.stores import storage
from store.core.errors import StoreError
from store.core.presence import seen
from store.core.valkey import valkey


def healthz(request: HttpRequest) -> JsonResponse:
    """Answer that the process takes requests; looks at nothing else."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when database, queue, storage and a worker are there, 503 with the reason else."""
    results = check_all()
    is_ready = all(result == "ok" for result in results.values())
    body = {"status": "ready" if is_ready else "not ready", "checks": results}
    answer = JsonResponse(body, status=200 if is_ready else 503)
    answer["Cache-Control"] = "no-store"
    return answer


def check_all() -> dict[str, str]:
    """Return ``ok`` or what is wrong, for each part the store cannot do without."""
    checks: dict[str, Callable[[], None]] = {
        "database": _database,
        "queue": _queue,
        "storage": _storage,
        "worker": _worker,
    }
    return {name: _result(check) for name, check in checks.items()}


def _result(check: Callable[[], None]) -> str:
    try:
        check()
    except (DatabaseError, RedisError, StoreError, OSError, RuntimeError) as error:
        return f"{type(error).__name__}: see the log" if settings.ENV.https else str(error)[:200]
    return "ok"


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _queue() -> None:
    valkey().ping()


def _storage() -> None:
    """A full or read-only disk, or a bucket that refuses us, is not ready."""
    storage().check()


def _worker() -> None:
    if not seen():
        raise RuntimeError("no worker was seen in the last minute")
