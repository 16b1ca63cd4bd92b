"""A relay that counts what a client sends and receives."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_BLOCK_BYTES = 256 * 1024


@dataclass
class Counts:
    """Bytes on the wire, headers included."""

    sent: int = 0
    received: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, *, sent: int = 0, received: int = 0) -> None:
        with self.lock:
            self.sent += sent
            self.received += received


@contextmanager
def counting(host: str, port: int) -> Iterator[tuple[str, Counts]]:
    """Relay connections to a server; yield the address to use instead, and the counts."""
    counts = Counts()

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((host, port)) as server:
                back = threading.Thread(target=_pump, args=(server, self.request, None, counts))
                back.start()
                _pump(self.request, server, counts, None)
                back.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Relay) as relay:
        threading.Thread(target=relay.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{relay.server_address[1]}", counts
        relay.shutdown()


def _pump(
    source: socket.socket, target: socket.socket, sent: Counts | None, received: Counts | None
) -> None:
    try:
        while block := source.recv(_BLOCK_BYTES):
            if sent:
                sent.add(sent=len(block))
            if received:
                received.add(received=len(block))
            target.sendall(block)
    except OSError:
        pass
    finally:
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
