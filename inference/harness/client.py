"""The worker's side of lm-evaluation-harness: start it, let it ask the model, end it."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from inference.box.limits import GIB, BoxLimits
from inference.box.process import STARTER
from inference.box.protocol import SetupRequest
from inference.box.setup import setup_request
from store.core.errors import TransientError, UnprocessableError

ROOT = Path(__file__).resolve().parents[2]
_MODULE = "inference.harness.locked"
_LOAD_S = 600.0
"""Importing torch and building the requests of a large task take a minute; data may come by net."""
_STEP_S = 600.0
_POLL_S = 0.5
_LAST_WORDS_BYTES = 2000
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "SSL_CERT_FILE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


LIMITS = BoxLimits(memory_bytes=6 * GIB, cpu_s=2 * 3600, open_files=1024, device="cpu")
"""Large tasks keep all their questions in memory; a process lives for one run."""
_NETWORK_FILES = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ssl")


class TaskFailedError(UnprocessableError):
    """lm-evaluation-harness cannot do the task: no data, no such task, a mistake in it."""

    code = "task_failed"


class HarnessLostError(TransientError):
    """The harness's process ended or hung; it is started anew."""

    code = "harness_lost"


class Answerer(Protocol):
    """Answers what the harness asks of a model."""

    def __call__(self, ask: str, requests: list[Any]) -> list[Any]:
        """Return one answer for each request of ``loglikelihood`` and the like."""


@dataclass(frozen=True, slots=True)
class HarnessTask:
    """One task to load.

    Args:
        name: What it is called in the run.
        config: A task as the harness's YAML has it, as a mapping; or
        known: the name of a task of the harness.
        num_fewshot: Worked examples before each question; ``None``: as the task says.
        limit: Only so many questions, from the first; ``None``: all.
    """

    name: str
    config: Mapping[str, Any] | None = None
    known: str = ""
    num_fewshot: int | None = None
    limit: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as the process takes it."""
        kind = {"known": self.known} if self.config is None else {"config": self.config}
        return {
            "name": self.name,
            "num_fewshot": self.num_fewshot,
            "limit": self.limit,
            **kind,
        }


class Harness:
    """One process of lm-evaluation-harness, locked in as boxes are.

    Its environment holds no secret of the store's; it reads libraries, data sets and nothing else,
    writes into its own folder and ``cache_dir``, starts no program, and without ``may_fetch``
    reaches no network. What it caches of somebody's own data goes with it.

    Args:
        cache_dir: Where data sets of known tasks are and are kept.
        readable: Files and folders with data and tasks.
        limits: What it may use, and whether it may run where it cannot be locked in.
        may_fetch: Whether it may fetch data from the Hugging Face hub.
        check: Called while it is waited for; raises to stop. Each user sets their own.
    """

    def __init__(
        self,
        *,
        cache_dir: Path | None = None,
        readable: Sequence[Path] = (),
        limits: BoxLimits = LIMITS,
        may_fetch: bool = False,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.check = check
        self._folder = tempfile.TemporaryDirectory(prefix="store-harness-")
        home = Path(self._folder.name)
        self._log = (home / "log").open("w+b")
        if cache_dir is not None:
            cache_dir.mkdir(parents=True, exist_ok=True)
        writable = [home] if cache_dir is None else [home, cache_dir]
        setup = _setup(limits, readable, writable, may_connect=may_fetch)
        self._process = STARTER.start(
            lambda: subprocess.Popen(
                [sys.executable, "-m", _MODULE, setup.model_dump_json()],
                cwd=ROOT,
                env=_environment(home, cache_dir, may_fetch=may_fetch),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                start_new_session=True,
            )
        )
        self._rest = b""

    @property
    def is_alive(self) -> bool:
        """Whether its process runs."""
        return self._process.poll() is None

    @property
    def folder(self) -> Path:
        """A private folder that goes with the process; for data files."""
        return Path(self._folder.name)

    def load(
        self, tasks: Sequence[HarnessTask], *, include_path: Path | None = None
    ) -> dict[str, Any]:
        """Build tasks.

        Returns:
            ``lm_eval``: its version; ``tasks``: by name ``samples``, ``version``, ``num_fewshot``,
            ``output_type`` and ``metrics`` (``aggregation``, ``is_higher_better``).

        Raises:
            TaskFailedError: one cannot be built; the message says why.
            HarnessLostError: the process is gone.
        """
        return self._call(
            {
                "do": "load",
                "tasks": [task.to_json() for task in tasks],
                "include_path": str(include_path) if include_path else None,
            },
            within_s=_LOAD_S,
        )

    def run(self, task: str, first: int, count: int, answer: Answerer) -> list[dict[str, Any]]:
        """Ask some questions of a task; ``answer`` asks the model.

        Returns:
            One mapping for each: ``index``, ``prompt``, ``expected``, ``answers``, ``choices``,
            ``metrics``.

        Raises:
            TaskFailedError, HarnessLostError: see ``load``; what ``answer`` raises passes through.
        """
        asked = {"do": "run", "task": task, "first": first, "count": count}
        samples: list[dict[str, Any]] = self._call(asked, answer=answer)["samples"]
        return samples

    def score(self, task: str, items: Mapping[str, list[Any]]) -> dict[str, float]:
        """Put the values of all samples together, metric by metric, as the harness does."""
        found: dict[str, float] = self._call({"do": "score", "task": task, "items": items})[
            "scores"
        ]
        return found

    def close(self) -> None:
        """End the process, and whatever it may have started."""
        self._kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue
        self._log.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _call(
        self,
        message: Mapping[str, Any],
        *,
        answer: Answerer | None = None,
        within_s: float = _STEP_S,
    ) -> dict[str, Any]:
        self._send(message)
        while True:
            found = self._receive(within_s)
            if "error" in found:
                raise TaskFailedError(f"lm-evaluation-harness cannot do this. {found['error']}")
            if "ask" not in found:
                return found
            if answer is None:
                raise HarnessLostError("The harness asked for the model out of turn.")
            self._send({"answers": answer(found["ask"], found["requests"])})

    def _send(self, message: Mapping[str, Any]) -> None:
        pipe = self._process.stdin
        try:
            if pipe is not None:
                pipe.write(json.dumps(message).encode() + b"\n")
                pipe.flush()
        except OSError as error:
            raise self._lost() from error

    def _receive(self, within_s: float) -> dict[str, Any]:
        pipe = self._process.stdout
        deadline = time.monotonic() + within_s
        while pipe is not None:
            line, newline, rest = self._rest.partition(b"\n")
            if newline:
                self._rest = rest
                found: dict[str, Any] = json.loads(line)
                return found
            self.check()
            if time.monotonic() > deadline:
                break
            if select.select([pipe], [], [], _POLL_S)[0]:
                chunk = os.read(pipe.fileno(), 1 << 20)
                if not chunk:
                    break
                self._rest += chunk
        raise self._lost()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):  # nothing of its session is left
            os.killpg(self._process.pid, signal.SIGKILL)

    def _lost(self) -> HarnessLostError:
        self._kill()
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - _LAST_WORDS_BYTES))
        words = self._log.read().decode("utf-8", "replace").strip().splitlines()[-1:]
        return HarnessLostError(f"lm-evaluation-harness ended early. {' '.join(words)[:500]}")


def _setup(
    limits: BoxLimits, readable: Sequence[Path], writable: Sequence[Path], *, may_connect: bool
) -> SetupRequest:
    """Return the locks of a box without a model, and what a harness needs besides."""
    found = setup_request(limits, None)
    more = [str(path.resolve()) for path in readable]
    if may_connect:
        more += [path for path in _NETWORK_FILES if Path(path).exists()]
    changes = {
        "readable": [*found.readable, *more],
        "writable": [str(path.resolve()) for path in writable],
        "may_connect": may_connect,
        "uid": None,  # its folder is the store's user's
    }
    return found.model_copy(update=changes)


def _environment(home: Path, cache_dir: Path | None, *, may_fetch: bool) -> dict[str, str]:
    """Return what the process sees of the environment: nothing that is secret."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    offline = "0" if may_fetch else "1"
    return passed | {
        "HOME": str(home),
        "TMPDIR": str(home),
        "HF_HOME": str(cache_dir or home / "hf"),
        "HF_DATASETS_CACHE": str((cache_dir or home / "hf") / "datasets"),
        "HF_HUB_OFFLINE": offline,
        "HF_DATASETS_OFFLINE": offline,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "1",
        "TQDM_DISABLE": "1",
        "PYTHONHASHSEED": "0",
    }
