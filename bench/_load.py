"""Asks one question over and over through many connections, with as little work as can be.

One process, one thread, kept connections: what it takes of the machine is what the kernel takes,
and one count for each answer.
"""

import selectors
import socket
import statistics
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_PIECE_BYTES = 65536


@dataclass
class Load:
    """What came of it."""

    seconds: float
    latencies_ms: list[float] = field(default_factory=list)

    @property
    def per_s(self) -> float:
        """Answers in a second."""
        return len(self.latencies_ms) / self.seconds

    def quantile_ms(self, part: float) -> float:
        """The latency that this part of the answers stays below, in milliseconds."""
        return sorted(self.latencies_ms)[int(part * (len(self.latencies_ms) - 1))]


@dataclass
class _Connection:
    socket: socket.socket
    sent_at: float = 0.0
    got: bytes = b""


def ask(
    url: str, *, body: bytes = b"", connections: int = 16, seconds: float = 5.0, expect: bytes = b""
) -> Load:
    """Send the same request through each connection as soon as its last answer has come.

    Args:
        url: Where to; with a body it is a ``POST`` of JSON.
        body: What to send.
        connections: How many, each with one request under way.
        seconds: How long.
        expect: What every answer must have in it; a faster wrong answer is no figure.
    """
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or 80)
    head = f"{'POST' if body else 'GET'} {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    request = head.encode() + b"\r\n" + body
    load, chosen = Load(seconds), selectors.DefaultSelector()
    for _ in range(connections):
        one = _Connection(socket.create_connection(address))
        chosen.register(one.socket, selectors.EVENT_READ, one)
        _send(one, request)
    ends_at = time.perf_counter() + seconds
    while (now := time.perf_counter()) < ends_at:
        for key, _events in chosen.select(timeout=ends_at - now):
            one = key.data
            one.got += one.socket.recv(_PIECE_BYTES)
            if _is_whole(one.got):
                if not one.got.startswith(b"HTTP/1.1 200") or expect not in one.got:
                    raise RuntimeError(f"not the answer that was wanted: {one.got[:500]!r}")
                load.latencies_ms.append((time.perf_counter() - one.sent_at) * 1000)
                _send(one, request)
    for key in list(chosen.get_map().values()):
        key.data.socket.close()
    return load


def middle(loads: list[Load]) -> Load:
    """The round whose rate is the median."""
    rate = statistics.median_low([load.per_s for load in loads])
    return next(load for load in loads if load.per_s == rate)


def _send(one: _Connection, request: bytes) -> None:
    one.got, one.sent_at = b"", time.perf_counter()
    one.socket.sendall(request)


def _is_whole(got: bytes) -> bool:
    if not got:
        raise ConnectionError("the server closed a kept connection")
    head, gap, body = got.partition(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return bool(gap) and len(body) >= int(length)
