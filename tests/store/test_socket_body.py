"""Bodies read straight from gunicorn's socket, and what gunicorn makes of the connection then."""

import socket
import threading
from collections.abc import Iterator

import pytest
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser

from store.core.bodies import SocketBody

BODY = bytes(range(256)) * 10_000
AFTER = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a connection: the client's, the server's."""
    client, server = socket.socketpair()
    with client, server:
        yield client, server


def head(length: int) -> bytes:
    return f"POST /first HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()


def sent(client: socket.socket, data: bytes, *, ends: bool = False) -> None:
    def send() -> None:
        client.sendall(data)
        if ends:
            client.shutdown(socket.SHUT_WR)

    threading.Thread(target=send, daemon=True).start()


def whole(body: SocketBody, step: int) -> bytes:
    target, found = memoryview(bytearray(step)), bytearray()
    while came := body.readinto(target):
        found += target[:came]
    return bytes(found)


@pytest.mark.parametrize("length", [0, 1, 100, 8000, 70_000, len(BODY)])
@pytest.mark.parametrize("step", [7000, 1_000_000])
def test_all_of_it_comes_and_the_next_request_after_it(pair, length: int, step: int) -> None:
    client, server = pair
    sent(client, head(length) + BODY[:length] + AFTER)
    requests = RequestParser(Config(), server, ("127.0.0.1", 1))

    body = SocketBody(next(requests).body, server)
    came = whole(body, step)

    assert came == BODY[:length]
    assert body.read(10) == b""
    assert next(requests).path == "/next"


@pytest.mark.parametrize("taken", [0, 10, 9000, 500_000])
def test_what_nobody_reads_is_passed_over(pair, taken: int) -> None:
    client, server = pair
    sent(client, head(len(BODY)) + BODY + AFTER)
    requests = RequestParser(Config(), server, ("127.0.0.1", 1))

    came = SocketBody(next(requests).body, server).read(taken)

    assert came == BODY[:taken]
    assert next(requests).path == "/next"


def test_reading_in_pieces_of_any_kind(pair) -> None:
    client, server = pair
    sent(client, head(len(BODY)) + BODY + AFTER)
    requests = RequestParser(Config(), server, ("127.0.0.1", 1))
    body, target = SocketBody(next(requests).body, server), memoryview(bytearray(3000))

    found = body.read(5)
    found += target[: body.readinto(target)].tobytes()
    found += body.read(100_000)
    found += body.read()

    assert found == BODY
    assert next(requests).path == "/next"


def test_a_client_that_goes_away_ends_it(pair) -> None:
    client, server = pair
    sent(client, head(len(BODY)) + BODY[:20_000], ends=True)
    requests = RequestParser(Config(), server, ("127.0.0.1", 1))

    body = SocketBody(next(requests).body, server)

    assert whole(body, 100_000) == BODY[:20_000]
    assert body.read() == b""
