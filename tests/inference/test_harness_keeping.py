"""A harness that is kept between runs: for shipped tasks alone, and only while nothing failed."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from accounts.viewer import Viewer
from inference.harness.client import HarnessTask, TaskFailedError
from inference.harness.keeping import KEEPER, HarnessKeeper
from inference.runners.evaluation_tasks import ready_tasks
from inference.services import datasets, suites

pytestmark = pytest.mark.timeout(600)


def answer(_ask: str, requests: list[Any]) -> list[Any]:
    """A model that finds everything as likely."""
    return [[-1.0, False] for _ in requests]


def nothing() -> None:
    """Stop nothing."""


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[HarnessKeeper]:
    found = HarnessKeeper(readable=[tmp_path])
    yield found
    found.close()


@pytest.fixture
def task(tmp_path: Path) -> HarnessTask:
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps({"q": f"{n}"}) + "\n" for n in range(3)))
    where = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(data)}}}
    config = {
        "task": "mine",
        "test_split": "test",
        "output_type": "loglikelihood",
        "doc_to_text": "{{q}}",
        "doc_to_target": " a",
        "metric_list": [{"metric": "acc"}],
    }
    return HarnessTask("mine", config | where)


def test_the_next_run_has_the_same_process_and_its_tasks(
    keeper: HarnessKeeper, task: HarnessTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with keeper.lent("a", [task], nothing) as (harness, facts):
        first = harness.run("mine", 0, 3, answer)
    with monkeypatch.context() as once:
        once.setattr(harness, "load", None)  # nobody asks for it
        with keeper.lent("a", [task], nothing) as (again, facts_again):
            assert (again, facts_again) == (harness, facts)
            assert again.run("mine", 0, 3, answer) == first

    other = HarnessTask("other", task.config, limit=1)
    with keeper.lent("b", [other], nothing) as (again, facts):
        assert again is harness
        assert facts["tasks"].keys() == {"other"}
        with pytest.raises(TaskFailedError):
            again.run("mine", 0, 1, answer)


def test_two_at_once_have_one_each_and_one_is_kept(
    keeper: HarnessKeeper, task: HarnessTask
) -> None:
    with keeper.lent("a", [task], nothing) as (one, _):
        with keeper.lent("a", [task], nothing) as (two, _):
            assert one is not two
        assert two.is_alive
    assert (one.is_alive, two.is_alive) == (True, False)


def test_what_failed_is_not_kept(keeper: HarnessKeeper, task: HarnessTask) -> None:
    class StopError(Exception):
        """Asked to."""

    def stopped(_ask: str, _requests: list[Any]) -> list[Any]:
        raise StopError  # it still waits for the answer

    with pytest.raises(StopError), keeper.lent("a", [task], nothing) as (first, _):
        first.run("mine", 0, 1, stopped)
    with pytest.raises(TaskFailedError), keeper.lent("x", [HarnessTask("x", known="y")], nothing):
        pass
    assert not first.is_alive

    with keeper.lent("a", [task], nothing) as (second, _):
        assert len(second.run("mine", 0, 1, answer)) == 1
    second.close()  # somebody killed it meanwhile
    with keeper.lent("a", [task], nothing) as (third, _):
        assert third is not second
        assert len(third.run("mine", 0, 1, answer)) == 1


def test_it_is_ended_when_nobody_uses_it(task: HarnessTask, tmp_path: Path) -> None:
    keeper = HarnessKeeper(keep_s=0.2, readable=[tmp_path])
    with keeper.lent("a", [task], nothing) as (harness, _):
        pass

    until = time.monotonic() + 10
    while harness.folder.exists() and time.monotonic() < until:
        time.sleep(0.05)

    assert not harness.folder.exists()
    assert not harness.is_alive


def test_only_shipped_tasks_share_a_process(
    as_bob: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = datasets.add_dataset(as_bob, "mine", b'{"prompt": "1 + 1 =", "answer": "2"}\n')
    shipped = suites.spec_of(suites.builtin("next-word"))

    with ready_tasks(shipped, nothing) as first:
        pass
    with ready_tasks(suites.spec_of(own), nothing) as mine:
        assert mine.harness is not first.harness
    with ready_tasks(shipped, nothing) as again:
        assert again.harness is first.harness

    assert mine.harness is not None
    assert not mine.harness.is_alive
    KEEPER.close()
