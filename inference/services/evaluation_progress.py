"""How far an evaluation has come, and how long it may still take."""

from dataclasses import dataclass

from inference.models import EvaluationRun, EvaluationShard


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands.

    Args:
        done: Samples that are done and kept.
        total: Samples of the run; 0 until it was begun.
        seconds_left: Expected, from what its pieces took so far; ``None``: nobody can tell.
    """

    done: int
    total: int
    seconds_left: float | None

    @property
    def share(self) -> float:
        """Part that is done, 0 to 1."""
        return self.done / self.total if self.total else 0.0


def progress_of(run: EvaluationRun) -> Progress:
    """Return the progress of a run. One query.

    Each task's own speed counts where it is known: pieces of one task are alike, tasks are not.
    """
    shards = EvaluationShard.objects.filter(run_id=run.measured_id)
    rows = list(shards.values_list("task", "count", "seconds", "done_at"))
    total = sum(count for _task, count, _took, _at in rows)
    done = sum(count for _task, count, _took, at in rows if at)
    if run.has_ended or not done:
        return Progress(done, total, 0.0 if run.has_ended and total else None)
    took: dict[str, tuple[int, float]] = {}
    for task, count, seconds, at in rows:
        if at:
            samples, all_s = took.get(task, (0, 0.0))
            took[task] = samples + count, all_s + (seconds or 0.0)
    usual_s = sum(all_s for _, all_s in took.values()) / done
    left_s = 0.0
    for task, count, _seconds, at in rows:
        if not at:
            samples, all_s = took.get(task, (0, 0.0))
            left_s += count * (all_s / samples if samples else usual_s)
    return Progress(done, total, round(left_s, 1))
