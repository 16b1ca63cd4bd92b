"""What a suite consists of, read strictly: one shape for shipped files and for rows."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

FOLDER = Path(__file__).resolve().parents[1] / "suites"
"""The built-in suites; their data is in ``data/`` beside them."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(min_length=1, max_length=128)]


class SuiteDamagedError(RuntimeError):
    """A data file is not the one its suite names: this installation is broken, or being changed."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataFile(_Part):
    """A file beside the suites, and what it must be."""

    file: Annotated[str, Field(pattern=r"^[a-z0-9_]+\.jsonl$")]
    sha256: Sha256

    def path(self) -> Path:
        """Return where it is, after looking that it is the one.

        Raises:
            SuiteDamagedError: it is another.
        """
        path = FOLDER / "data" / self.file
        if hashlib.sha256(path.read_bytes()).hexdigest() != self.sha256:
            raise SuiteDamagedError(f"{path} is not the file its suite names.")
        return path

    def rows(self) -> list[dict[str, Any]]:
        """Return its lines.

        Raises:
            SuiteDamagedError: it is another file.
        """
        lines = self.path().read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


class Metric(_Part):
    """A figure, by task and name."""

    task: Name
    metric: Annotated[str, Field(min_length=1, max_length=64)]


class Pooled(Metric):
    """A figure over the samples of several tasks, as if they were one."""

    of: tuple[Name, ...]


class Task(_Part):
    """One task: of lm-evaluation-harness (``config`` or ``known``) or a probe of ours."""

    name: Name
    title: str = ""
    runner: Literal["harness", "probe"]
    shard: Annotated[int, Field(ge=1, le=500)] = 10
    """Samples done at a time; what a dying worker loses at most."""
    data: DataFile | None = None
    rows: tuple[dict[str, Any], ...] = ()
    """Somebody's own data; stands in the spec itself."""

    config: dict[str, Any] | None = None
    """A task as the harness's YAML has it, but for where its data is."""
    known: str = ""
    """Name of a task of the harness."""
    num_fewshot: Annotated[int, Field(ge=0, le=64)] | None = None
    limit: Annotated[int, Field(ge=1)] | None = None
    """Only so many samples, from the first."""

    probe: str = ""
    seed: int = 0
    count: Annotated[int, Field(ge=0, le=100_000)] = 0
    options: dict[str, Any] = {}

    @model_validator(mode="after")
    def _is_one_kind(self) -> "Task":
        given = [self.config is not None, bool(self.known), bool(self.probe)]
        if sum(given) != 1 or (self.runner == "probe") != bool(self.probe):
            raise ValueError("a task has one of config, known and probe, as its runner is")
        return self


class Spec(_Part):
    """All that is needed to run a suite."""

    seed: int = 1234
    """Of the draws for confidence intervals."""
    tasks: Annotated[tuple[Task, ...], Field(min_length=1)]
    pooled: tuple[Pooled, ...] = ()
    primary: Metric | None = None
    """The figure it is ranked by; ``None``: the first that a task usually is judged by."""
    lm_eval: str = ""
    """Version of lm-evaluation-harness whose task ``known`` names; another is another suite."""

    @property
    def is_harness(self) -> bool:
        """Whether any of it needs lm-evaluation-harness."""
        return any(task.runner == "harness" for task in self.tasks)

    def task(self, name: str) -> Task:
        """Return a task by name."""
        return next(task for task in self.tasks if task.name == name)

    def to_json(self) -> dict[str, Any]:
        """Return it as rows keep it; what is as usual is left out."""
        return self.model_dump(mode="json", exclude_defaults=True)


class SuiteFile(Spec):
    """A built-in suite as its file has it."""

    key: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
    version: Annotated[int, Field(ge=1)]
    title: Annotated[str, Field(max_length=120)]
    summary: str
    is_ranked: bool

    def spec(self) -> Spec:
        """Return what of it is run."""
        about = {"key", "version", "title", "summary", "is_ranked"}
        return Spec.model_validate(self.model_dump(exclude=about))


def digest_of(spec: Mapping[str, Any]) -> str:
    """Return the sha256 of a spec as canonical JSON (sorted keys, no spaces, UTF-8)."""
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


@lru_cache(maxsize=1)
def builtin_files() -> Sequence[SuiteFile]:
    """Return the built-in suites by key, every data file checked.

    Raises:
        SuiteDamagedError: a data file is not the one its suite names.
        pydantic.ValidationError: a suite's file is malformed.
    """
    found = []
    for path in sorted(FOLDER.glob("*.json")):
        suite = SuiteFile.model_validate_json(path.read_bytes())
        for task in suite.tasks:
            if task.data is not None:
                task.data.path()
        found.append(suite)
    return tuple(found)
