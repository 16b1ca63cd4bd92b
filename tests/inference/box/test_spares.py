"""Spare processes: ready before a model is asked for, and as locked in as any."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.box import child, spares
from inference.box.params import SamplingParams
from inference.box.spares import WarmStarter
from tests.inference.box.conftest import LIMITS
from tests.inference.box.test_generating import text_of

ONE = SamplingParams(seed=1, temperature=0, max_new_tokens=3)


@pytest.fixture
def starter(monkeypatch: pytest.MonkeyPatch) -> Iterator[WarmStarter]:
    monkeypatch.setattr(spares, "REFILL_S", 0.1)
    made = WarmStarter(LIMITS)
    yield made
    made.close()


def spare_pid(starter: WarmStarter, *, other_than: int = 0) -> int:
    """Return the id of the waiting spare, once it is another."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        spare = starter._spare
        if spare is not None and spare.pid != other_than:
            return spare.pid
        time.sleep(0.02)
    raise AssertionError("no spare came")


def test_a_box_is_made_of_the_spare_and_another_one_waits(
    starter: WarmStarter, gpt2_dir: Path
) -> None:
    waiting = spare_pid(starter)

    with starter(gpt2_dir) as first, starter(gpt2_dir, limits=LIMITS) as second:
        assert first.pid == waiting
        assert second.pid != waiting
        assert first.protection == second.protection
        assert first.protection.is_enough
        assert text_of(first.generate("Once", ONE)) == text_of(second.generate("Once", ONE))
        assert spare_pid(starter, other_than=waiting) not in {first.pid, second.pid}


def test_other_limits_and_a_dead_spare_start_a_process_of_their_own(
    starter: WarmStarter, gpt2_dir: Path
) -> None:
    waiting = spare_pid(starter)
    with starter(gpt2_dir, limits=LIMITS.model_copy(update={"generate_s": 99})) as box:
        assert box.pid != waiting
    os.kill(waiting, signal.SIGKILL)
    time.sleep(0.5)

    with starter(gpt2_dir) as box:
        assert box.pid != waiting
        assert text_of(box.generate("Once", ONE))


def test_nothing_is_left_running_after_the_end(gpt2_dir: Path) -> None:
    starter = WarmStarter(LIMITS)
    pid = spare_pid(starter)
    starter.close()

    assert not Path(f"/proc/{pid}").exists()
    with starter(gpt2_dir) as box:  # still works, and leaves no spare behind
        assert box.pid != pid
    time.sleep(0.2)
    assert starter._spare is None


def test_a_thread_that_a_library_started_would_not_be_locked_in() -> None:
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        with pytest.raises(RuntimeError, match="cannot be locked in"):
            child._warm_up()
    finally:
        over.set()
        thread.join()
