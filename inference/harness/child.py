"""The process that runs lm-evaluation-harness: ``python -m inference.harness.child``.

Lines of JSON come in on standard input and go out on what was standard output::

    → {"do": "load", "tasks": [{"name": …, "config" | "known": …}], …}   ← {"tasks": {…}}
    → {"do": "run", "task": …, "first": 0, "count": 8}                    ← {"samples": […]}
    → {"do": "score", "task": …, "items": {metric: [values]}}             ← {"scores": {…}}

While it works it may ask for the model, and goes on with the answers::

    ← {"ask": "loglikelihood", "requests": [[context, continuation], …]}  → {"answers": […]}

A failure of a task is ``{"error": message}``.
"""

import json
import os
import random
import sys
from collections import defaultdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from lm_eval.api.model import LM
from lm_eval.models.utils import normalize_gen_kwargs, postprocess_generated_text
from lm_eval.tasks import TaskManager

MAX_GEN_TOKENS = 256
"""What the harness gives a task that does not say how long an answer may be."""
RANDOM_SEED, OTHER_SEED = 0, 1234
"""The harness's own defaults."""
MAX_TEXT_CHARS = 20_000
"""Longer prompts and outputs are cut in what is kept of a sample."""


class Bridge:
    """Lines to and from the worker."""

    def __init__(self, source: TextIO, sink: TextIO) -> None:
        self._source = source
        self._sink = sink

    def receive(self) -> dict[str, Any] | None:
        """Return the next message; ``None`` at the end of input."""
        line = self._source.readline()
        found: dict[str, Any] | None = json.loads(line) if line else None
        return found

    def send(self, message: dict[str, Any]) -> None:
        """Write a message at once."""
        self._sink.write(json.dumps(message, ensure_ascii=True) + "\n")
        self._sink.flush()

    def ask(self, what: str, requests: list[Any]) -> list[Any]:
        """Have the model asked.

        Raises:
            EOFError: the worker is gone.
        """
        self.send({"ask": what, "requests": requests})
        answer = self.receive()
        if answer is None:
            raise EOFError
        answers: list[Any] = answer["answers"]
        return answers


class BoxedLM(LM):  # type: ignore[misc]  # the harness has no types
    """The store's model, as the harness sees it: texts in, texts and probabilities out."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self._bridge = bridge

    def loglikelihood(
        self, requests: list[Any], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        pairs = [list(request.args) for request in requests]
        found = self._bridge.ask("loglikelihood", pairs)
        return [(float(logprob), bool(is_greedy)) for logprob, is_greedy in found]

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        texts = [request.args[0] for request in requests]
        return [float(each) for each in self._bridge.ask("loglikelihood_rolling", texts)]

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        wanted, stops = [], []
        for request in requests:
            prompt, given = request.args
            kwargs = normalize_gen_kwargs(given, MAX_GEN_TOKENS)
            until = kwargs.get("until") or []
            stops.append([until] if isinstance(until, str) else list(until))
            wanted.append(
                {
                    "prompt": prompt,
                    "stop": stops[-1],
                    "max_new_tokens": kwargs["max_gen_toks"],
                    "temperature": kwargs["temperature"] if kwargs["do_sample"] else 0.0,
                    "top_p": kwargs.get("top_p", 1.0),
                    "top_k": kwargs.get("top_k", 0),
                }
            )
        texts = self._bridge.ask("generate_until", wanted)
        return [
            postprocess_generated_text(text, stop, None)
            for text, stop in zip(texts, stops, strict=True)
        ]


class Tasks:
    """The tasks of a run, with every request built once, so that pieces draw the same examples.

    Args:
        bridge: To the worker.
    """

    def __init__(self, bridge: Bridge) -> None:
        self._lm = BoxedLM(bridge)
        self._tasks: dict[str, Any] = {}
        self._instances: dict[str, dict[int, list[Any]]] = {}
        self._docs: dict[str, list[Any]] = {}

    def load(
        self, tasks: list[dict[str, Any]], *, include_path: str | None = None
    ) -> dict[str, Any]:
        """Build tasks, and forget earlier ones; see ``HarnessTask`` for what is asked and told."""
        self._tasks, self._instances, self._docs = {}, {}, {}
        random.seed(RANDOM_SEED)
        np.random.seed(OTHER_SEED)  # noqa: NPY002 - tasks of the harness draw from it
        torch.manual_seed(OTHER_SEED)
        if include_path is not None:
            _refuse_code(Path(include_path))
        needs_known = any("known" in task for task in tasks)
        manager = TaskManager(include_path=include_path, include_defaults=needs_known)
        facts = {}
        for asked in tasks:
            found = manager.load([_ready(asked["config"]) if "config" in asked else asked["known"]])
            if len(found["tasks"]) != 1:
                names = ", ".join(sorted(found["tasks"])[:20])
                raise ValueError(f"{asked['known']} is a group; ask for one of its tasks: {names}")
            (task,) = found["tasks"].values()
            facts[asked["name"]] = self._build(asked, task)
        return {"tasks": facts, "lm_eval": version("lm_eval")}

    def _build(self, asked: dict[str, Any], task: Any) -> dict[str, Any]:
        if getattr(task, "UNSAFE_CODE", False):
            raise ValueError("this task runs code that a model wrote, which the store never does")
        if getattr(task, "MULTIMODAL", False):
            raise ValueError("this task needs pictures or sound")
        shots = asked.get("num_fewshot")
        if shots is not None and task.get_config("num_fewshot") != 0:
            task.set_config(key="num_fewshot", value=shots)
        if task.get_config("num_fewshot") is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=OTHER_SEED)
        limit = asked.get("limit")
        task.build_all_requests(limit=limit, rank=0, world_size=1)
        by_doc: dict[int, list[Any]] = defaultdict(list)
        for instance in task.instances:
            by_doc[instance.doc_id].append(instance)
        docs = dict(task.doc_iterator(rank=0, limit=limit, world_size=1))
        name = asked["name"]
        self._tasks[name] = task
        self._instances[name] = dict(by_doc)
        self._docs[name] = [docs[doc_id] for doc_id in sorted(by_doc)]
        return {
            "samples": len(by_doc),
            "version": str(task.VERSION),
            "num_fewshot": task.get_config("num_fewshot"),
            "output_type": task.OUTPUT_TYPE,
            "metrics": {
                metric: {
                    "aggregation": getattr(function, "__name__", "custom"),
                    "is_higher_better": bool(task.higher_is_better().get(metric, True)),
                }
                for metric, function in task.aggregation().items()
            },
        }

    def run(self, name: str, first: int, count: int) -> list[dict[str, Any]]:
        """Answer the questions ``first`` to ``first + count`` of a task, and judge the answers."""
        task, by_doc = self._tasks[name], self._instances[name]
        doc_ids = sorted(by_doc)[first : first + count]
        chosen = [instance for doc_id in doc_ids for instance in by_doc[doc_id]]
        for instance in chosen:
            instance.resps, instance.filtered_resps = [], {}
        self._ask(chosen)
        task._instances = chosen  # noqa: SLF001 - filters work on all of a task's instances
        task.apply_filters()
        return [
            self._sample(name, first + offset, sorted(by_doc[doc_id], key=lambda each: each.idx))
            for offset, doc_id in enumerate(doc_ids)
        ]

    def _ask(self, instances: list[Any]) -> None:
        by_type: dict[str, list[Any]] = defaultdict(list)
        for instance in instances:
            by_type[instance.request_type] += [instance] * instance.repeats
        for kind, requests in by_type.items():
            answers = getattr(self._lm, kind)(requests)
            for answer, request in zip(answers, requests, strict=True):
                request.resps.append(answer)

    def _sample(self, name: str, index: int, requests: list[Any]) -> dict[str, Any]:
        task, doc = self._tasks[name], self._docs[name][index]
        metrics: dict[str, Any] = {}
        for key in requests[0].filtered_resps:
            answers = [request.filtered_resps[key] for request in requests]
            for metric, value in task.process_results(doc, answers).items():
                metrics[metric if key == "none" else f"{metric},{key}"] = _plain(value)
        rolling = task.OUTPUT_TYPE == "loglikelihood_rolling"
        prompt = requests[0].args[0]
        target = "" if rolling else task.doc_to_target(doc)
        if task.OUTPUT_TYPE == "multiple_choice":
            choices = list(map(str, task.doc_to_choice(doc)))
            target = choices[target] if isinstance(target, int) and target >= 0 else target
        return {
            "index": index,
            "prompt": str(prompt)[:MAX_TEXT_CHARS],
            "expected": str(target)[:MAX_TEXT_CHARS],
            "answers": _plain([request.resps[0] for request in requests]),
            "choices": [str(request.args[1]) for request in requests]
            if requests[0].request_type == "loglikelihood"
            else [],
            "metrics": metrics,
        }

    def score(self, name: str, items: dict[str, list[Any]]) -> dict[str, float]:
        """Put values of all samples together as the harness does."""
        functions = self._tasks[name].aggregation()
        found = {}
        for metric, values in items.items():
            function = functions[metric.split(",")[0]]
            found[metric] = float(
                function([tuple(each) if isinstance(each, list) else each for each in values])
            )
        return found


def _refuse_code(folder: Path) -> None:
    """Refuse tasks of the site that name Python code instead of being data.

    Raises:
        ValueError: one does.
    """
    for path in sorted(folder.rglob("*.y*ml")):
        text = path.read_text(encoding="utf-8")
        if "!function" in text or "%TAG" in text:
            raise ValueError(
                f"{path.name} names Python code (!function). Tasks of a site are data only; write"
                " it as a template."
            )


def _ready(config: dict[str, Any]) -> dict[str, Any]:
    """Return a task's mapping with our own functions in the place of their names.

    ``custom_dataset`` is the path of a file of lines of JSON.
    """
    if "custom_dataset" in config:
        config = config | {"custom_dataset": partial(_lines, config["custom_dataset"])}
    if config.get("process_results") == "contains":
        return config | {"process_results": contains}
    return config


def _lines(path: str, **_about: Any) -> DatasetDict:
    with open(path, encoding="utf-8", newline="\n") as file:  # noqa: PTH123 - a stream of lines
        return DatasetDict(test=Dataset.from_list([json.loads(line) for line in file]))


def contains(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Judge an answer by whether it holds the expected text; letters' case does not matter."""
    return {"acc": float(doc["answer"].strip().lower() in results[0].lower())}


def _plain(value: Any) -> Any:
    """Return numpy's numbers as Python's, tuples as lists."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)


def serve(bridge: Bridge) -> None:
    """Do what is asked until the input ends."""
    tasks = Tasks(bridge)
    while (message := bridge.receive()) is not None:
        try:
            do = message.pop("do")
            if do == "load":
                answer = tasks.load(message["tasks"], include_path=message.get("include_path"))
            elif do == "run":
                samples = tasks.run(message["task"], message["first"], message["count"])
                answer = {"samples": samples}
            else:
                answer = {"scores": tasks.score(message["task"], message["items"])}
        except EOFError:
            return
        except Exception as error:  # noqa: BLE001 - a task may fail in any way; the worker tells
            answer = {"error": f"{type(error).__name__}: {str(error)[:1500]}"}
        bridge.send(answer)


def main() -> None:
    """Serve; whatever libraries print goes to standard error."""
    sink = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    torch.set_num_threads(1)
    serve(Bridge(sys.stdin, sink))


if __name__ == "__main__":
    main()
