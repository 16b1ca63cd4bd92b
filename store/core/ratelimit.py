"""Fixed-window limits, shared by all processes through Valkey."""

import logging
import time
from dataclasses import dataclass

from django.conf import settings

from store.core.errors import RateLimitedError
from store.core.valkey import ValkeyAwayError, needed, valkey

logger = logging.getLogger(__name__)

_WARN_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Window:
    """A limit: at most ``quota`` events in each ``window_s`` seconds for one key."""

    name: str
    quota: int
    window_s: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a caller stands in a window."""

    window: Window
    remaining: int
    reset_s: int

    def headers(self) -> dict[str, str]:
        """Return the ``RateLimit`` headers hub clients read (IETF draft, structured fields)."""
        name, window = self.window.name, self.window
        return {
            "RateLimit": f'"{name}";r={self.remaining};t={self.reset_s}',
            "RateLimit-Policy": f'"fixed window";"{name}";q={window.quota};w={window.window_s}',
        }


_warned_at = float("-inf")


def hit_if_counting(window: Window, key: str) -> Standing | None:
    """Count one event of ``key``; without Valkey nobody is counted, and nobody is kept out.

    For limits that share room out. Those that stop guesses of secrets (``hit``) stay shut.

    Raises:
        RateLimitedError: the quota of this window is used up.
    """
    global _warned_at  # noqa: PLW0603 - a clock of this process
    try:
        return hit(window, key)
    except ValkeyAwayError:
        if time.monotonic() - _warned_at > _WARN_EVERY_S:
            _warned_at = time.monotonic()
            logger.warning("requests are not limited: Valkey does not answer")
        return None


def hit(window: Window, key: str, *, cost: int = 1) -> Standing:
    """Count ``cost`` events of ``key``.

    Raises:
        RateLimitedError: the quota of this window is used up; ``extra`` has ``retry_after_s``.
        ValkeyAwayError: nobody can count.
    """
    standing = _count(window, key, cost)
    if standing.remaining < 0:
        raise RateLimitedError(
            f"Too many requests ({window.name}). Try again in {standing.reset_s} seconds.",
            retry_after_s=standing.reset_s,
            limit=window.name,
            quota=window.quota,
            window_s=window.window_s,
        )
    return standing


def headers_of(error: RateLimitedError) -> dict[str, str]:
    """Return the headers that tell which limit was reached, and when to come back."""
    headers = {"Retry-After": str(error.retry_after_s)}
    name, quota, window_s = (error.extra.get(key) for key in ("limit", "quota", "window_s"))
    if isinstance(quota, int) and isinstance(window_s, int):
        reached = Standing(Window(str(name), quota, window_s), 0, error.retry_after_s)
        headers |= reached.headers()
    return headers


def forget(window: Window, key: str) -> None:
    """Give ``key`` a fresh window (a right password after wrong ones, say).

    Raises:
        ValkeyAwayError: nobody can count.
    """
    with needed():
        valkey().delete(_slot(window, key))


def _slot(window: Window, key: str) -> str:
    return f"limit:{window.name}:{key}:{int(time.time()) // window.window_s}"


def _count(window: Window, key: str, cost: int) -> Standing:
    reset_s = window.window_s - int(time.time()) % window.window_s
    if settings.ENV.rate_limits == "off":
        return Standing(window, window.quota, reset_s)
    slot = _slot(window, key)
    with needed():
        used = int(valkey().incrby(slot, cost))
        if used == cost:  # new; who dies here leaves a few bytes under a name nobody asks for again
            valkey().expire(slot, window.window_s + 1)
    return Standing(window, window.quota - used, reset_s)
