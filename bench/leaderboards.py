"""How long leaderboards take: 4,000 models, each measured by ten suites at two revisions.

Pages, API and CSV are fetched by a plain HTTP client over loopback, one at a time, each with other
conditions than the one before; the time is that from the request to the last byte.
"""

import random
import statistics
import subprocess
import sys
import time
from itertools import cycle, islice

import requests

from bench._live import DATA_DIR, Live, live, set_up_django

MODELS, SUITES, TASKS = 4_000, 10, 8
EACH = 20
"""Requests of each kind."""
FOLDER = DATA_DIR / "boards"
"""A store of its own: the other benches' has 100,000 listings and no scores."""
_RUNS = """
    INSERT INTO inference_evaluationrun (
        public_id, repo_id, commit_oid, suite_id, is_public, state, record, error_code, error,
        created_at, started_at, finished_at
    )
    SELECT substr(md5(model.repo_id::text || suite.id || age), 1, 24), model.repo_id,
           CASE age WHEN 0 THEN model.head_oid ELSE md5(model.repo_id::text) || '00000000' END,
           suite.id, TRUE, 'done', '{"hardware": {"cores": 2}}', '', '',
           now() - age * interval '1 day', now(), now() - age * interval '1 day'
    FROM (SELECT repo_id, head_oid FROM catalog_listing
          WHERE NOT is_private ORDER BY repo_id LIMIT %(models)s) AS model,
         inference_suite AS suite, generate_series(0, 1) AS age
    WHERE suite.key LIKE 'bench-%%'
"""
_SCORES = """
    INSERT INTO inference_score (
        run_id, task, metric, value, low, high, method, samples, unit, is_higher_better, is_primary
    )
    SELECT run.id, 'task-' || task, 'acc', drawn.value, drawn.value - 0.03, drawn.value + 0.03,
           'wilson', 200, CASE suite.key WHEN 'bench-0' THEN 'tokens/s' ELSE 'share' END, TRUE,
           task = 0
    FROM inference_evaluationrun AS run JOIN inference_suite AS suite ON suite.id = run.suite_id,
         generate_series(0, %(tasks)s - 1) AS task,
         LATERAL (SELECT ('x' || substr(md5(run.id || '.' || task), 1, 7))::bit(28)::int
                         / 268435456.0 AS value) AS drawn
    WHERE suite.key LIKE 'bench-%%'
"""


def run() -> list[tuple[str, str]]:
    """Measure and return (figure, value) rows."""
    with live(FOLDER):  # the first start migrates
        pass
    rows = _made()
    with live(FOLDER) as store:
        return rows + measure(store)


def _made() -> list[tuple[str, str]]:
    """Make models, runs and scores once."""
    set_up_django(FOLDER)
    from django.db import connection

    from inference.models import EvaluationRun, Suite
    from store.boot import hold_engines

    with hold_engines():
        if EvaluationRun.objects.filter(suite__key__startswith="bench-").exists():
            return []
        started = time.monotonic()
        count = str(round(MODELS * 1.1))  # some are private
        seed = [sys.executable, "manage.py", "seed_listings", "--count", count, "--wipe", "--force"]
        subprocess.run(seed, check=True)
        for number in range(SUITES):
            Suite.objects.create(
                key=f"bench-{number}",
                kind=Suite.Kind.BUILTIN,
                title=f"Bench {number}",
                spec={},
                digest="0" * 64,
                is_ranked=True,
            )
        with connection.cursor() as cursor:
            cursor.execute(_RUNS, {"models": MODELS})
            cursor.execute(_SCORES, {"tasks": TASKS})
            cursor.execute("ANALYZE")
        took_s = time.monotonic() - started
    return [(f"making {MODELS:,} models with {SUITES} suites", f"{took_s:.0f} s")]


def measure(store: Live) -> list[tuple[str, str]]:
    """Fetch pages of each kind."""
    http, dice = requests.Session(), random.Random(5)  # noqa: S311
    boards = [f"/leaderboards/bench-{number}" for number in range(SUITES)]
    far = [f"{board}?page={dice.randint(2, 70)}" for board in boards]
    kinds = {
        "every board": ["/leaderboards"],
        "a board (p95 < 500 ms)": boards,
        "… its far pages": far,
        "… with a facet": [
            f"{board}?license={one}" for board in boards for one in ("mit", "other")
        ],
        "… plotted against speed": [f"{board}?x=speed" for board in boards],
        "… plotted against the price": [f"{board}?x=price" for board in boards],
        "… over REST, 50 rows": [f"/api/v1{board}" for board in boards],
        "… as CSV, all rows": [f"{board}.csv" for board in boards],
    }
    rows = []
    for kind, paths in kinds.items():
        times = sorted(_took_ms(http, store.url + path) for path in islice(cycle(paths), EACH))
        p95 = times[int(len(times) * 0.95)]
        rows.append((kind, f"p50 {statistics.median(times):.0f} ms, p95 {p95:.0f} ms"))
    return rows


def _took_ms(http: requests.Session, url: str) -> float:
    started = time.perf_counter()
    http.get(url, timeout=60).raise_for_status()
    return (time.perf_counter() - started) * 1000
