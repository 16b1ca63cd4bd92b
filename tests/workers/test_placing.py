"""Where jobs that run models wait, and what is said when no worker can run them."""

from dataclasses import replace
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from inference.runners import cards, hardware
from store.core import placing, presence
from store.core.jobs import JobName, Queue, claim, enqueue
from store.core.models import Job
from store.core.placing import place_waiting, problem_of, queue_for
from store.core.presence import Worker
from store.core.sweeping import sweep

GB = 10**9
CPU = Worker("a@cpu", ("inference",), slots=16, memory_bytes=8 * GB)
CARD = Worker("b@gpu", ("inference-gpu",), slots=4, device="gpu", memory_bytes=24 * GB)
OTHER = Worker("c@x", ("default", "scan"))


@pytest.mark.parametrize(
    ("memory_bytes", "workers", "queue"),
    [
        (1 * GB, [CPU, CARD], "inference"),
        (5 * GB, [CPU, CARD], "inference-gpu"),
        (5 * GB, [CPU], "inference"),
        (12 * GB, [CPU, CARD], "inference-gpu"),
        (1 * GB, [CARD], "inference-gpu"),
        (0, [CARD, OTHER], "inference-gpu"),
        (99 * GB, [CPU, CARD], "inference"),
        (1 * GB, [], "inference"),
        (1 * GB, None, "inference"),
    ],
)
def test_a_model_goes_to_hardware_that_fits(
    memory_bytes: int, workers: list[Worker] | None, queue: str
) -> None:
    assert queue_for(Queue.INFERENCE, memory_bytes, workers) == queue
    assert queue_for(Queue.SCAN, memory_bytes, workers) == "scan"


def test_what_no_worker_can_run_is_said() -> None:
    assert problem_of("inference", 1 * GB, [CPU]) == ""
    assert problem_of("inference", 1 * GB, None) == ""
    assert problem_of("scan", 0, [CPU]).startswith("No worker for this runs now.")
    assert problem_of("inference", 1 * GB, [OTHER]).startswith("No worker for this runs now.")
    assert problem_of("inference", 99 * GB, [CPU, CARD]) == (
        "This needs a worker with 99\u202fGB of memory; the largest here has 24\u202fGB. "
        "It starts as soon as one is there; you can cancel it."
    )


def test_a_job_is_placed_when_it_is_asked_for(db: None) -> None:
    presence.announce(CPU)
    presence.announce(CARD)

    queues = [
        enqueue(JobName.GENERATE, memory_bytes=need, run_id=1).queue for need in (1 * GB, 12 * GB)
    ]

    assert queues == ["inference", "inference-gpu"]


def test_without_valkey_a_job_is_queued_all_the_same(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RedisConnectionError("away")

    monkeypatch.setattr(presence, "workers", fail)

    assert enqueue(JobName.GENERATE, memory_bytes=12 * GB).queue == "inference"
    assert place_waiting(placing.present()) == 0


def test_waiting_jobs_follow_the_workers(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    presence.announce(CPU)
    small = enqueue(JobName.GENERATE, memory_bytes=1 * GB)
    large = enqueue(JobName.GENERATE, memory_bytes=12 * GB)
    scan = enqueue(JobName.SCAN_COMMIT)

    def rows() -> list[tuple[str, str]]:
        sweep()
        assert set(Job.objects.filter(error="").values_list("error_code", flat=True)) <= {""}
        found = [Job.objects.get(pk=job.pk) for job in (small, large, scan)]
        return [(job.queue, job.error_code) for job in found]

    told = [("inference", ""), ("inference", "no_worker"), ("scan", "no_worker")]
    assert rows() == told
    assert "needs a worker with 12\u202fGB" in Job.objects.get(pk=large.pk).error
    assert place_waiting(placing.present()) == 0  # nothing is written twice
    taken = claim(enqueue(JobName.SCAN_COMMIT).pk)
    assert taken is not None
    assert (taken.job.error_code, taken.job.error) == ("", "")

    presence.announce(CARD)
    presence.announce(OTHER)
    assert rows() == [("inference", ""), ("inference-gpu", ""), ("scan", "")]
    assert set(Job.objects.values_list("error", flat=True)) == {""}

    presence.retract(CPU.name)
    assert rows()[0] == ("inference-gpu", "")


def test_other_faults_of_a_waiting_job_stay(db: None) -> None:
    presence.announce(OTHER)
    job = enqueue(JobName.SCAN_COMMIT)
    Job.objects.update(error_code="try_again", error="the disk was away")

    sweep()

    job.refresh_from_db()
    assert (job.error_code, job.error) == ("try_again", "the disk was away")


def test_places_and_memory_of_those_present() -> None:
    assert placing.slots_of("inference", [CPU, replace(CPU, name="d", slots=2), CARD]) == 18
    assert placing.slots_of("inference", None) == 0
    assert placing.most_memory([CPU, CARD, OTHER]) == 24 * GB
    assert placing.most_memory(None) == 0


def test_what_this_machine_offers(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(found: list[str], said: str | None) -> hardware.Hardware:
        def ask(*_args: Any, **_kwargs: Any) -> Any:
            if said is None:
                raise FileNotFoundError("nvidia-smi")
            return type("Done", (), {"stdout": said})

        monkeypatch.setattr(cards, "graphics_devices", lambda _limits: found)
        monkeypatch.setattr(cards.subprocess, "run", ask)
        cards.card.cache_clear()
        hardware.hardware.cache_clear()
        return hardware.hardware()

    settings.ENV = settings.ENV.model_copy(update={"box_memory_bytes": 5 * GB})
    try:
        plain = look([], None)
        card = look(["/dev/nvidia0"], "NVIDIA L4, 23034\n")
        bare = look(["/dev/nvidia0"], None)
        odd = look(["/dev/nvidia0"], "no devices were found\n")
    finally:
        cards.card.cache_clear()
        hardware.hardware.cache_clear()

    assert (plain.device, plain.memory_bytes) == ("cpu", 5 * GB)
    assert (card.device, card.name, card.memory_bytes) == ("gpu", "NVIDIA L4", 23034 * 2**20)
    assert [(found.device, found.memory_bytes) for found in (bare, odd)] == [("gpu", 5 * GB)] * 2
