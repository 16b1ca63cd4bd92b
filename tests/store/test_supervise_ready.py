"""Waiting for readiness, and the banner that greets a newcomer."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from store.env import Env
from store.supervise import ready
from tests.live import free_port


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings come from the test alone, whatever the machine has set."""
    for name in list(os.environ):
        if name in {"DATABASE_URL", "REDIS_URL", "PORT"} or name.startswith("STORE_"):
            monkeypatch.delenv(name)


Answers = dict[str, tuple[int, bytes]]


@pytest.fixture
def served() -> Iterator[Callable[[Answers], int]]:
    """Start a small web server with given answers; gives its port."""
    servers: list[ThreadingHTTPServer] = []

    def serve(answers: Answers) -> int:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = answers.get(self.path, (404, b""))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return int(server.server_address[1])

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_ready_means_status_200(served: Callable[[Answers], int]) -> None:
    assert ready.ask("127.0.0.1", served({"/readyz": (200, b"{}")})) == ""


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"checks": {"database": "ok", "worker": "none seen"}}', "worker: none seen"),
        (b'{"checks": {"a": "x", "b": "y"}}', "a: x; b: y"),
        (b"<html>", "status 503"),
        (b"[]", "status 503"),
        (b'{"checks": 3}', "status 503"),
    ],
)
def test_what_is_missing_is_named(
    served: Callable[[Answers], int], body: bytes, reason: str
) -> None:
    assert ready.ask("0.0.0.0", served({"/readyz": (503, body)})) == reason  # noqa: S104 - asked, not bound


def test_no_server_is_named() -> None:
    port = free_port()

    assert ready.ask("127.0.0.1", port).startswith(f"no answer from 127.0.0.1:{port} (")


def test_the_banner_tells_how_to_begin(
    served: Callable[[Answers], int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    people = [{"name": "ada", "password": "try-me", "role": "publishes"}]
    (tmp_path / "demo-logins.json").write_text(json.dumps(people))
    sold = {"id": "demo/sold", "prices": [{"currency": "EUR", "amount_minor": 500}]}
    models = json.dumps({"results": [sold, {"id": "demo/austen", "prices": []}]}).encode()
    port = served({"/readyz": (200, b""), "/api/v1/models?limit=20": (200, models)})
    monkeypatch.setattr(ready, "read_env", lambda: Env(data_dir=tmp_path, port=port))

    ready.main()

    said = capsys.readouterr().out
    assert f"The store is ready: http://127.0.0.1:{port}\n" in said
    assert "  ada / try-me  (publishes)\n" in said
    assert f"  HF_ENDPOINT=http://127.0.0.1:{port} hf download demo/austen\n" in said
    assert f"  curl 'http://127.0.0.1:{port}/api/models?limit=3'\n" in said
    assert "manage.py adduser" in said


def test_the_banner_of_an_empty_store_has_placeholders(tmp_path: Path) -> None:
    (tmp_path / "demo-logins.json").write_text("{broken")

    said = ready.banner("::", free_port(), tmp_path)

    assert "Log in as" not in said
    assert "hf download OWNER/NAME" in said
    assert "http://[::1]:" in said


def test_impatience_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(ready, "PATIENCE_S", 0.2)
    monkeypatch.setattr(ready, "read_env", lambda: Env(data_dir=tmp_path, port=free_port()))

    ready.main()

    assert "not ready after 0 s: no answer from 127.0.0.1" in capsys.readouterr().out
