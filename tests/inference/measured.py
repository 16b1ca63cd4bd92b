"""Suites and runs as the store would have left them, without running anything."""

from datetime import UTC, datetime, timedelta
from typing import Any

from accounts.models import User
from catalog.models import Commit, Listing, ModelRepo
from inference.models import EvaluationRun, EvaluationShard, Sample, Score, Suite

FIRST = datetime(2026, 11, 1, 12, tzinfo=UTC)


def make_suite(key: str = "arithmetic", *, version: int = 1, **changes: Any) -> Suite:
    """A public, ranked suite."""
    values = {
        "kind": Suite.Kind.BUILTIN,
        "title": key.capitalize(),
        "summary": f"What {key} is about.",
        "spec": {},
        "digest": "0" * 64,
        "is_ranked": True,
    }
    return Suite.objects.create(key=key, version=version, **(values | changes))


def make_run(
    repo: ModelRepo,
    suite: Suite,
    value: float | None = 0.5,
    *,
    half: float | None = 0.1,
    commit_oid: str = "",
    asked_by: User | None = None,
    unit: str = "share",
    metric: str = "acc",
    is_higher_better: bool = True,
    samples: int = 0,
    days: int = 0,
    **changes: Any,
) -> EvaluationRun:
    """A run of the head; with a primary score unless ``value`` is ``None``."""
    oid = commit_oid or Listing.objects.get(repo=repo).head_oid
    at = FIRST + timedelta(days=days)
    values = {
        "state": EvaluationRun.State.DONE,
        "record": {"seed": 7, "hardware": {"processor": "Test 2000", "cores": 2}},
        "created_at": at,
        "started_at": at,
        "finished_at": at + timedelta(minutes=5),
    }
    run = EvaluationRun.objects.create(
        repo=repo, commit_oid=oid, suite=suite, asked_by=asked_by, **(values | changes)
    )
    if value is not None:
        Score.objects.create(
            run=run,
            task=suite.key,
            metric=metric,
            value=value,
            low=None if half is None else value - half,
            high=None if half is None else value + half,
            method="" if half is None else "wilson",
            samples=samples,
            unit=unit,
            is_higher_better=is_higher_better,
            is_primary=True,
        )
    return run


def add_samples(run: EvaluationRun, worths: list[float], *, metric: str = "acc") -> list[Sample]:
    """One sample for each worth."""
    return Sample.objects.bulk_create(
        Sample(
            run=run,
            task=run.suite.key,
            index=index,
            prompt=f"What is {index} + 1?",
            expected=str(index + 1),
            output=str(index + 1 if worth else index + 7),
            metrics={metric: worth},
            facts={"tokens": 3},
        )
        for index, worth in enumerate(worths)
    )


def add_shards(run: EvaluationRun, *, done: int, total: int, count: int = 10) -> None:
    """``total`` pieces of ``count`` samples, ``done`` of them done."""
    EvaluationShard.objects.bulk_create(
        EvaluationShard(
            run=run,
            number=number,
            task=run.suite.key,
            first=number * count,
            count=count,
            done_at=FIRST if number < done else None,
        )
        for number in range(total)
    )


def add_commit(repo: ModelRepo, oid: str, depth: int) -> str:
    """A commit in the index of history, without anything behind it."""
    Commit.objects.create(
        repo=repo,
        oid=oid,
        tree_oid="0" * 40,
        depth=depth,
        author="alice",
        title="a step",
        authored_at=FIRST,
    )
    return oid
