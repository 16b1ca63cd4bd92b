"""The job that measures a model: shard by shard, each written whole or not at all.

A shard is cut short, between two samples, when somebody waits for the worker: what is answered is
written, the rest is a shard of its own.
"""

import logging
import time
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import Max, Q, QuerySet, Sum
from django.utils import timezone

from inference.box.client import Box
from inference.box.protocol import LoadedEvent
from inference.models import EvaluationRun, EvaluationShard, Sample, Score
from inference.runners import generation, people
from inference.runners.evaluation_machine import (
    machine_facts,
    machine_figures,
    with_environment,
    work_of,
)
from inference.runners.evaluation_record import record_of
from inference.runners.evaluation_scores import Figure
from inference.runners.evaluation_tasks import TaskSet, ready_tasks
from inference.runners.folders import box_key, model_folder
from inference.runners.scorer import BoxScorer
from inference.services import suites, usage
from inference.services.evaluation_trials import TRIAL_TOKENS
from inference.services.evaluations import SCORES_ONLY
from inference.services.suite_specs import Spec
from inference.services.weights import needed_files
from store.core.database import hand_back_connection
from store.core.errors import ConflictError
from store.core.models import Job
from store.core.queues import Priority
from store.core.work import JobContext, JobStoppedError, JobYieldedError

ENVIRONMENTS = "environments"
"""Part of the record: what the pieces of a run were done on, each different one once."""
WORK = "work"
"""Part of the record: tokens read and written for what is kept, and the most memory of a box."""
logger = logging.getLogger(__name__)

PAUSE_S = 4.0
"""Longest rest before a shard while people's generations run, in seconds."""
QUIET_S = 60.0
"""The same where speed is measured."""
_LOOK_S = 0.25
_WAITS_LONG_S = 0.5
"""What a person asked for and nobody has taken up for so long finds no free worker."""


class BaseChangedError(ConflictError):
    """Half of an adapter's samples were answered on another base than the rest would be."""

    code = "base_changed"


def run_evaluation(context: JobContext, run_id: int) -> dict[str, Any]:
    """Do one evaluation. Idempotent: shards that are done are left alone.

    Raises:
        NotRunnableError, ModelRefusedError, BoxError, TaskFailedError: it cannot be done, and why.
        TransientError: not now.
        JobYieldedError: people need the worker.
        JobStoppedError: somebody stopped it, or the worker must leave.
    """
    rows = EvaluationRun.objects.select_related("repo__namespace", "suite")
    run = rows.filter(pk=run_id).first()
    if run is None or run.has_ended:
        return {"state": run.state if run else "deleted"}
    _begin(context, run)
    return _Attempt(context, run).run()


def _begin(context: JobContext, run: EvaluationRun) -> None:
    """Mark the run as running, unless it was stopped this moment."""
    run.started_at = run.started_at or timezone.now()
    with context.claim.writing():
        rows = EvaluationRun.objects.filter(pk=run.pk, state__in=EvaluationRun.OPEN)
        is_open = rows.update(state=EvaluationRun.State.RUNNING, started_at=run.started_at)
    if not is_open:
        raise JobStoppedError("The evaluation was stopped before it began.")


class _Attempt:
    """One worker's work on one run."""

    def __init__(self, context: JobContext, run: EvaluationRun) -> None:
        self.context = context
        self.row = run
        self.spec: Spec = suites.spec_of(run.suite)
        self.is_timed = any(task.probe == "speed" for task in self.spec.tasks)
        self.is_alone = context.attempt > 1 or self.is_timed
        self.facts: LoadedEvent | None = None

    def run(self) -> dict[str, Any]:
        """Lay out the files, make the tasks, do what is left, put it together."""
        run, check = self.row, self.context.check
        scores_only = bool(run.record.get(SCORES_ONLY))
        with model_folder(run.repo, run.commit_oid, check) as folder:
            if not self.is_timed:  # a model that cannot be loaded fails before all else
                self._facts(folder)
            with ready_tasks(self.spec, check, scores_only=scores_only) as tasks:
                self._plan(tasks, folder)
                left, may_yield = run.shards.filter(done_at=None).order_by("number"), False
                while (shard := left.first()) is not None:
                    self._let_people_first(may_yield=may_yield)
                    self._do(tasks, shard, folder)
                    may_yield = True
                return self._finish(tasks, folder)

    def _use(self, folder: Path) -> AbstractContextManager[Box]:
        """Take the model's box for a moment, so that others have their turn between two.

        What is timed has a new one for itself: one that others used, or that came out of a spare
        process, tells neither how long loading takes nor how much memory that needs.
        """
        if self.is_timed:
            hand_back_connection()
            return generation.box_pool().fresh(box_key(folder), folder)
        return self._shared(folder)

    def _shared(self, folder: Path) -> AbstractContextManager[Box]:
        hand_back_connection()
        return generation.box_pool().use(box_key(folder), folder, alone=self.is_alone)

    def _facts(self, folder: Path) -> LoadedEvent:
        """Return what the model's box said when it was loaded."""
        if self.facts is None:
            with self._shared(folder) as box:
                self.facts = box.facts
        return self.facts

    def _plan(self, tasks: TaskSet, folder: Path) -> None:
        """Cut the tasks into shards, once for each run."""
        if self.row.shards.exists():
            if self.row.record.get("files_key") != folder.name:
                raise BaseChangedError(
                    "The adapter's base got a new revision while this ran. Ask for it again."
                )
            return
        shards: list[EvaluationShard] = []
        for name, size in tasks.sizes().items():
            step = self.spec.task(name).shard
            shards += [
                EvaluationShard(run=self.row, task=name, first=at, count=min(step, size - at))
                for at in range(0, size, step)
            ]
        for number, shard in enumerate(shards):
            shard.number = number
        with self.context.claim.writing():
            EvaluationShard.objects.bulk_create(shards)
            self.row.record |= {"files_key": folder.name}
            self.row.save(update_fields=["record"])
        total = sum(shard.count for shard in shards)
        self.context.report(line=f"{total} samples in {len(shards)} pieces.")

    def _let_people_first(self, *, may_yield: bool) -> None:
        """Rest while people's texts are being written; leave where no worker is free for them.

        Raises:
            JobYieldedError: one of them waits, and this worker may be the one they need.
        """
        until = time.monotonic() + (QUIET_S if self.is_timed else PAUSE_S)
        while True:
            self.context.check()
            if may_yield and self._asked().filter(_waiting()).exists():
                raise JobYieldedError(people.YIELD_S)
            is_busy = self._asked().filter(people.running()).exists()
            if not is_busy or time.monotonic() > until:
                return
            self.context.stopped.wait(_LOOK_S)

    def _asked(self) -> "QuerySet[Job]":
        """Return what people asked of the workers of this queue."""
        return Job.objects.filter(queue=self.context.claim.job.queue, priority=Priority.PERSON)

    def _is_wanted(self) -> bool:
        """Whether somebody waits for this worker, or for a model this run has for itself."""
        wanted = _waiting() | people.running() if self.is_alone else _waiting()
        is_wanted = self._asked().filter(wanted).exists()
        hand_back_connection()
        return is_wanted

    def _do(self, tasks: TaskSet, shard: EvaluationShard, folder: Path) -> None:
        """Answer a shard, or as much of it as can be before somebody else must have a turn."""
        began = looked = time.monotonic()
        samples: list[Sample] = []
        with self._use(folder) as box:
            scorer, self.facts = BoxScorer(box, self.context.check), box.facts
            for sample in tasks.answer(shard, scorer):
                samples.append(sample)
                if time.monotonic() - looked > _LOOK_S:
                    if self._is_wanted():
                        break
                    looked = time.monotonic()
            work = work_of(box, scorer)
            if self.is_timed:
                measured = machine_facts(box, scorer)
                for sample in samples:
                    sample.facts |= measured
        took_s = time.monotonic() - began
        with self.context.claim.writing():
            mine = EvaluationShard.objects.select_for_update().filter(pk=shard.pk, done_at=None)
            if mine.first() is None:
                return
            self._still_open()
            Sample.objects.bulk_create(samples)
            self._cut(shard, len(samples))
            self._note(shard, box.facts, work)
            mine.update(done_at=timezone.now(), seconds=took_s, count=shard.count)
        self._tell(shard, took_s)

    def _cut(self, shard: EvaluationShard, count: int) -> None:
        """Make the rest of a shard one of its own, the last."""
        if count == shard.count:
            return
        last = self.row.shards.aggregate(last=Max("number"))["last"]
        EvaluationShard.objects.create(
            run=self.row,
            number=last + 1,
            task=shard.task,
            first=shard.first + count,
            count=shard.count - count,
        )
        shard.count = count

    def _note(self, shard: EvaluationShard, facts: LoadedEvent, work: usage.Work) -> None:
        """Write down what a piece was done on, the next may be another machine's, and its cost."""
        known = self.row.record.get(ENVIRONMENTS, [])
        so_far = usage.Work(**self.row.record.get(WORK, {}))
        self.row.record |= {
            ENVIRONMENTS: with_environment(known, shard, facts),
            WORK: asdict(so_far.and_then(work)),
        }
        self.row.save(update_fields=["record"])

    def _still_open(self) -> None:
        rows = EvaluationRun.objects.filter(pk=self.row.pk, state=EvaluationRun.State.RUNNING)
        if not rows.exists():
            raise JobStoppedError("The evaluation was stopped.")

    def _tell(self, shard: EvaluationShard, took_s: float) -> None:
        counts = self.row.shards.values_list("count", "done_at")
        done = sum(count for count, done_at in counts if done_at)
        last = shard.first + shard.count
        self.context.report(
            progress=done / max(1, sum(count for count, _ in counts)),
            line=f"{shard.task} {shard.first + 1} to {last}: {took_s:.1f} s",
        )

    def _finish(self, tasks: TaskSet, folder: Path) -> dict[str, Any]:
        run = self.row
        order = {task.name: number for number, task in enumerate(self.spec.tasks)}
        samples = sorted(run.samples.all(), key=lambda row: (order[row.task], row.index))
        figures = tasks.figures(samples)
        primary = tasks.primary(figures)
        files = needed_files(run.repo, run.commit_oid)
        if self.is_timed:
            figures += machine_figures(samples)
        record = record_of(run, self.spec, files, self._facts(folder), harness=tasks.loaded)
        record |= {"attempts": self.context.attempt, "samples": len(samples)}
        with self.context.claim.writing(), transaction.atomic():
            self._still_open()
            run.scores.all().delete()
            Score.objects.bulk_create(
                _score(run, figure, is_primary=figure is primary) for figure in figures
            )
            run.record = run.record | record
            run.state, run.finished_at = EvaluationRun.State.DONE, timezone.now()
            run.error_code = run.error = ""
            # Whose it is may have changed meanwhile.
            run.save(update_fields=["record", "state", "finished_at", "error_code", "error"])
            self._meter()
        return {"samples": len(samples), "scores": len(figures)}

    def _meter(self) -> None:
        """Write the record of usage of a run that has just got its scores."""
        run = self.row
        run.refresh_from_db(fields=["asked_by"])  # who asked may have been forgotten meanwhile
        took_s = run.shards.aggregate(took_s=Sum("seconds"))["took_s"] or 0.0
        work = usage.Work(**run.record.get(WORK, {}))
        trial_tokens = run.record.get(TRIAL_TOKENS, 0)
        usage.record_evaluation(run, work, seconds=took_s, trial_tokens=trial_tokens)


def _waiting() -> Q:
    """Match jobs that find no free worker, though there is one that could."""
    return people.waiting(for_s=_WAITS_LONG_S)


def _score(run: EvaluationRun, figure: Figure, *, is_primary: bool) -> Score:
    interval = figure.interval
    return Score(
        run=run,
        task=figure.task,
        metric=figure.metric,
        value=interval.value,
        low=interval.low,
        high=interval.high,
        method=interval.method,
        samples=figure.samples,
        unit=figure.unit,
        is_higher_better=figure.is_higher_better,
        is_primary=is_primary,
    )
