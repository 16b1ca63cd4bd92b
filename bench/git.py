"""A long history over git's own protocol: pushed, cloned, and what it costs in memory.

10,000 commits, each of which changes one of 200 small files, are made by ``git fast-import`` and
pushed whole, and cloned by their owner (others wait for the check of 10,000 files): whole, shallow,
without blobs. Memory is the most a web process of a store that has just been started ever had.
"""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import HfApi

from bench._live import PERSON, Live, live, peak_rss_mb, token

COMMITS = 10_000
FILES = 200
WAYS = {
    f"cloning {COMMITS:,} commits": (),
    "… only the last (--depth 1)": ("--depth", "1"),
    "… without blobs (--filter=blob:none --no-checkout)": ("--filter=blob:none", "--no-checkout"),
}

Rows = list[tuple[str, str]]


def run() -> Rows:
    """Measure and return (figure, value) rows."""
    with tempfile.TemporaryDirectory(prefix="bench-git-") as home:
        folder = Path(home)
        with live() as store:
            idle = _peak_mb(store)
            api = HfApi(endpoint=store.url, token=token(store))
            repo = api.create_repo(f"{PERSON}/history-{int(time.time())}").repo_id
            _import(folder / "made")
            pushed_s = _git(folder / "made", "push", "--quiet", "--force", _url(api, repo), "main")
            rows = [
                (f"pushing {COMMITS:,} commits", f"{pushed_s:.1f} s"),
                (
                    "memory of a web process, idle and with it",
                    f"{idle:.0f}, {_peak_mb(store):.0f} MB",
                ),
            ]
        with live() as store:
            api = HfApi(endpoint=store.url, token=api.token)
            for number, (name, options) in enumerate(WAYS.items()):
                target = str(folder / f"clone{number}")
                took_s = _git(folder, "clone", "--quiet", *options, _url(api, repo), target)
                rows.append((name, f"{took_s:.1f} s"))
            _check(folder / "clone0")
            return [*rows, ("memory of a web process with them", f"{_peak_mb(store):.0f} MB")]


def _url(api: HfApi, repo: str) -> str:
    return api.endpoint.replace("://", f"://{PERSON}:{api.token}@") + f"/{repo}"


def _import(folder: Path) -> None:
    """Make the history in a new repository."""
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(folder)], check=True)
    subprocess.run(
        ["git", "fast-import", "--quiet"], cwd=folder, input=b"".join(_stream()), check=True
    )


def _stream() -> Iterator[bytes]:
    """The commits as git-fast-import(1) reads them."""
    who = b"committer Bench <bench@example.org> %d +0000\n"
    for number in range(COMMITS):
        text = b"a line of commit %d\n" % number * 20
        yield b"commit refs/heads/main\n" + who % (1_700_000_000 + number)
        yield b"data 10\nChange %03d\n" % (number % 1000)
        yield b"M 100644 inline part-%d/notes-%d.txt\n" % (number % 10, number % FILES)
        yield b"data %d\n%s\n" % (len(text), text)


def _git(folder: Path, *args: str) -> float:
    """Run git; return the seconds it took."""
    started = time.monotonic()
    subprocess.run(["git", *args], cwd=folder, check=True)
    return time.monotonic() - started


def _check(clone: Path) -> None:
    """Have git itself go through what came."""
    subprocess.run(["git", "fsck", "--strict"], cwd=clone, check=True, capture_output=True)
    counted = subprocess.run(
        ["git", "rev-list", "--count", "HEAD"], cwd=clone, check=True, capture_output=True
    ).stdout
    if int(counted) != COMMITS:
        raise RuntimeError(f"{int(counted)} commits came instead of {COMMITS}")


def _peak_mb(store: Live) -> float:
    return max(peak_rss_mb(worker) for worker in store.web_workers())
