"""How long things take, counted in buckets by every process, for the monitoring.

A process adds up in memory and hands its counts to Valkey every few seconds, so that a request
waits for nothing and any web process answers for all. What a crash loses are seconds. Labels are
words of a short list (a route's template, never an address): their number stays small.
"""

import logging
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from redis.exceptions import RedisError

from store.core.valkey import valkey

logger = logging.getLogger(__name__)

FLUSH_EVERY_S = 5.0
_MOST_WAITING = 20_000
"""Counts a process keeps while Valkey is away; past it new ones are dropped."""
_MICRO = 1_000_000
_SUM = "sum"
_BETWEEN = "\x1f"
"""Between the parts of a field's name; no label has it."""


@dataclass(frozen=True, slots=True)
class Series:
    """One set of labels.

    Args:
        labels: By name.
        counts: Of each bucket and, last, of what is above them all; not added up.
        total: Of all values.
    """

    labels: dict[str, str]
    counts: list[int]
    total: float


@dataclass(frozen=True, eq=False)
class Histogram:
    """One measured thing.

    Args:
        name: As the monitoring reads it, with its unit.
        about: One sentence.
        labels: Names of its labels.
        bounds: Upper ends of its buckets, rising; a value on one belongs to it.
    """

    name: str
    about: str
    labels: tuple[str, ...]
    bounds: tuple[float, ...]
    _waiting: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _flushed: list[float] = field(default_factory=lambda: [time.monotonic()])

    def observe(self, labels: tuple[str, ...], value: float) -> None:
        """Count one value.

        Args:
            labels: One word for each name, from a short list.
            value: At least 0, in the unit of the name.
        """
        words = _BETWEEN.join(word.replace(_BETWEEN, "") for word in labels)
        with self._lock:
            if len(self._waiting) < _MOST_WAITING:
                self._waiting[f"{words}{_BETWEEN}{bisect_left(self.bounds, value)}"] += 1
                self._waiting[f"{words}{_BETWEEN}{_SUM}"] += round(value * _MICRO)
            is_due = time.monotonic() - self._flushed[0] >= FLUSH_EVERY_S
        if is_due:
            self.flush()

    def flush(self) -> bool:
        """Hand in what waits. ``False``: Valkey does not answer; it is kept for later."""
        with self._lock:
            taken = Counter(self._waiting)
            self._waiting.clear()
            self._flushed[0] = time.monotonic()
        if not taken:
            return True
        try:
            pipe = valkey().pipeline()  # all or nothing
            for name, amount in taken.items():
                pipe.hincrby(self._key, name, amount)
            pipe.execute()
        except RedisError:
            logger.warning("counts of %s wait: Valkey does not answer", self.name)
            with self._lock:
                self._waiting.update(taken)
            return False
        return True

    def series(self) -> Iterator[Series]:
        """Yield what all processes have handed in, by labels.

        Raises:
            RedisError: Valkey does not answer.
        """
        found: dict[str, list[int]] = {}
        kept: dict[str, str] = valkey().hgetall(self._key)  # type: ignore[assignment]
        for name, amount in kept.items():
            words, _between, place = name.rpartition(_BETWEEN)
            row = found.setdefault(words, [0] * (len(self.bounds) + 2))
            row[-1 if place == _SUM else int(place)] = int(amount)
        for words, row in sorted(found.items()):
            labels = dict(zip(self.labels, words.split(_BETWEEN), strict=bool(self.labels)))
            yield Series(labels, row[:-1], row[-1] / _MICRO)

    @property
    def _key(self) -> str:
        """Another shape of the same name is counted apart from it."""
        return f"histogram:{self.name}:{','.join(self.labels)}:{len(self.bounds)}"


HTTP_SECONDS = Histogram(
    "store_http_request_seconds",
    "Time until a web request is answered; of a stream, until it begins.",
    ("route", "method", "status"),
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
FIRST_TOKEN_SECONDS = Histogram(
    "store_generation_first_token_seconds",
    "Time from asking to the first token, queue and loading included.",
    ("queue",),
    (0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300),
)
TOKENS_PER_SECOND = Histogram(
    "store_generation_tokens_per_second",
    "Speed of finished generations, all texts of one together.",
    ("queue",),
    (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
)
HISTOGRAMS = (HTTP_SECONDS, FIRST_TOKEN_SECONDS, TOKENS_PER_SECOND)
