"""How fast histories are written and read, through the doors clients use.

A commit of 1,000 small files and one of 150 MB are sent as the hub's commit call (one line of
JSON for each file); a folder of 10,000 files is listed by the released client.
"""

import base64
import json
import os
import statistics
import time
from collections.abc import Iterator

import requests
from huggingface_hub import HfApi

from bench._live import PERSON, Live, live, peak_rss_mb, set_up_django, token

MANY = 1_000
WIDE = 10_000
HEAVY_BYTES = 150_000_000
PIECE_BYTES = 5_000_000
ROUNDS = 5


def run() -> list[tuple[str, str]]:
    """Measure and return (figure, value) rows."""
    with live() as store:
        set_up_django()
        api = HfApi(endpoint=store.url, token=token(store))
        workers = store.web_workers()
        before = max(worker.memory_info().rss / 1e6 for worker in workers)
        return [*many(store, api), *wide(store, api), *heavy(store, api, before)]


def fresh(api: HfApi, name: str) -> str:
    """Make an empty repository."""
    api.delete_repo(f"{PERSON}/{name}", missing_ok=True)
    return api.create_repo(f"{PERSON}/{name}").repo_id


def lines(files: Iterator[tuple[str, bytes]]) -> Iterator[bytes]:
    """The body of a commit."""
    yield json.dumps({"key": "header", "value": {"summary": "Measure"}}).encode() + b"\n"
    for path, data in files:
        value = {"path": path, "content": base64.b64encode(data).decode(), "encoding": "base64"}
        yield json.dumps({"key": "file", "value": value}).encode() + b"\n"


def send(store: Live, api: HfApi, repo: str, body: Iterator[bytes]) -> float:
    """Send a commit; return the seconds it took."""
    whole = b"".join(body)
    started = time.perf_counter()
    answer = requests.post(
        f"{store.url}/api/models/{repo}/commit/main",
        data=whole,
        headers={
            "Authorization": f"Bearer {api.token}",
            "Content-Type": "application/x-ndjson",
        },
        timeout=300,
    )
    answer.raise_for_status()
    return time.perf_counter() - started


def many(store: Live, api: HfApi) -> list[tuple[str, str]]:
    """One commit of many small files."""
    took = []
    for _ in range(ROUNDS):
        repo = fresh(api, "many")
        files = ((f"part-{n % 20}/file-{n}.txt", os.urandom(600)) for n in range(MANY))
        took.append(send(store, api, repo, lines(files)))
    return [(f"a commit of {MANY:,} small files (< 5 s)", _seconds(took))]


def wide(store: Live, api: HfApi) -> list[tuple[str, str]]:
    """Listing a folder of very many files."""
    repo = fresh(api, "wide")
    written = send(store, api, repo, lines((f"{n:05}.txt", b"%d" % n) for n in range(WIDE)))
    http = requests.Session()
    url, pages, whole = f"{store.url}/api/models/{repo}/tree/main", [], []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        answer = http.get(url, timeout=60)
        pages.append(time.perf_counter() - started)
        count = len(answer.json())
        started = time.perf_counter()
        listed = sum(1 for _ in api.list_repo_tree(repo))
        whole.append(time.perf_counter() - started)
        if listed != WIDE + 1:
            raise RuntimeError(f"{listed} entries were listed instead of {WIDE + 1}")
    return [
        (f"a commit of {WIDE:,} small files", f"{written:.1f} s"),
        (f"a tree of {WIDE:,} entries, listed in the store (< 300 ms)", _listed(repo)),
        (f"a page of {count:,} of them, over HTTP", _milliseconds(pages)),
        ("all of them page by page, by huggingface_hub", _milliseconds(whole)),
    ]


def _listed(full_name: str) -> str:
    """Time what every page and answer about a tree calls, beside the running store."""
    from catalog.history.trees import list_entries
    from catalog.models import ModelRepo, Ref

    repo = ModelRepo.objects.get(namespace__name=PERSON, name=full_name.partition("/")[2])
    head = Ref.objects.get(repo=repo, name="refs/heads/main").commit_oid
    took = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        list_entries(repo, head, recursive=True)
        took.append(time.perf_counter() - started)
    return _milliseconds(took)


def heavy(store: Live, api: HfApi, before_mb: float) -> list[tuple[str, str]]:
    """One commit whose body is large."""
    repo = fresh(api, "heavy")
    count = HEAVY_BYTES * 3 // 4 // PIECE_BYTES
    files = ((f"data-{n}.json", os.urandom(PIECE_BYTES)) for n in range(count))
    took_s = send(store, api, repo, lines(files))
    peak = max(peak_rss_mb(worker) for worker in store.web_workers())
    api.delete_repo(repo)
    return [
        (
            f"a commit of one {HEAVY_BYTES // 1_000_000} MB body",
            f"{took_s:.1f} s; a web process held at most {peak:.0f} MB ({before_mb:.0f} MB idle)",
        )
    ]


def _seconds(times: list[float]) -> str:
    return f"{statistics.median(times):.2f} s (slowest {max(times):.2f} s)"


def _milliseconds(times: list[float]) -> str:
    return f"{statistics.median(times) * 1000:.0f} ms (slowest {max(times) * 1000:.0f} ms)"
