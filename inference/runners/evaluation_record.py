"""All that is needed to measure the same again: what was run, on what, by what."""

import functools
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from inference.box.protocol import LoadedEvent
from inference.models import EvaluationRun
from inference.runners.probes.base import CHAT
from inference.runners.scorer import BATCH
from inference.services.carrying import file_facts
from inference.services.suite_specs import Spec
from inference.services.weights import ModelFiles

_LIBRARIES = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "lm_eval", "gguf")


_MODEL_FACTS = (
    "architecture",
    "parameters",
    "context_tokens",
    "vocabulary",
    "format",
    "dtype",
    "device",
)


def record_of(
    run: EvaluationRun,
    spec: Spec,
    files: ModelFiles,
    facts: LoadedEvent,
    *,
    harness: dict[str, Any],
) -> dict[str, Any]:
    """Return the record of a run that has all its samples.

    Args:
        run: What was asked for.
        spec: Of its suite.
        files: What the model was loaded from.
        facts: Of the box in which it ran last.
        harness: What ``Harness.load`` said; empty where it was not needed.
    """
    found = {
        "suite": {
            "key": run.suite.key,
            "version": run.suite.version,
            "digest": run.suite.digest,
        },
        "revision": run.commit_oid,
        "seed": spec.seed,
        "batch": BATCH,
        "engine": "transformers",
        "model": {name: getattr(facts, name) for name in _MODEL_FACTS},
        "files": file_facts(files),
        "libraries": libraries(),
        "hardware": hardware(),
    }
    chat = [task.name for task in spec.tasks if task.options.get(CHAT)]
    if chat:
        applied = chat if facts.has_chat_template else []
        found["chat_template"] = {"applied_to": applied, "file": _template_file(files)}
    if files.base is not None:
        found["base"] = dict(zip(("model", "revision"), files.base, strict=True))
    if harness:
        found["harness"] = {
            "version": harness["lm_eval"],
            "tasks": {
                name: {key: task[key] for key in ("version", "num_fewshot", "output_type")}
                for name, task in harness["tasks"].items()
            },
        }
    return found


_TEMPLATES = ("chat_template.jinja", "chat_template.json", "tokenizer_config.json")
"""Where loaders look for a chat template, the first that is there."""


def _template_file(files: ModelFiles) -> str:
    """Return the file whose template counts, if it has one; its digest is among the files."""
    places = {part.place for part in files.parts}
    return next((name for name in _TEMPLATES if name in places), "")


@functools.cache
def libraries() -> dict[str, str]:
    """Return the versions of what computes, and of Python."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@functools.cache
def hardware() -> dict[str, Any]:
    """Return the machine: ``processor``, ``cores`` this process may use, ``memory_bytes``."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": 1,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in {"model name", "Model"} and value.strip():
            return value.strip()
    return platform.processor() or platform.machine()
