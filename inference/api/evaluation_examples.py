"""Real answers, shortened, for the description of evaluations; tested against its schema."""

from typing import Any

from drf_spectacular.utils import OpenApiExample

_OK = ("200", "201")
_SUITE: dict[str, Any] = {
    "id": "0f6f9d3e7f5c4d3a8b1e2c4d",
    "key": "next-word",
    "version": 1,
    "title": "Next word",
    "digest": "6a6de2f5a4a6d2c5f6d8f0ab9e8c7a1b2d3e4f5061728394a5b6c7d8e9f00112",
}
_SUITE_WHOLE: dict[str, Any] = _SUITE | {
    "kind": "builtin",
    "summary": "The last word of a sentence, after the sentence before it.",
    "is_public": True,
    "is_ranked": True,
    "tasks": ["novels", "scripture"],
    "created_at": "2026-11-24T02:19:05.471377Z",
}
_TASK = {
    "name": "novels",
    "runner": "harness",
    "shard": 25,
    "config": {"output_type": "loglikelihood", "doc_to_text": "{{prompt}}"},
}
_RUN: dict[str, Any] = {
    "id": "8c46eaab35ae7f3e9dd3932e",
    "model": "regency/austen-gpt2-small",
    "revision": "cb4140ed35905615e3243c1b1e84335458b421ba",
    "carried_from": None,
    "suite": _SUITE,
    "state": "done",
    "is_public": True,
    "by_store": True,
    "is_scores_only": False,
    "ahead": 0,
    "progress": {"done": 100, "total": 100, "seconds_left": 0.0},
    "scores": [
        {
            "task": "all",
            "metric": "acc",
            "value": 0.12,
            "low": 0.0696,
            "high": 0.1981,
            "method": "wilson",
            "samples": 100,
            "unit": "share",
            "is_higher_better": True,
            "is_primary": True,
        }
    ],
    "error_code": "",
    "error": "",
    "created_at": "2026-11-24T02:19:05.471377Z",
    "started_at": "2026-11-24T02:19:06.102931Z",
    "finished_at": "2026-11-24T02:19:21.515210Z",
}
_RECORD = {
    "suite": {"key": "next-word", "version": 1, "digest": _SUITE["digest"]},
    "seed": 1234,
    "batch": 1,
    "engine": "transformers",
    "model": {"dtype": "float32", "device": "cpu", "parameters": 2222208},
    "libraries": {"torch": "2.13.0", "transformers": "5.23.0", "lm_eval": "0.4.13"},
    "hardware": {"processor": "AMD EPYC 7B13", "cores": 2, "threads": 1},
    "environments": [
        {
            "hardware": {"processor": "AMD EPYC 7B13", "cores": 2, "threads": 1},
            "libraries": {"torch": "2.13.0", "transformers": "5.23.0", "lm_eval": "0.4.13"},
            "device": "cpu",
            "dtype": "float32",
            "pieces": [{"task": "novels", "first": 0, "count": 40}],
        }
    ],
}
_SAMPLE = {
    "task": "novels",
    "index": 3,
    "prompt": "She could not wait for the",
    "expected": " answer",
    "output": "",
    "metrics": {"acc": 1, "perplexity": -1.25},
    "facts": {"logprobs": [-1.25]},
}
_NOTE = {
    "author": "ada",
    "text": "The model expects a chat template, which this suite does not use.",
    "created_at": "2026-11-24T05:00:00Z",
}


def _answer(name: str, value: Any, *status: str) -> OpenApiExample:
    return OpenApiExample(name, value=value, response_only=True, status_codes=status or _OK)


SUITES = _answer("Suites", {"results": [_SUITE_WHOLE], "harness_tasks": ["arc_easy"]})
SUITE = _answer("Suite", _SUITE_WHOLE | {"spec": {"seed": 1234, "tasks": [_TASK]}})
NEW_SUITE = _answer("Own", _SUITE_WHOLE | {"kind": "dataset", "key": "ben/capitals"})
DATASET_BODY = OpenApiExample(
    "Data set",
    value={
        "name": "capitals",
        "jsonl": '{"prompt": "The capital of France is", "answer": "Paris"}\n',
        "match": "contains",
    },
    request_only=True,
)
BODY = OpenApiExample("Next word", value={"suite": "next-word"}, request_only=True)
EVALUATION = _answer("Done", _RUN | {"record": _RECORD})
STOPPED = _answer("Stopped", _RUN | {"state": "cancelled", "scores": []})
QUEUED = _answer(
    "Queued again",
    _RUN
    | {
        "state": "queued",
        "progress": {"done": 50, "total": 100, "seconds_left": 7.5},
        "scores": [],
        "finished_at": None,
    },
)
EVALUATIONS = _answer("Evaluations", {"results": [_RUN], "next": None})
SAMPLES = _answer("Samples", {"results": [_SAMPLE], "next": None})
NOTE_BODY = OpenApiExample("Note", value={"text": _NOTE["text"]}, request_only=True)
NOTE = _answer("Note", _NOTE)
NOTES = _answer("Notes", {"results": [_NOTE]})
