"""Where jobs that run models wait: in the queue of a hardware class that can run them.

A job states the least memory its worker must have. Small models go to processors, large ones to
graphics cards, each to the other where only that is there. What no worker here can run says so in
its row, and goes on by itself when one comes that can.
"""

import logging
from collections.abc import Sequence

from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from store.core import presence
from store.core.models import Job
from store.core.presence import Worker
from store.core.queues import MODEL_QUEUES, Queue
from store.core.ui.figures import size_text

logger = logging.getLogger(__name__)

NO_WORKER = "no_worker"
"""``error_code`` of a job that waits for a worker that is not there."""


def present() -> list[Worker] | None:
    """Return the workers that are there; ``None`` when nobody can tell."""
    try:
        return presence.workers()
    except RedisError:
        logger.warning("workers cannot be seen: Valkey does not answer")
        return None


def class_of(memory_bytes: int) -> Queue:
    """Return the hardware class that is meant for a model with weights of so many bytes."""
    is_large = memory_bytes >= settings.ENV.gpu_from_bytes
    return Queue.INFERENCE_GPU if is_large else Queue.INFERENCE


def queue_for(queue: str, memory_bytes: int, workers: Sequence[Worker] | None) -> str:
    """Return the queue a job of ``queue`` should wait in.

    Args:
        queue: Where it would be without this choice.
        memory_bytes: What its worker must have; 0: any will do.
        workers: Those present; ``None`` leaves the job where it is.
    """
    if queue not in MODEL_QUEUES or not workers:
        return queue
    best = class_of(memory_bytes)
    order = sorted(MODEL_QUEUES, key=lambda each: each != best)
    for wanted in order:
        if any(worker.can_run(wanted, memory_bytes) for worker in workers):
            return wanted
    return queue


def problem_of(queue: str, memory_bytes: int, workers: Sequence[Worker] | None) -> str:
    """Return why no worker can take a job of ``queue`` now; empty: one can, or nobody can tell."""
    if workers is None or any(worker.can_run(queue, memory_bytes) for worker in workers):
        return ""
    there = [worker.memory_bytes for worker in workers if set(worker.queues) & set(MODEL_QUEUES)]
    if queue not in MODEL_QUEUES or not there:
        return _("No worker for this runs now. It starts as soon as one does.")
    return _(
        "This needs a worker with %(need)s of memory; the largest here has %(most)s. "
        "It starts as soon as one is there; you can cancel it."
    ) % {"need": size_text(memory_bytes), "most": size_text(max(there))}


def most_memory(workers: Sequence[Worker] | None) -> int:
    """Return the memory of the largest worker that runs models, in bytes; 0: none is there."""
    able = [worker for worker in workers or () if set(worker.queues) & set(MODEL_QUEUES)]
    return max((worker.memory_bytes for worker in able), default=0)


def place_waiting(workers: Sequence[Worker] | None) -> int:
    """Move waiting jobs to queues that can run them, and tell those that no worker can run.

    Run by the beat.

    Returns:
        How many jobs were moved or have another note.
    """
    if workers is None:
        return 0
    changed = 0
    waiting = Job.objects.filter(state=Job.State.QUEUED, not_before__lte=timezone.now())
    kinds = waiting.order_by().values_list("queue", "memory_bytes").distinct()
    for queue, memory_bytes in list(kinds):
        same = waiting.filter(queue=queue, memory_bytes=memory_bytes)
        better = queue_for(queue, memory_bytes, workers)
        problem = problem_of(better, memory_bytes, workers)
        is_told = Q(error_code=NO_WORKER, error=problem) if problem else ~Q(error_code=NO_WORKER)
        note = {"error_code": NO_WORKER if problem else "", "error": problem}
        changed += same.exclude(is_told).update(**note)
        if better != queue:
            changed += same.update(queue=better)
    return changed


def slots_of(queue: Queue | str, workers: Sequence[Worker] | None) -> int:
    """Return how many jobs of ``queue`` can run at a time."""
    return sum(worker.slots for worker in workers or () if queue in worker.queues)
