"""Who stays, who goes and who waits, with boxes that only pretend."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inference.box.client import Box
from inference.box.errors import (
    BoxBusyError,
    BoxCrashedError,
    BoxLostError,
    BoxParkedError,
    BoxProtectionError,
    ModelRefusedError,
)
from inference.box.footprint import Footprint, folder_bytes, on_card_bytes, unpacked_bytes
from inference.box.limits import GIB, MIB
from inference.box.params import SamplingParams
from inference.box.pool import BoxPool
from tests.inference.box.conftest import LIMITS


class FakeBox:
    """A box without a process."""

    def __init__(self, name: str, size_bytes: int, card_bytes: int) -> None:
        self.name = name
        self.size_bytes = size_bytes
        self.card_bytes = card_bytes
        self.is_alive = True
        self.closed = 0

    def rss_bytes(self) -> int:
        return self.size_bytes if self.is_alive else 0

    def close(self) -> None:
        self.is_alive = False
        self.closed += 1


class World:
    """Counts starts; decides sizes, failures and the time."""

    def __init__(self, tmp_path: Path) -> None:
        self.root = tmp_path
        self.started: list[FakeBox] = []
        self.sizes: dict[str, int] = {}
        self.on_card: dict[str, int] = {}
        self.failure: Exception | None = None
        self.now = 1000.0

    def start(self, model_dir: Path, *, limits: Any = None, gguf_file: str | None = None) -> Any:
        if self.failure:
            raise self.failure
        name = model_dir.name
        box = FakeBox(name, self.sizes.get(name, 500 * MIB), self.on_card.get(name, 0))
        self.started.append(box)
        return box

    def clock(self) -> float:
        return self.now

    def folder(self, key: str) -> Path:
        folder = self.root / key
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def names(self) -> list[str]:
        return [box.name for box in self.started]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def make_pool(world: World) -> Callable[..., BoxPool]:
    def make(**options: Any) -> BoxPool:
        defaults: dict[str, Any] = {"starter": world.start, "clock": world.clock, "wait_s": 0.2}
        return BoxPool(**(defaults | options))

    return make


def use(pool: BoxPool, world: World, key: str) -> Any:
    world.now += 1
    with pool.use(key, world.folder(key)) as box:
        return box


def test_a_box_is_kept_and_used_again(make_pool: Any, world: World) -> None:
    pool = make_pool()

    first, second = use(pool, world, "a"), use(pool, world, "a")

    assert first is second
    assert world.names == ["a"]
    assert pool.resident == {"a": 500 * MIB}  # as measured, not as guessed


def test_the_least_recently_used_goes_first(make_pool: Any, world: World) -> None:
    pool = make_pool(max_boxes=2)
    for key in ("a", "b", "a", "c"):
        use(pool, world, key)

    assert set(pool.resident) == {"a", "c"}
    assert [box.closed for box in world.started] == [0, 1, 0]


def test_memory_as_measured_decides(make_pool: Any, world: World) -> None:
    pool = make_pool(budget=Footprint(2 * GIB), max_boxes=9)
    world.sizes = {"large": 1500 * MIB}

    use(pool, world, "large")
    use(pool, world, "small")
    assert set(pool.resident) == {"large", "small"}

    use(pool, world, "third")

    assert set(pool.resident) == {"small", "third"}


def test_the_memory_of_the_card_decides_too(make_pool: Any, world: World) -> None:
    pool = make_pool(budget=Footprint(64 * GIB, 16 * GIB), max_boxes=9)
    world.on_card = {"a": 6 * GIB, "b": 6 * GIB}
    for key in ("a", "b"):
        use(pool, world, key)
    assert set(pool.resident) == {"a", "b"}

    with (world.folder("c") / "model.safetensors").open("wb") as file:
        file.truncate(3 * GIB)  # as stored, with room for keys and values: 3.75, and the driver's
    use(pool, world, "c")
    assert set(pool.resident) == {"b", "c"}

    unseen = make_pool(budget=Footprint(64 * GIB), max_boxes=9)
    for key in ("a", "b", "c"):
        use(unseen, world, key)
    assert set(unseen.resident) == {"a", "b", "c"}


def test_what_a_box_took_more_of_the_card_counts(make_pool: Any, world: World) -> None:
    pool = make_pool(budget=Footprint(64 * GIB, 16 * GIB), max_boxes=9)
    for key in ("a", "b"):
        use(pool, world, key)
    assert set(pool.resident) == {"a", "b"}

    with pool.use("b", world.folder("b")) as box:
        box.card_bytes = 20 * GIB  # alone it may have more, but it is not kept

    assert set(pool.resident) == {"a"}


def test_a_model_is_expected_to_need_twice_its_files(make_pool: Any, world: World) -> None:
    pool = make_pool(budget=Footprint(2 * GIB), max_boxes=9)
    use(pool, world, "a")
    with (world.folder("b") / "weights").open("wb") as file:
        file.truncate(700 * MIB)

    with pool.use("b", world.folder("b")):
        assert set(pool.resident) == {"b"}  # 1400 + 400 + 500 MiB would be too much


def test_a_model_beyond_the_budget_runs_alone_and_is_not_kept(make_pool: Any, world: World) -> None:
    pool = make_pool(budget=Footprint(GIB))
    world.sizes = {"huge": 3 * GIB}

    box = use(pool, world, "huge")

    assert box.closed == 1
    assert pool.resident == {}


def test_one_that_outgrows_the_budget_goes_when_let_go(make_pool: Any, world: World) -> None:
    pool = make_pool(budget=Footprint(GIB), max_boxes=9)
    use(pool, world, "a")
    world.sizes = {"b": 900 * MIB}

    use(pool, world, "b")

    assert set(pool.resident) == {"a"}


def test_a_dead_box_is_replaced(make_pool: Any, world: World) -> None:
    pool = make_pool()
    use(pool, world, "a").is_alive = False

    fresh = use(pool, world, "a")

    assert fresh.is_alive
    assert world.names == ["a", "a"]
    assert world.started[0].closed == 1


def test_a_crash_in_use_leaves_a_clean_place(make_pool: Any, world: World) -> None:
    pool = make_pool()

    with pytest.raises(BoxCrashedError), pool.use("a", world.folder("a")) as box:
        box.is_alive = False
        raise BoxCrashedError("gone")

    assert pool.resident == {}
    assert use(pool, world, "a").is_alive


def test_a_refused_request_keeps_the_box(make_pool: Any, world: World) -> None:
    pool = make_pool(park_after=1)

    with pytest.raises(ModelRefusedError), pool.use("a", world.folder("a")):
        raise ModelRefusedError("too long", reason="prompt_too_long")

    assert set(pool.resident) == {"a"}
    assert use(pool, world, "a") is world.started[0]


def test_a_model_that_will_not_start_leaves_no_trace(make_pool: Any, world: World) -> None:
    pool = make_pool()
    world.failure = ModelRefusedError("half a model", reason="bad_tensors")

    with pytest.raises(ModelRefusedError):
        use(pool, world, "a")

    assert pool.resident == {}


def test_three_crashes_in_a_row_park_a_model(make_pool: Any, world: World) -> None:
    pool = make_pool(park_after=3, park_s=60.0)
    world.failure = BoxCrashedError("gone")
    for _ in range(3):
        with pytest.raises(BoxCrashedError):
            use(pool, world, "a")
    world.failure = None

    with pytest.raises(BoxParkedError) as caught:
        use(pool, world, "a")

    assert caught.value.extra == {"retry_after_s": 60}
    assert world.names == []
    use(pool, world, "b")  # others are not concerned
    world.now += 60
    assert use(pool, world, "a").is_alive


def test_a_machine_without_protection_parks_nothing(make_pool: Any, world: World) -> None:
    pool = make_pool(park_after=1)
    world.failure = BoxProtectionError("no namespaces")
    for _ in range(2):
        with pytest.raises(BoxProtectionError):
            use(pool, world, "a")

    world.failure = None
    assert use(pool, world, "a").is_alive


def test_a_success_between_crashes_counts_anew(make_pool: Any, world: World) -> None:
    pool = make_pool(park_after=2)
    for _ in range(3):
        world.failure = BoxCrashedError("gone")
        with pytest.raises(BoxCrashedError):
            use(pool, world, "a")
        world.failure = None
        use(pool, world, "a").is_alive = False

    assert use(pool, world, "a").is_alive


def test_no_place_is_told_and_a_freed_one_is_taken(make_pool: Any, world: World) -> None:
    pool = make_pool(max_boxes=1, clock=time.monotonic)
    with pool.use("a", world.folder("a")):
        with pytest.raises(BoxBusyError, match="places"), pool.use("b", world.folder("b")):
            pytest.fail("there was no place")

    use(pool, world, "b")

    assert world.names == ["a", "b"]
    assert set(pool.resident) == {"b"}


def test_users_of_one_model_share_its_box(make_pool: Any, world: World) -> None:
    pool = make_pool(clock=time.monotonic)

    with pool.use("a", world.folder("a")) as first, pool.use("a", world.folder("a")) as second:
        assert first is second

    assert world.names == ["a"]


def test_who_asks_to_be_alone_is_alone(make_pool: Any, world: World) -> None:
    pool = make_pool(clock=time.monotonic)
    with pool.use("a", world.folder("a")):
        with pytest.raises(BoxBusyError, match="this model"):
            with pool.use("a", world.folder("a"), alone=True):
                pytest.fail("it was in use")
    with pool.use("a", world.folder("a"), alone=True):
        with pytest.raises(BoxBusyError, match="this model"), pool.use("a", world.folder("a")):
            pytest.fail("it was in use")

    assert set(pool.resident) == {"a"}
    assert world.names == ["a"]


def crash(box: Any) -> None:
    box.is_alive = False
    raise BoxCrashedError("gone")


def test_a_crash_under_several_users_is_counted_once_and_told_apart(
    make_pool: Any, world: World
) -> None:
    pool = make_pool(park_after=2, clock=time.monotonic, wait_s=20.0)
    inside = threading.Barrier(3, timeout=20)
    told: list[type[Exception]] = []

    def work() -> None:
        try:
            with pool.use("a", world.folder("a")) as box:
                inside.wait()
                crash(box)
        except (BoxCrashedError, BoxLostError) as error:
            told.append(type(error))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert told == [BoxLostError] * 3
    assert [box.closed for box in world.started] == [1]
    with pytest.raises(BoxCrashedError):  # alone it is the model's own fault, and the second one
        with pool.use("a", world.folder("a"), alone=True) as box:
            box.is_alive = False
            raise BoxCrashedError("gone")
    with pytest.raises(BoxParkedError):
        use(pool, world, "a")


def test_a_slow_start_is_waited_for_by_the_others(make_pool: Any, world: World) -> None:
    ready = threading.Event()

    def slowly(model_dir: Path, *, limits: Any = None, gguf_file: str | None = None) -> Any:
        assert ready.wait(20)
        return world.start(model_dir)

    pool = make_pool(starter=slowly, clock=time.monotonic, wait_s=20.0)
    got: list[Any] = []

    def work() -> None:
        with pool.use("a", world.folder("a")) as box:
            got.append(box)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    ready.set()
    for thread in threads:
        thread.join(30)

    assert len(got) == 4
    assert len(set(map(id, got))) == 1
    assert world.names == ["a"]


def test_waiting_threads_get_their_turn(make_pool: Any, world: World) -> None:
    pool = make_pool(max_boxes=1, clock=time.monotonic, wait_s=20.0)
    inside: list[str] = []
    mixed, done = [], []
    guard = threading.Lock()

    def work(key: str) -> None:
        for _ in range(5):
            with pool.use(key, world.folder(key)) as box:
                assert box.name == key
                with guard:
                    inside.append(key)
                    mixed.append(len(set(inside)) > 1)
                time.sleep(0.002)
                with guard:
                    inside.remove(key)
        done.append(key)

    threads = [threading.Thread(target=work, args=(key,)) for key in "abab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(done) == ["a", "a", "b", "b"]
    assert not any(mixed)
    assert sum(box.is_alive for box in world.started) <= 1


def test_idle_boxes_can_be_closed_by_age(make_pool: Any, world: World) -> None:
    pool = make_pool()
    use(pool, world, "old")
    world.now += 100
    use(pool, world, "new")

    assert pool.close_idle(older_than_s=50) == 1

    assert set(pool.resident) == {"new"}
    assert [box.closed for box in world.started] == [1, 0]


def test_a_closed_pool_lets_its_last_user_finish(make_pool: Any, world: World) -> None:
    pool = make_pool()
    use(pool, world, "idle")
    with pool.use("a", world.folder("a")) as box:
        pool.close()

        assert box.is_alive
        assert set(pool.resident) == {"a"}

    assert not box.is_alive
    assert pool.resident == {}
    with pytest.raises(BoxBusyError):
        use(pool, world, "a")


def test_two_threads_use_two_real_children(tmp_path: Path) -> None:
    def start(model_dir: Path, *, limits: Any = None, gguf_file: str | None = None) -> Box:
        return Box.start(model_dir, limits=limits, module="tests.inference.box.probe")

    pool = BoxPool(limits=LIMITS, starter=start)
    barrier = threading.Barrier(2, timeout=60)
    texts: dict[str, str] = {}

    def work(key: str) -> None:
        folder = tmp_path / key
        folder.mkdir()
        (folder / "plan.json").write_text(json.dumps({"act": "fine"}))
        with pool.use(key, folder) as box:
            barrier.wait()  # both are inside at once
            events = list(box.generate("p", SamplingParams(seed=1, max_new_tokens=1)))
            texts[key] = getattr(events[1], "text", "")

    threads = [threading.Thread(target=work, args=(key,)) for key in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert texts == {"a": "t", "b": "t"}
    assert len(pool.resident) == 2
    pool.close()
    assert pool.resident == {}


def test_links_count_with_what_they_lead_to(tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    blob.write_bytes(b"x" * 1000)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link").symlink_to(blob)
    (folder / "sub").mkdir()

    assert folder_bytes(folder) == 1000


@pytest.mark.parametrize(
    ("name", "growth"),
    [
        ("tiny-Q4_K_M.gguf", 8),
        ("tiny-3B-iq2_xxs.gguf", 16),
        ("Q8-tiny.BF16.gguf", 4),  # the first that is named counts
        ("tiny-f32.gguf", 1),
        ("tiny.gguf", 2),
        ("model.safetensors", 2),
    ],
)
def test_a_folder_is_guessed_by_what_its_files_unpack_to(
    tmp_path: Path, name: str, growth: int
) -> None:
    (tmp_path / name).write_bytes(b"x" * 1000)

    assert unpacked_bytes(tmp_path) == growth * 1000
    is_gguf = name.endswith(".gguf")
    assert on_card_bytes(tmp_path) == (growth if is_gguf else 1) * 1000


def fresh(pool: BoxPool, world: World, key: str) -> Any:
    return pool.fresh(key, world.folder(key), starter=world.start)


def test_a_fresh_box_is_started_beside_a_resident_one_and_leaves_nothing(
    make_pool: Any, world: World
) -> None:
    def warm(*_args: Any, **_options: Any) -> Any:
        raise AssertionError("it must not come out of a spare process")

    pool = make_pool()
    resident = use(pool, world, "a")
    pool._starter = warm

    with fresh(pool, world, "a") as new:
        assert new is not resident
        assert len(pool.resident) == 2

    assert pool.resident == {"a": 500 * MIB}
    assert [box.closed for box in world.started] == [0, 1]
    assert use(pool, world, "a") is resident


def test_a_fresh_box_that_fails_gives_its_place_back_and_counts_as_a_crash(
    make_pool: Any, world: World
) -> None:
    pool = make_pool(max_boxes=1, park_after=2)
    world.failure = BoxCrashedError("no")
    with pytest.raises(BoxCrashedError), fresh(pool, world, "a"):
        pass
    world.failure = None
    with pytest.raises(BoxCrashedError), fresh(pool, world, "a"):
        raise BoxCrashedError("no")

    assert pool.resident == {}
    assert [box.closed for box in world.started] == [1]
    with pytest.raises(BoxParkedError), fresh(pool, world, "a"):
        pass
    assert use(pool, world, "b").is_alive


def test_a_fresh_box_waits_for_room_like_any_other(make_pool: Any, world: World) -> None:
    pool = make_pool(max_boxes=1)

    with (
        pool.use("a", world.folder("a")) as busy,
        pytest.raises(BoxBusyError),
        fresh(pool, world, "a"),
    ):
        pass
    assert busy.closed == 0
    with fresh(pool, world, "b"):  # an idle one makes room
        assert len(pool.resident) == 1
    assert pool.resident == {}
