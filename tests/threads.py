"""Races: the same thing from many threads at once.

``STORE_RACE_ROUNDS`` repeats them; the suite does 2.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from django.db import connections

ROUNDS = int(os.environ.get("STORE_RACE_ROUNDS", "2"))


def at_once(work: Callable[[int], Any], count: int) -> list[Any]:
    """Call ``work(number)`` in ``count`` threads that start at the same instant."""
    start = Barrier(count)

    def wait_and_work(number: int) -> Any:
        try:
            start.wait(timeout=30)
            return work(number)
        finally:
            connections.close_all()  # each thread has its own

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(wait_and_work, range(count), timeout=60))
