"""A real generation for the REST API's description; tested against its schema."""

from drf_spectacular.utils import OpenApiExample

BODY = OpenApiExample(
    "Greedy",
    value={
        "model": "regency/austen-gpt2-small",
        "prompt": "It is a truth",
        "max_new_tokens": 20,
        "temperature": 0,
    },
    request_only=True,
)
GENERATION = OpenApiExample(
    "Done",
    value={
        "id": "8c46eaab35ae7f3e9dd3932e",
        "model": "regency/austen-gpt2-small",
        "revision": "cb4140ed35905615e3243c1b1e84335458b421ba",
        "gguf_file": "",
        "state": "done",
        "params": {"max_new_tokens": 20, "temperature": 0.0, "num_sequences": 1},
        "texts": [" which was not to be seen."],
        "finish_reasons": ["length"],
        "prompt_tokens": 4,
        "new_tokens": 20,
        "ahead": 0,
        "error_code": "",
        "error": "",
        "created_at": "2026-11-24T02:19:05.471377Z",
        "finished_at": "2026-11-24T02:19:06.102931Z",
    },
    response_only=True,
    status_codes=("200", "201"),
)
DEMOS = OpenApiExample(
    "Tried",
    value={
        "model": "regency/austen-gpt2-small",
        "revision": "cb4140ed35905615e3243c1b1e84335458b421ba",
        "is_current": True,
        "set_version": 1,
        "reason": "",
        "results": [
            {
                "prompt_key": "story",
                "way": "greedy",
                "prompt": "Once upon a time, in a small town by the sea, there lived",
                "params": {"max_new_tokens": 64, "temperature": 0.0, "seed": 0},
                "state": "done",
                "text": " a family of great respectability.",
                "finish_reason": "length",
                "prompt_tokens": 19,
                "new_tokens": 64,
                "tokens_per_s": 310.5,
                "error_code": "",
                "error": "",
                "finished_at": "2026-11-24T02:19:06.102931Z",
            }
        ],
    },
    response_only=True,
)
