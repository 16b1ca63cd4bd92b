"""The tasks of a run, whoever runs them: lm-evaluation-harness or a probe of ours."""

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings

from inference.harness.client import LIMITS, Harness, HarnessTask
from inference.harness.keeping import KEEPER
from inference.models import EvaluationShard, Sample
from inference.runners.evaluation_scores import (
    USUAL,
    Figure,
    harness_figure,
    harness_values,
    probe_figures,
    sample_value,
)
from inference.runners.probes.base import MAX_TEXT_CHARS, Probe, ProbeSpec
from inference.runners.probes.catalog import PROBES
from inference.runners.scorer import Scorer, answer_harness
from inference.services.suite_specs import Spec, Task, digest_of


@dataclass
class TaskSet:
    """The tasks of a suite, ready to be asked.

    Attributes:
        spec: Of the suite.
        probes: Our own tasks by name.
        harness: The process that has the others; ``None`` where there are none.
        loaded: What it said of them.
        scores_only: Keep no prompt and no output.
    """

    spec: Spec
    probes: dict[str, Probe] = field(default_factory=dict)
    harness: Harness | None = None
    loaded: dict[str, Any] = field(default_factory=dict)
    scores_only: bool = False

    def sizes(self) -> dict[str, int]:
        """Return how many samples each task has, in order."""
        return {
            task.name: len(self.probes[task.name])
            if task.runner == "probe"
            else int(self.loaded["tasks"][task.name]["samples"])
            for task in self.spec.tasks
        }

    def answer(self, shard: EvaluationShard, scorer: Scorer) -> Iterator[Sample]:
        """Do the samples of a shard, each when the one before is taken; nothing is written."""
        do = self._probed if shard.task in self.probes else self._harnessed
        for index in range(shard.first, shard.first + shard.count):
            row = do(shard, index, scorer)
            self._trim(row)
            yield row

    def figures(self, samples: list[Sample]) -> list[Figure]:
        """Work out all figures of a run from all of its samples, in order."""
        by_task: dict[str, list[Sample]] = {task.name: [] for task in self.spec.tasks}
        for sample in samples:
            by_task[sample.task].append(sample)
        found: list[Figure] = []
        for name, rows in by_task.items():
            if name in self.probes:
                metrics = self.probes[name].metrics
                found += probe_figures(name, metrics, rows, seed=self.spec.seed)
            else:
                found += self._harness_figures(name, name, rows)
        for pool in self.spec.pooled:
            rows = [row for name in pool.of for row in by_task[name]]
            found += [
                figure
                for figure in self._harness_figures(pool.task, pool.of[0], rows)
                if figure.metric == pool.metric
            ]
        return [figure for figure in found if math.isfinite(figure.interval.value)]

    def primary(self, figures: list[Figure]) -> Figure | None:
        """Return the figure the suite is ranked by."""
        wanted = self.spec.primary
        if wanted is not None:
            same = [
                each for each in figures if (each.task, each.metric) == (wanted.task, wanted.metric)
            ]
            return same[0] if same else None
        names = [figure.metric.split(",")[0] for figure in figures]
        usual = [names.index(name) for name in USUAL if name in names]
        place = usual[0] if usual else 0
        return figures[place] if figures else None

    def _probed(self, shard: EvaluationShard, index: int, scorer: Scorer) -> Sample:
        said = self.probes[shard.task].ask(scorer, index)
        return Sample(
            run_id=shard.run_id,
            task=shard.task,
            index=index,
            prompt=said.prompt,
            expected=said.expected,
            output=said.output,
            metrics=dict(said.metrics),
            facts=dict(said.facts),
        )

    def _harnessed(self, shard: EvaluationShard, index: int, scorer: Scorer) -> Sample:
        harness, metrics = self._harness_of(shard.task)
        (answered,) = harness.run(shard.task, index, 1, partial(answer_harness, scorer))
        return _harness_sample(shard, answered, metrics)

    def _harness_figures(self, name: str, task: str, rows: list[Sample]) -> list[Figure]:
        if not rows:
            return []
        harness, metrics = self._harness_of(task)
        values = harness_values(rows)
        scores = harness.score(task, values)
        return [
            harness_figure(
                name, metric, values[metric], scores[metric], _fact(metrics, metric), self.spec.seed
            )
            for metric in scores
        ]

    def _harness_of(self, task: str) -> tuple[Harness, dict[str, Any]]:
        if self.harness is None:
            raise RuntimeError("a task of the harness without a harness")
        metrics: dict[str, Any] = self.loaded["tasks"][task]["metrics"]
        return self.harness, metrics

    def _trim(self, row: Sample) -> None:
        """Make texts storable; keep none where only scores are given."""
        for name in ("prompt", "expected", "output"):
            text = "" if self.scores_only else str(getattr(row, name))
            setattr(row, name, text.replace("\0", "\ufffd")[:MAX_TEXT_CHARS])
        if self.scores_only:
            row.facts = {key: value for key, value in row.facts.items() if key == "items"}


def _fact(metrics: dict[str, Any], metric: str) -> dict[str, Any]:
    found: dict[str, Any] = metrics.get(metric.split(",", maxsplit=1)[0], {})
    return found


def _harness_sample(
    shard: EvaluationShard, said: dict[str, Any], metrics: dict[str, Any]
) -> Sample:
    values, items = {}, {}
    for name, value in said["metrics"].items():
        aggregation = _fact(metrics, name).get("aggregation", "")
        own = sample_value(aggregation, value)
        if own is not None:
            values[name] = own if isinstance(value, list) else value
        if isinstance(value, list):
            items[name] = value
    answers, choices = said["answers"], said["choices"]
    facts: dict[str, Any] = {"items": items} if items else {}
    output = answers[0] if isinstance(answers[0], str) else ""
    if choices:
        facts |= {"logprobs": [logprob for logprob, _greedy in answers]}
        if len(choices) > 1:
            facts["choices"] = choices
            output = choices[max(range(len(choices)), key=lambda each: answers[each][0])]
    elif isinstance(answers[0], float):
        facts["logprob"] = answers[0]
    return Sample(
        run_id=shard.run_id,
        task=shard.task,
        index=said["index"],
        prompt=said["prompt"],
        expected=said["expected"],
        output=output,
        metrics=values,
        facts=facts,
    )


@contextmanager
def ready_tasks(
    spec: Spec, check: Callable[[], None], *, scores_only: bool = False
) -> Iterator[TaskSet]:
    """Make the tasks of a suite; the harness's process lives while the block runs.

    Raises:
        TaskFailedError: a task of the harness cannot be built; the message says why.
        HarnessLostError: its process ended.
        SuiteDamagedError: a data file is not the one the suite names.
    """
    found = TaskSet(spec, scores_only=scores_only)
    for task in spec.tasks:
        if task.runner == "probe":
            rows = task.data.rows() if task.data else ()
            about = ProbeSpec(task.seed, task.count, task.options, rows)
            found.probes[task.name] = PROBES[task.probe](about)
    if not spec.is_harness:
        yield found
        return
    with _loaded_harness(spec, check) as (found.harness, found.loaded):
        yield found


@contextmanager
def _loaded_harness(
    spec: Spec, check: Callable[[], None]
) -> Iterator[tuple[Harness, dict[str, Any]]]:
    """Give a harness that has loaded a suite's tasks; for shipped ones the one that is kept."""
    asked = [task for task in spec.tasks if task.runner == "harness"]
    shipped = [_harness_task(task, task.data.path()) for task in asked if task.data]
    allowed = {"allow_unprotected": settings.ENV.allow_unprotected_box}
    limits = LIMITS.model_copy(update=allowed)
    if len(shipped) == len(asked):
        digest = digest_of(spec.to_json())
        with KEEPER.lent(digest, shipped, check, limits=limits) as lent:
            yield lent
        return
    is_known = any(task.known for task in asked)
    root: Path = settings.EVAL_DATA_DIR
    own_tasks = root / "tasks"
    with Harness(
        cache_dir=root / "hub" if is_known else None,
        readable=[own_tasks] if is_known else [],
        limits=limits,
        may_fetch=is_known and settings.ENV.eval_fetch,
        check=check,
    ) as harness:
        tasks = [_harness_task(task, _laid_out(task, harness.folder)) for task in asked]
        include = own_tasks if is_known and own_tasks.is_dir() else None
        yield harness, harness.load(tasks, include_path=include)


def _harness_task(task: Task, path: Path | None = None) -> HarnessTask:
    """Return a task as the harness loads it, its data at ``path``."""
    about: dict[str, Any] = {"num_fewshot": task.num_fewshot, "limit": task.limit}
    if task.config is None:
        return HarnessTask(task.name, known=task.known, **about)
    where: dict[str, Any] = {"dataset_path": "json"}
    where["dataset_kwargs"] = {"data_files": {"test": str(path)}}
    if task.rows:  # read as they are: the loader of JSON files takes texts for dates
        where = {"custom_dataset": str(path)}
    return HarnessTask(task.name, {**task.config, "task": task.name, **where}, **about)


def _laid_out(task: Task, folder: Path) -> Path | None:
    """Write somebody's own data into ``folder``; ``None``: the harness knows where its data is."""
    if task.known:
        return None
    path = folder / f"{task.name}.jsonl"
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in task.rows)
    path.write_text("".join(lines), encoding="utf-8")
    return path
