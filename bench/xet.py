"""Chunk-deduplicated transfer: what is sent, what is stored, and what it costs.

A file is 200 MB of float32 tensors of random normal numbers, as safetensors; processor time is
taken of files of 1 GB, float32 (whose chunks clients sort by byte and pack) and float16 (what most
models are published in), after a first upload, as a server that has been running. Clients are
``huggingface_hub`` with ``hf_xet`` in a process of their own, each with an empty cache ("fresh").
Bytes are counted by a relay between client and server, headers included; times are taken without
it. CPU is that of the store's web processes, and includes the system's for the bytes they write.
On a virtual machine the first use of memory makes writing several times dearer (``cp`` of a file:
0.3 or 1.4 s/GB), so a large file is written and deleted before each upload; what ``cp`` costs right
after it is stated beside it.
"""

import hashlib
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import requests

from bench._counting import counting
from bench._live import PERSON, Live, live, set_up_django, token
from bench._xet_memory import memory
from bench.delivery import cpu_s, nginx

TENSORS = 40
SHAPE = (1250, 1000)
VARIANTS = 4
HEAD = 100  # the variant whose first tensors changed
ROUNDS = 11
CPU_ROUNDS = 4
GB = 1e9
PLAIN = {"HF_HUB_DISABLE_XET": "1"}
IS_WHOLE = (
    "from catalog.models import LfsObject;"
    "print(LfsObject.objects.filter(is_whole=True, sha256='%s').exists())"
)

Rows = list[tuple[str, str]]

_CLIENT = """
import sys, time
from huggingface_hub import HfApi, hf_hub_download
what, url, token, repo, path = sys.argv[1:]
import hf_xet  # loaded before the clock starts
start = time.monotonic()
if what == "up":
    HfApi(endpoint=url, token=token).upload_file(
        path_or_fileobj=path, path_in_repo="model.safetensors", repo_id=repo)
else:
    hf_hub_download(repo, "model.safetensors", endpoint=url, token=token, local_dir=path)
print("seconds", time.monotonic() - start)
"""


def run() -> Rows:
    """Measure everything on one running store."""
    folder = Path(tempfile.mkdtemp(prefix="bench-xet-"))
    try:
        with live() as store:
            return _all(store, folder)
    finally:
        shutil.rmtree(folder)


def _all(store: Live, folder: Path) -> Rows:
    secret = token(store)
    names = iter(f"{PERSON}/xet-{secrets.token_hex(4)}-{n}" for n in range(1000))
    base = _tensors(folder / "base.safetensors", seed=int.from_bytes(secrets.token_bytes(4)))
    stored_before = _stored_bytes(store)
    rows: Rows = []

    first = next(names)
    up_s = _client(store.url, secret, "up", _repo(store, secret, first), base)
    rows.append(("first upload of 200 MB by Xet", f"{up_s:.2f} s"))
    variants = []
    for number in range(VARIANTS):
        changed = _changed(base, folder / f"v{number}.safetensors", number)
        variants.append((_repo(store, secret, next(names)), changed))
        sent, _ = _counted(store, secret, "up", *variants[-1])
        share = sent / changed.stat().st_size
        kind = "four in a row" if number == 0 else "every tenth"
        rows.append((f"{kind} of 40 tensors changed, fresh client: sent (≤ 10 %)", f"{share:.1%}"))
    sent, _ = _counted(store, secret, "up", _repo(store, secret, next(names)), base)
    rows.append(("the identical file, fresh client: sent (≤ 10 kB)", f"{sent / 1000:.1f} kB"))
    logical = (1 + VARIANTS) * base.stat().st_size
    share = (_stored_bytes(store) - stored_before) / logical
    rows.append((f"{1 + VARIANTS} variants stored in (≤ 50 % of their size)", f"{share:.1%}"))
    changed = _changed(base, folder / "head.safetensors", HEAD)
    sent, _ = _counted(store, secret, "up", _repo(store, secret, next(names)), changed)
    share = sent / changed.stat().st_size
    rows.append(
        ("the first four of 40 tensors changed, fresh client: sent (ADR 4)", f"{share:.1%}")
    )
    rows += _downloads(store, secret, variants, folder)
    rows += _downloads_of_a_whole(store, secret, first, base, folder)
    rows += _plain(store, secret, base, folder)
    rows += memory(store, secret, first)
    for kind in ("float32", "float16"):
        rows += _cpu(store, secret, kind, folder)
    return rows


def _cpu(store: Live, secret: str, kind: str, folder: Path) -> Rows:
    """Upload files of 1 GB nobody has sent before, one after the other."""
    spent, copied, up = [], [], []
    for number in range(CPU_ROUNDS):
        seed = int.from_bytes(secrets.token_bytes(4))
        path = _tensors(folder / "large.safetensors", seed=seed, kind=kind, count=5 * TENSORS)
        size_gb = path.stat().st_size / GB
        repo = _repo(store, secret, f"{PERSON}/cpu-{secrets.token_hex(4)}-{number}")
        _use_memory(folder / "used")
        cpu = _web_cpu_s(store)
        up.append(_client(store.url, secret, "up", repo, path))
        spent.append((_web_cpu_s(store) - cpu) / size_gb)
        before_s = _children_cpu_s()
        subprocess.run(["cp", path, folder / "copy"], check=True)
        copied.append((_children_cpu_s() - before_s) / size_gb)
        (folder / "copy").unlink()
    return [
        (
            f"server CPU of 1 GB of {kind} (≤ 3.5 s/GB), median and range of {CPU_ROUNDS}",
            f"{statistics.median(spent):.2f} s/GB ({min(spent):.2f} to {max(spent):.2f})",
        ),
        ("… the upload, wall", f"{statistics.median(up):.1f} s"),
        (
            "… CPU of cp of the same file, median and range",
            f"{statistics.median(copied):.2f} s/GB ({min(copied):.2f} to {max(copied):.2f})",
        ),
    ]


def _children_cpu_s() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _use_memory(path: Path) -> None:
    """Have the system use as much memory for files as an upload of 1 GB will."""
    with path.open("wb") as file:
        for _ in range(3000):
            file.write(bytes(1_000_000))
    path.unlink()


def _downloads(store: Live, secret: str, files: list[tuple[str, Path]], folder: Path) -> Rows:
    """Fetch files that lie in chunks, each so few times that the store does not keep it whole yet.

    The ways alternate, so that a busy moment hits both.
    """
    ways: list[tuple[dict[str, str], list[float]]] = [({}, []), (PLAIN, [])]
    for _ in range(_hot_after() - 1):
        for repo, path in files:
            for more, seconds in ways:
                seconds.append(_fetched(store.url, secret, repo, path, folder, more))
    x, p = (statistics.median(seconds) for _, seconds in ways)
    count = len(ways[0][1])
    return [
        (f"download by Xet, by plain HTTP (median of {count})", f"{x:.2f} s, {p:.2f} s"),
        ("… one against the other (≤ 1.3 times)", f"{max(x, p) / min(x, p):.2f} times"),
    ]


def _downloads_of_a_whole(store: Live, secret: str, repo: str, base: Path, folder: Path) -> Rows:
    """Fetch a file that was fetched often, so that the store keeps it whole beside its chunks.

    The plain client is bound by itself; what it takes from nginx is what it takes from anybody.
    """
    for _ in range(_hot_after()):
        _fetched(store.url, secret, repo, base, folder, PLAIN)
    while store.manage("shell", "-v", "0", "-c", IS_WHOLE % _sha256(base)) != "True":
        time.sleep(0.5)
    copy = folder / "nginx" / repo / "resolve/main/model.safetensors"
    copy.parent.mkdir(parents=True)
    shutil.copyfile(base, copy)
    with nginx(folder / "nginx", f"add_header X-Repo-Commit {'0' * 40};") as (other, _):
        ways: list[tuple[str, dict[str, str], list[float]]] = [
            (store.url, {}, []),
            (store.url, PLAIN, []),
            (other, PLAIN, []),
        ]
        for _ in range(ROUNDS):
            for url, more, seconds in ways:
                seconds.append(_fetched(url, secret, repo, base, folder, more))
    shutil.rmtree(folder / "nginx")
    x, p, n = (statistics.median(seconds) for _, _, seconds in ways)
    c = statistics.median(_curl(store, repo) for _ in range(ROUNDS))
    return [
        (
            f"… of a file fetched often, by Xet, by plain HTTP (median of {ROUNDS})",
            f"{x:.2f} s, {p:.2f} s",
        ),
        ("… one against the other (≤ 1.3 times)", f"{max(x, p) / min(x, p):.2f} times"),
        ("… the plain client fetching the same file from nginx", f"{n:.2f} s"),
        ("… curl fetching it from the store", f"{c:.2f} s"),
    ]


def _curl(store: Live, repo: str) -> float:
    url = f"{store.url}/{repo}/resolve/main/model.safetensors"
    return _timed(lambda: subprocess.run(["curl", "-sfo", os.devnull, url], check=True))


def _hot_after() -> int:
    set_up_django()
    from catalog.content.hot import HOT_AFTER

    return HOT_AFTER


def _fetched(
    url: str, secret: str, repo: str, path: Path, folder: Path, more: dict[str, str]
) -> float:
    """Let a fresh client fetch a file, look at it, and return the seconds it took."""
    taken_s = _client(url, secret, "down", repo, folder / "down", **more)
    _same(path, folder / "down/model.safetensors")
    shutil.rmtree(folder / "down")
    return taken_s


def _plain(store: Live, secret: str, base: Path, folder: Path) -> Rows:
    """The same file as one PUT, and by ``cp``."""
    repo = _repo(store, secret, f"{PERSON}/put-{secrets.token_hex(4)}")
    batch = {
        "operation": "upload",
        "transfers": ["basic"],
        "objects": [{"oid": _sha256(base), "size": base.stat().st_size}],
    }
    answer = requests.post(
        f"{store.url}/{repo}.git/info/lfs/objects/batch",
        json=batch,
        headers={"Authorization": f"Bearer {secret}"},
        timeout=60,
    )
    href = answer.json()["objects"][0]["actions"]["upload"]["href"]
    cpu = _web_cpu_s(store)
    put_s = _timed(lambda: subprocess.run(["curl", "-sfT", base, href], check=True))
    put_cpu = (_web_cpu_s(store) - cpu) / (base.stat().st_size / GB)
    copy_s = _timed(lambda: shutil.copyfile(base, folder / "copy"))
    _same(base, folder / "copy")
    return [
        ("plain PUT of the same file (LFS), its server CPU", f"{put_s:.2f} s, {put_cpu:.2f} s/GB"),
        ("cp of the same file", f"{copy_s:.2f} s"),
    ]


def _tensors(path: Path, seed: int, *, kind: str = "float32", count: int = TENSORS) -> Path:
    """Write ``count`` tensors (twice as many of two-byte numbers) as safetensors."""
    import numpy as np
    from safetensors.numpy import save_file

    random = np.random.default_rng(seed)
    count = count * 4 // np.dtype(kind).itemsize
    tensors = {
        f"t{n:02}": random.standard_normal(SHAPE, np.float32).astype(kind) for n in range(count)
    }
    save_file(tensors, path)
    return path


def _changed(base: Path, path: Path, number: int) -> Path:
    """Write a variant with four of forty tensors new: the 18th on, the first, or every tenth."""
    import numpy as np
    from safetensors.numpy import load_file, save_file

    tensors = load_file(base)
    random = np.random.default_rng(number)
    rows = {0: range(18, 22), HEAD: range(4)}
    places = rows.get(number) or range(number, TENSORS, TENSORS // 4)
    for place in places:
        tensors[f"t{place:02}"] = random.standard_normal(SHAPE, np.float32)
    save_file(tensors, path)
    return path


def _repo(store: Live, secret: str, name: str) -> str:
    answer = requests.post(
        f"{store.url}/api/repos/create",
        json={"name": name.partition("/")[2]},
        headers={"Authorization": f"Bearer {secret}"},
        timeout=60,
    )
    answer.raise_for_status()
    return name


def _client(url: str, secret: str, what: str, repo: str, path: Path, **more: str) -> float:
    """Run a client with an empty cache; return the seconds its call took."""
    with tempfile.TemporaryDirectory(prefix="hf-home-") as home:
        env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        done = subprocess.run(
            [sys.executable, "-c", _CLIENT, what, url, secret, repo, str(path)],
            env=env | {"HF_HOME": home, "HF_HUB_DISABLE_PROGRESS_BARS": "1"} | more,
            check=True,
            capture_output=True,
            text=True,
        )
    return float(done.stdout.split("seconds")[1])


def _counted(store: Live, secret: str, what: str, repo: str, path: Path) -> tuple[int, int]:
    """Return the bytes a client sent and received."""
    at = urlsplit(store.url)
    with counting(at.hostname or "", at.port or 80) as (url, counts):
        _client(url, secret, what, repo, path)
    return counts.sent, counts.received


def _web_cpu_s(store: Live) -> float:
    return sum(cpu_s(each) for each in store.web_workers())


def _stored_bytes(store: Live) -> int:
    blobs = Path(store.env["STORE_DATA_DIR"]) / "blobs"
    return sum(path.stat().st_size for path in blobs.rglob("*") if path.is_file())


def _same(one: Path, other: Path) -> None:
    assert _sha256(one) == _sha256(other)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _timed(do: Callable[[], object]) -> float:
    started = time.monotonic()
    do()
    return time.monotonic() - started
