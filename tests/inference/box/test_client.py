"""Boxes that crash, hang, lie and grow; and one real box, used in every way."""

import json
import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from inference.box import client, process
from inference.box.client import Box
from inference.box.errors import (
    BoxBrokeProtocolError,
    BoxCrashedError,
    BoxError,
    BoxMemoryError,
    BoxProtectionError,
    BoxTimeoutError,
    ModelRefusedError,
)
from inference.box.limits import MIB, BoxLimits
from inference.box.params import SamplingParams
from inference.box.process import BoxProcess, _ending
from inference.box.protocol import DoneEvent, EndedEvent, StartedEvent, TokenEvent
from tests.inference.box import tiny_models
from tests.inference.box.conftest import LIMITS
from tests.inference.box.test_generating import ids_of, run, text_of

PROBE = "tests.inference.box.probe"
ONE = SamplingParams(seed=1, max_new_tokens=1)


def start_probe(folder: Path, act: str, **limits: Any) -> Box:
    (folder / "plan.json").write_text(json.dumps({"act": act}))
    chosen = LIMITS.model_copy(update={"load_s": 20.0} | limits)
    return Box.start(folder, limits=chosen, module=PROBE)


def is_gone(pid: int) -> bool:
    """Whether no such process runs (not even as a zombie of ours)."""
    return not Path(f"/proc/{pid}").exists()


@pytest.fixture
def pids(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Ids of all processes started by the test."""
    seen: list[int] = []
    plain = BoxProcess.__init__

    def noting(self: BoxProcess, **options: Any) -> None:
        plain(self, **options)
        seen.append(self.pid)

    monkeypatch.setattr(BoxProcess, "__init__", noting)
    return seen


@pytest.mark.parametrize(
    ("act", "ending"),
    [
        ("abort", "was ended by SIGABRT"),
        ("exit", "ended by itself with status 3"),
        ("close errors", "ended by itself with status 4"),
        ("close output", "stopped answering"),
    ],
)
def test_a_crash_while_loading_is_told_and_leaves_nothing(
    tmp_path: Path, pids: list[int], act: str, ending: str
) -> None:
    with pytest.raises(BoxCrashedError) as caught:
        start_probe(tmp_path, act)

    assert caught.value.extra == {"ending": ending}
    assert caught.value.detail == ("last words\n" if act == "abort" else "")
    assert [is_gone(pid) for pid in pids] == [True]


def test_a_hang_while_loading_is_ended_in_time(tmp_path: Path, pids: list[int]) -> None:
    started = time.monotonic()

    with pytest.raises(BoxTimeoutError, match="loading"):
        start_probe(tmp_path, "hang", load_s=0.5)

    assert time.monotonic() - started < 15
    assert [is_gone(pid) for pid in pids] == [True]


@pytest.mark.parametrize("act", ["babble", "long", "out of turn"])
def test_a_child_that_breaks_the_protocol_is_ended(
    tmp_path: Path, pids: list[int], act: str
) -> None:
    with pytest.raises(BoxBrokeProtocolError):
        start_probe(tmp_path, act)

    assert [is_gone(pid) for pid in pids] == [True]


def test_a_child_past_its_memory_is_ended(tmp_path: Path, pids: list[int]) -> None:
    (tmp_path / "plan.json").write_text(json.dumps({"act": "grow", "mib": 2000, "pause_s": 0.05}))
    # the kernel's limit is far: the watch from outside has to see it
    inside = LIMITS.model_copy(update={"memory_bytes": 8 * 1024 * MIB})
    box = BoxProcess(environment=client.environment(inside), memory_bytes=256 * MIB, module=PROBE)
    client._lock_in(box, inside, tmp_path)
    request = client.LoadRequest(model_dir=str(tmp_path))

    with pytest.raises(BoxMemoryError) as caught:
        client._load(box, request, inside)

    assert caught.value.extra == {"limit_bytes": 256 * MIB}
    assert [is_gone(pid) for pid in pids] == [True]
    box.close()


@pytest.mark.parametrize(
    "act",
    [
        "no start",
        "two starts",
        "too much room",
        "other id",
        "skips",
        "repeats",
        "other sequence",
        "after the end",
        "done too early",
        "miscounts",
        "wrong sum",
    ],
)
def test_an_answer_out_of_order_ends_the_child(tmp_path: Path, act: str) -> None:
    with start_probe(tmp_path, act) as box:
        with pytest.raises(BoxBrokeProtocolError):
            list(box.generate("p", ONE))

        assert not box.is_alive
        assert is_gone(box.pid)


def test_a_crash_in_an_answer_is_told(tmp_path: Path) -> None:
    with start_probe(tmp_path, "die in answer") as box:
        with pytest.raises(BoxCrashedError, match="SIGABRT"):
            list(box.generate("p", ONE))

        assert not box.is_alive
        assert box.rss_bytes() == 0
        with pytest.raises(BoxCrashedError):
            box.ping()


def test_a_hang_in_an_answer_is_ended_in_time(tmp_path: Path) -> None:
    with start_probe(tmp_path, "stalls", generate_s=3.0) as box:
        events = []

        with pytest.raises(BoxTimeoutError, match="generating"):
            for event in box.generate("p", ONE):
                events.append(event)  # noqa: PERF402 - what came before the end is kept

        assert [type(event) for event in events] == [StartedEvent, TokenEvent]
        assert not box.is_alive


def test_a_child_that_takes_no_requests_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_SEND_S", 0.3)
    with start_probe(tmp_path, "deaf") as box:
        with pytest.raises(BoxTimeoutError, match="takes no requests"):
            list(box.generate("p" * 300_000, ONE))

        assert not box.is_alive


def test_leaving_a_hanging_answer_ends_the_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_CANCEL_S", 0.3)
    with start_probe(tmp_path, "stalls") as box:
        events = box.generate("p", ONE)
        next(events)

        events.close()  # type: ignore[attr-defined]

        assert not box.is_alive


def test_a_refusal_leaves_the_box_alive(tmp_path: Path) -> None:
    with start_probe(tmp_path, "refuse") as box:
        for _ in range(2):
            with pytest.raises(ModelRefusedError) as caught:
                list(box.generate("p", ONE))

        assert caught.value.reason == "cannot_generate"
        assert box.ping() < 5


def test_an_odd_answer_to_a_ping_ends_the_child(tmp_path: Path) -> None:
    with start_probe(tmp_path, "wrong pong") as box:
        with pytest.raises(BoxBrokeProtocolError):
            box.ping()

        assert not box.is_alive


def test_without_protection_nothing_starts_unless_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pids: list[int]
) -> None:
    plain = process.parse_event

    def unprotected(frame: bytes) -> Any:
        return plain(re.sub(rb'"network":"[^"]*"', b'"network":"open"', frame))

    monkeypatch.setattr(process, "parse_event", unprotected)

    with pytest.raises(BoxProtectionError, match="STORE_ALLOW_UNPROTECTED_BOX"):
        start_probe(tmp_path, "fine")
    assert [is_gone(pid) for pid in pids] == [True]

    with start_probe(tmp_path, "fine", allow_unprotected=True) as box:
        assert box.protection.network == "open"


def test_a_box_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    boxes: list[Box] = []
    thread = threading.Thread(target=lambda: boxes.append(start_probe(tmp_path, "fine")))
    thread.start()
    thread.join()
    time.sleep(0.3)  # the kernel would have ended it at once

    with boxes[0] as box:
        assert box.ping() < 5


def test_a_box_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(json.dumps({"act": "deaf"}))
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:  # a worker's child: starts a box and is killed
        try:
            box = Box.start(tmp_path, limits=LIMITS, module=PROBE)
            os.write(write, str(box.pid).encode())
            time.sleep(60)
        finally:
            os._exit(1)
    try:
        box_pid = int(os.read(read, 20))
        assert not is_gone(box_pid)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(read)
        os.close(write)

    deadline = time.monotonic() + 10
    while not _ended(box_pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _ended(box_pid)


def _ended(pid: int) -> bool:
    try:
        return "(zombie)" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


def test_ways_to_end_have_names() -> None:
    assert _ending(7) == "ended by itself with status 7"
    assert _ending(-9) == "was ended by SIGKILL"
    assert _ending(-63) == "was ended by signal 63"


def test_a_program_that_cannot_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing"):
        BoxProcess(environment={}, memory_bytes=MIB, code_root=tmp_path / "missing")


# ── the real child, with torch ──────────────────────────────────────────────────────────────────


def test_a_real_box_knows_its_model(box: Box) -> None:
    assert box.facts.architecture == "GPT2LMHeadModel"
    assert box.facts.context_tokens == 4096
    assert box.facts.load_s > 0.5  # importing torch is counted
    assert 100 * MIB < box.rss_bytes() < 1024 * MIB
    assert box.protection.is_enough
    assert Path(f"/proc/{box.pid}/environ").read_bytes().count(b"OMP_NUM_THREADS=1") == 1


def test_a_real_box_says_what_the_loop_says_here(box: Box, wide_dir: Path, load: Any) -> None:
    params: dict[str, Any] = {"seed": 3, "num_sequences": 2, "max_new_tokens": 25}

    events = list(box.generate("The quick", SamplingParams(**params), request_id="mine"))

    here = run(load(wide_dir), "The quick", **params)
    for sequence in (0, 1):
        assert ids_of(list(events), sequence) == ids_of(here, sequence)
        assert text_of(list(events), sequence) == text_of(here, sequence)
    assert {event.id for event in events} == {"mine"}
    assert isinstance(events[-1], DoneEvent)


def test_a_real_box_is_cancelled_from_another_thread(box: Box) -> None:
    params = SamplingParams(seed=1, max_new_tokens=4000)
    events = []

    for event in box.generate("a", params, request_id="long"):
        events.append(event)
        if isinstance(event, TokenEvent) and event.number == 3:
            canceller = threading.Thread(target=box.cancel, args=("long",))
            canceller.start()
            canceller.join()

    ended = [event for event in events if isinstance(event, EndedEvent)]
    assert [event.finish_reason for event in ended] == ["cancelled"]
    assert ended[0].new_tokens < 2000
    assert box.ping() < 5


def test_leaving_early_cancels_and_the_next_prompt_works(box: Box) -> None:
    events = box.generate("a", SamplingParams(seed=1, max_new_tokens=4000))
    next(events)

    events.close()  # type: ignore[attr-defined]

    assert list(box.generate("a", ONE))[-1].new_tokens == 1  # type: ignore[union-attr]


def test_a_real_box_refuses_and_lives_on(box: Box) -> None:
    with pytest.raises(ModelRefusedError) as caught:
        list(box.generate("a " * 5000, ONE))

    assert caught.value.reason == "prompt_too_long"
    assert caught.value.status == 422
    assert list(box.generate("a", ONE))


def test_a_tokenizer_that_eats_memory_takes_only_its_box(gpt2_copy: Path) -> None:
    double = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    tiny_models.edit_json(
        gpt2_copy / "tokenizer.json",
        normalizer={"type": "Sequence", "normalizers": [double] * 40},
    )
    limits = BoxLimits(device="cpu", memory_bytes=512 * MIB, generate_s=60)

    with Box.start(gpt2_copy, limits=limits) as box:
        with pytest.raises((BoxCrashedError, BoxMemoryError)):
            list(box.generate("a", ONE))

        assert not box.is_alive


def test_a_tokenizer_that_panics_is_told(gpt2_copy: Path) -> None:
    tiny_models.edit_json(
        gpt2_copy / "tokenizer.json",
        normalizer={"type": "Precompiled", "precompiled_charsmap": "CAAAAP////////8AeA=="},
    )
    with pytest.raises((ModelRefusedError, BoxError)) as caught:
        with Box.start(gpt2_copy, limits=LIMITS) as box:
            list(box.generate("hello", ONE))

    assert isinstance(caught.value, ModelRefusedError)
    assert caught.value.reason == "bad_tokenizer"


def test_a_model_larger_than_its_box_is_refused(tmp_path: Path) -> None:
    folder = tiny_models.gpt2(tmp_path / "large", vocab_size=200_000, n_embd=192)
    limits = BoxLimits(device="cpu", memory_bytes=400 * MIB)

    with pytest.raises((ModelRefusedError, BoxMemoryError, BoxCrashedError)) as caught:
        Box.start(folder, limits=limits)

    assert getattr(caught.value, "reason", "out_of_memory") == "out_of_memory"
