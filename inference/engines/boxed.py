"""The store's own engine: the files of a commit in a locked-in process on this machine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from inference.box.client import Box
from inference.box.pool import BoxPool
from inference.engines.base import Work
from inference.runners.folders import box_key, model_folder
from store.core.database import hand_back_connection


class BoxEngine:
    """Lays the files out, and takes a box of a pool.

    Args:
        pool: This process's models in memory.
    """

    def __init__(self, pool: BoxPool) -> None:
        self._pool = pool

    @contextmanager
    def ready(self, run: Work, *, alone: bool, check: Callable[[], None]) -> Iterator[Box]:
        """See ``Engine.ready``."""
        with model_folder(run.repo, run.commit_oid, check, run.gguf_file) as folder:
            hand_back_connection()
            with self._pool.use(box_key(folder), folder, alone=alone) as box:
                check()
                yield box
