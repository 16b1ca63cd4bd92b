"""A line that is watched: a proxy that counts what goes through, and can act on each request."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_REQUEST = re.compile(rb"(GET|HEAD|POST|PUT|DELETE) (/\S*) HTTP/1\.1\r\n")


@dataclass
class WatchedLine:
    """Forwards TCP and remembers the requests that passed."""

    target: tuple[str, int]
    before: Callable[[str], object] = lambda line: None
    """Called with "METHOD /path" before a request is passed on."""
    after: Callable[[str], object] = lambda line: None
    """Called when its first bytes have been passed on."""
    answered: Callable[[str], object] = lambda line: None
    """Called before a piece of an answer is passed back, with the latest request. An ``OSError`` it
    raises loses the answer."""
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    asked: list[str] = field(default_factory=list)
    """Every request, "METHOD /path"."""
    sent_bytes: int = 0
    """What clients sent, bodies and headers."""
    got_bytes: int = 0
    """What they got."""

    @property
    def url(self) -> str:
        """Where clients are to go."""
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def clear(self) -> None:
        """Count from now on."""
        self.asked, self.sent_bytes, self.got_bytes = [], 0, 0

    def count(self, pattern: str) -> int:
        """Return how many requests matched."""
        return sum(bool(re.search(pattern, line)) for line in self.asked)

    def serve(self) -> None:
        """Accept until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._forward, args=[client], daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(self.target) as server:
            back = threading.Thread(target=self._down, args=[server, client], daemon=True)
            back.start()
            self._up(client, server)
            back.join(timeout=60)

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while block := client.recv(65536):
                self.sent_bytes += len(block)
                match = _REQUEST.match(block)
                line = f"{match[1].decode()} {match[2].decode()}" if match else ""
                if line:
                    self.asked.append(line)
                    self.before(line)
                server.sendall(block)
                if line:
                    self.after(line)
            server.shutdown(socket.SHUT_WR)

    def _down(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while block := server.recv(65536):
                self.got_bytes += len(block)
                self.answered(self.asked[-1] if self.asked else "")
                client.sendall(block)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)


@contextmanager
def watched(url: str) -> Iterator[WatchedLine]:
    """Run a line before the store at ``url``."""
    parts = urlsplit(url)
    line = WatchedLine((str(parts.hostname), int(parts.port or 80)))
    threading.Thread(target=line.serve, daemon=True).start()
    try:
        yield line
    finally:
        line.listener.close()
