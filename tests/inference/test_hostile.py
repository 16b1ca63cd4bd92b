"""Hostile models on the whole path, from the question to the page, beside a neighbor at work.

Two kinds of attack: files as data (weights, tokenizer, configuration), published and judged like
anybody's; and, for what data cannot do, code in the box's place under the very same locks. Each
costs its own job a clear failure, and the neighbor nothing.
"""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import ModelRepo
from catalog.services.folders import files_of, publish_files
from inference.box.client import Box
from inference.box.limits import MIB, BoxLimits
from inference.box.pool import BoxPool
from inference.models import GenerationRun
from inference.runners import generation
from inference.services import streams
from inference.services.runs import submit
from inference.services.weights import NotRunnableError
from store.core.models import Job
from tests.factories import make_repo
from workers.runner import run_job

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]
PROBE = "tests.inference.box.probe"
TIGHT = BoxLimits(device="cpu", memory_bytes=768 * MIB, generate_s=6, load_s=60)
"""For the attacker, so that a test is over soon."""
CANARY = "canary-7d1f"


@dataclass
class Boxes:
    """Makes the boxes of a test's pool: the attacker's runs its plan, everybody else's are real."""

    folder: Path
    plans: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By public id of the repository; without a plan its own files are loaded."""
    tight: set[str] = field(default_factory=set)
    """Public ids of those that get little."""

    def __call__(
        self, model_dir: Path, *, limits: BoxLimits | None = None, gguf_file: str | None = None
    ) -> Box:
        ident = model_dir.parent.name
        if plan := self.plans.get(ident):
            self.folder.mkdir(exist_ok=True)
            (self.folder / "plan.json").write_text(json.dumps(plan))
            load_s = 6 if plan["act"] in {"hang", "flood errors", "close and flood errors"} else 60
            limits = TIGHT.model_copy(update={"load_s": load_s})
            return Box.start(self.folder, limits=limits, module=PROBE)
        return Box.start(model_dir, limits=TIGHT if ident in self.tight else limits)


class Pool(BoxPool):
    """Good models of these tests hold the same files, so one box does for all of them."""

    def __init__(self, boxes: Boxes) -> None:
        super().__init__(starter=boxes, limits=BoxLimits(device="cpu"), wait_s=60, max_boxes=3)
        self._boxes = boxes

    def use(
        self, key: str, model_dir: Path, *, gguf_file: str | None = None, alone: bool = False
    ) -> Any:
        """See ``BoxPool.use``."""
        is_hostile = model_dir.parent.name in {*self._boxes.plans, *self._boxes.tight}
        return super().use(
            key if is_hostile else "good", model_dir, gguf_file=gguf_file, alone=alone
        )


@pytest.fixture(scope="module")
def pool_of_boxes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[BoxPool, Boxes]]:
    """Boxes that outlive a test: a start takes seconds."""
    made = Boxes(tmp_path_factory.mktemp("hostile") / "plan")
    pool = Pool(made)
    yield pool, made
    pool.close()


@pytest.fixture
def boxes(monkeypatch: pytest.MonkeyPatch, pool_of_boxes: tuple[BoxPool, Boxes]) -> Boxes:
    pool, made = pool_of_boxes
    monkeypatch.setattr(generation, "box_pool", lambda: pool)
    return made


@pytest.fixture
def publish(alice: User, tiny_folder: Path, tmp_path: Path) -> Callable[..., ModelRepo]:
    """Publish the tiny model with some files changed."""

    def run(name: str, **changes: Callable[[Any], Any]) -> ModelRepo:
        folder = tmp_path / name
        shutil.copytree(tiny_folder, folder)
        for stem, change in changes.items():
            path = folder / f"{stem}.json"
            path.write_text(json.dumps(change(json.loads(path.read_text()))))
        repo = make_repo(alice, name)
        publish_files(Viewer(user=alice), repo, files_of(folder), title="Add the model")
        return repo

    return run


class Neighbor:
    """Somebody else's long generation, running while the block does."""

    _texts: ClassVar[dict[str, list[str]]] = {}

    def __init__(self, run: GenerationRun) -> None:
        self.run = run
        self._thread = threading.Thread(target=self._work)

    def _work(self) -> None:
        try:
            run_job(self.run.job_id or 0)
        finally:
            connection.close()

    def __enter__(self) -> None:
        self._thread.start()
        deadline = time.monotonic() + 120
        while streams.transcript(self.run.public_id).new_tokens < 4:
            assert time.monotonic() < deadline, "the neighbor did not begin"
            time.sleep(0.02)

    def __exit__(self, *_: object) -> None:
        self._thread.join(timeout=120)
        self.run.refresh_from_db()
        assert (self.run.state, self.run.error) == ("done", "")
        assert set(self.run.finish_reasons) <= {"length", "stop"}
        # the same seed writes the same, whatever goes on next door
        assert self.run.texts == self._texts.setdefault("", list(self.run.texts))


@pytest.fixture
def neighbor(tiny_repo: ModelRepo, alice: User, boxes: Boxes) -> Neighbor:
    """Alice has asked a good model for a long text."""
    asked = {"max_new_tokens": 300, "num_sequences": 2, "seed": 1}
    return Neighbor(submit(Viewer(user=alice), tiny_repo, "", "Once upon a time", asked))


def attack(
    repo: ModelRepo, viewer: Viewer, prompt: str = "aaaaaaaaaaaaaaaaaaaaaaaaaa"
) -> GenerationRun:
    """Ask the hostile model; its job is tried as often as a worker would."""
    run = submit(viewer, repo, "", prompt, {"max_new_tokens": 4, "seed": 1})
    for _ in range(3):
        Job.objects.filter(pk=run.job_id).update(not_before=run.created_at)
        run_job(run.job_id or 0)
        run.refresh_from_db()
        if run.has_ended:
            break
    return run


def failure(run: GenerationRun, browser: Client) -> str:
    """Check that the run's job failed and its page says why; return the code."""
    job = Job.objects.get(pk=run.job_id)
    assert (run.state, job.state) == ("failed", "failed")
    assert run.error == job.error != ""
    # of a refusal the row has the reason, which says more than the job's code
    assert job.error_code in {run.error_code, "model_refused"}
    for path in (f"/runs/{run.public_id}", f"/settings/jobs/{job.pk}"):
        page = browser.get(path, headers={"Accept": "text/html"}).content.decode()
        assert run.error.split("'")[0].split('"')[0][:40] in page
    assert CANARY not in "".join(run.texts) + run.error + job.log
    return job.error_code


# ── code in the box's place ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("act", "codes"),
    [
        ("allocate", {"box_out_of_memory", "box_crashed"}),
        ("loop", {"box_timeout"}),
        ("fork", {"box_crashed"}),
        ("crash", {"box_crashed"}),
        ("abort", {"box_crashed"}),
        ("hang", {"box_timeout"}),
        ("flood", {"box_broke_protocol"}),
        ("flood errors", {"box_timeout"}),
        ("close and flood errors", {"box_crashed"}),
        ("babble", {"box_broke_protocol"}),
        ("other id", {"box_broke_protocol"}),
        ("too much room", {"box_broke_protocol"}),
        ("wrong sum", {"box_broke_protocol"}),
    ],
)
def test_hostile_code_costs_its_own_job_and_nobody_else_anything(
    act: str,
    codes: set[str],
    publish: Callable[..., ModelRepo],
    boxes: Boxes,
    as_bob: Viewer,
    bob: User,
    browser_of: Callable[[User], Client],
    neighbor: Neighbor,
) -> None:
    repo = publish("hostile")
    boxes.plans[repo.public_id] = {"act": act}

    with neighbor:
        run = attack(repo, as_bob)
        assert failure(run, browser_of(bob)) in codes


def test_a_thief_finds_every_door_closed(
    publish: Callable[..., ModelRepo],
    boxes: Boxes,
    as_bob: Viewer,
    bob: User,
    browser_of: Callable[[User], Client],
    neighbor: Neighbor,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("STORE_SECRET_KEY", CANARY)
    secret = tmp_path / "secret_key"
    secret.write_text(CANARY)
    secret.chmod(0o644)
    database = connection.settings_dict
    others = sorted(path for path in Path(settings.BLOB_DIR).rglob("*") if path.is_file())
    repo = publish("hostile")
    boxes.plans[repo.public_id] = {
        "act": "steal",
        "read": [
            "/etc/passwd",
            str(secret),
            str(Path(settings.BASE_DIR) / "store" / "settings.py"),
            str(Path(settings.DATA_DIR) / "secret_key"),
            *map(str, others[:1]),
        ],
        "connect": [
            settings.REDIS_URL.removeprefix("unix://").partition("?")[0],
            f"{database['HOST']}/.s.PGSQL.{database['PORT'] or 5432}",
        ],
    }

    with neighbor:
        run = attack(repo, as_bob)
        assert failure(run, browser_of(bob)) == "model_refused"

    assert "ways out are closed" in run.error
    assert "".join(run.texts) == ""


# ── files as data ───────────────────────────────────────────────────────────────────────────────


def _doubling(tokenizer: dict[str, Any]) -> dict[str, Any]:
    double = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    return tokenizer | {"normalizer": {"type": "Sequence", "normalizers": [double] * 60}}


def _panicking(tokenizer: dict[str, Any]) -> dict[str, Any]:
    charsmap = "CAAAAP////////8AeA=="
    return tokenizer | {"normalizer": {"type": "Precompiled", "precompiled_charsmap": charsmap}}


def _backtracking(tokenizer: dict[str, Any]) -> dict[str, Any]:
    split = {
        "type": "Split",
        "pattern": {"Regex": "(?:(?:(?:(a+)+)+)+)+b"},
        "behavior": "Isolated",
        "invert": False,
    }
    return tokenizer | {"pre_tokenizer": split}


def _endless_context(config: dict[str, Any]) -> dict[str, Any]:
    return config | {"n_positions": 2**40, "n_ctx": 2**40}


def _many_layers(config: dict[str, Any]) -> dict[str, Any]:
    return config | {"n_layer": 10**6}


def _foreign_code(config: dict[str, Any]) -> dict[str, Any]:
    return config | {"auto_map": {"AutoModelForCausalLM": "evil.Model"}, "model_type": "evil"}


def _template(settings_: dict[str, Any]) -> dict[str, Any]:
    climb = "{{ cycler.__init__.__globals__.os.system('touch /tmp/hostile-template') }}"
    return settings_ | {"chat_template": climb + "{% for i in range(10**10) %}{% endfor %}"}


@pytest.mark.parametrize(
    ("stem", "change", "codes"),
    [
        ("tokenizer", _doubling, {"box_out_of_memory", "box_crashed", "box_timeout"}),
        ("tokenizer", _panicking, {"model_refused"}),
        ("tokenizer", _backtracking, {"box_timeout", "model_refused"}),
        ("config", _endless_context, {"model_refused", "box_crashed", "box_out_of_memory"}),
        (
            "config",
            _many_layers,
            {"model_refused", "box_crashed", "box_out_of_memory", "box_timeout"},
        ),
    ],
)
def test_hostile_files_are_refused_or_cost_their_own_job(
    stem: str,
    change: Callable[[Any], Any],
    codes: set[str],
    publish: Callable[..., ModelRepo],
    boxes: Boxes,
    as_bob: Viewer,
    bob: User,
    browser_of: Callable[[User], Client],
    neighbor: Neighbor,
) -> None:
    repo = publish("hostile", **{stem: change})
    boxes.tight.add(repo.public_id)

    with neighbor:
        run = attack(repo, as_bob)
        assert failure(run, browser_of(bob)) in codes


def test_a_configuration_that_names_code_is_refused_before_anything_is_queued(
    publish: Callable[..., ModelRepo], as_bob: Viewer
) -> None:
    repo = publish("hostile", config=_foreign_code)

    with pytest.raises(NotRunnableError):
        attack(repo, as_bob)

    assert not GenerationRun.objects.exists()


def test_a_hostile_template_is_not_run_by_a_plain_prompt(
    publish: Callable[..., ModelRepo], boxes: Boxes, as_bob: Viewer, neighbor: Neighbor
) -> None:
    repo = publish("hostile", tokenizer_config=_template)

    with neighbor:
        run = attack(repo, as_bob, "Once upon")

    assert run.state == "done"
    assert not Path("/tmp/hostile-template").exists()  # noqa: S108 - where it would be


def test_a_hostile_request_costs_others_of_the_same_box_nothing(
    tiny_repo: ModelRepo,
    as_bob: Viewer,
    bob: User,
    browser_of: Callable[[User], Client],
    neighbor: Neighbor,
) -> None:
    with neighbor:
        run = attack(tiny_repo, as_bob, "word " * 3000)
        assert failure(run, browser_of(bob)) == "model_refused"
