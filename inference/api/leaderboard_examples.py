"""A real leaderboard for the REST API's description; tested against its schema."""

from drf_spectacular.utils import OpenApiExample

BOARDS = OpenApiExample(
    "Leaderboards",
    value={
        "results": [
            {
                "key": "arithmetic",
                "version": 1,
                "title": "Arithmetic",
                "summary": "Sums and differences of small numbers, in words.",
                "models": 1,
            }
        ]
    },
    response_only=True,
    status_codes=("200",),
)
BOARD = OpenApiExample(
    "A leaderboard",
    value={
        "suite": "arithmetic",
        "version": 1,
        "metric": "acc",
        "unit": "share",
        "is_higher_better": True,
        "currency": "EUR",
        "results": [
            {
                "rank": 1,
                "model": "regency/austen-gpt2-small",
                "score": 0.062,
                "low": 0.044,
                "high": 0.087,
                "not_distinguishable_from": "",
                "samples": 500,
                "parameters": 2_213_888,
                "weights_bytes": 8_862_920,
                "licenses": ["mit"],
                "tokens_per_second": 412.7,
                "price_minor": 0,
                "evaluation": "8c46eaab35ae7f3e9dd3932e",
                "revision": "cb4140ed35905615e3243c1b1e84335458b421ba",
                "is_newest_revision": True,
                "measured_at": "2026-11-24T02:19:05.471377Z",
            }
        ],
        "next": None,
        "total": 1,
    },
    response_only=True,
    status_codes=("200",),
)
