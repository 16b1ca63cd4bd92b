"""A bad line: a proxy that breaks connections in the middle of what they carry."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class CuttingProxy:
    """Forwards TCP; the first ``cuts`` connections end after ``after_bytes`` one way."""

    target: tuple[str, int]
    after_bytes: int
    cuts: int
    upwards: bool
    """Whether what the client sends counts, instead of what it gets."""
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    asked: list[bytes] = field(default_factory=list)
    """The first bytes of every request that was seen."""
    done: int = 0
    """Connections that were cut."""

    @property
    def url(self) -> str:
        """Where clients are to go."""
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self) -> None:
        """Accept until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._forward, args=[client], daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        with client, socket.create_connection(self.target) as server:
            back = threading.Thread(target=self._carry, args=[server, client, not self.upwards])
            back.start()
            self._carry(client, server, self.upwards, self.asked)
            back.join(timeout=30)

    def _carry(
        self,
        source: socket.socket,
        target: socket.socket,
        is_cut: bool,
        seen: list[bytes] | None = None,
    ) -> None:
        carried = 0
        with suppress(OSError):
            while block := source.recv(65536):
                if seen is not None:
                    seen.append(block[:4096])
                if is_cut and carried + len(block) > self.after_bytes and self.done < self.cuts:
                    self.done += 1
                    target.sendall(block[: max(0, self.after_bytes - carried)])
                    for end in (source, target):
                        end.shutdown(socket.SHUT_RDWR)
                    return
                target.sendall(block)
                carried += len(block)
            target.shutdown(socket.SHUT_WR)


@contextmanager
def bad_line(
    url: str, *, after_bytes: int, cuts: int, upwards: bool = False
) -> Iterator[CuttingProxy]:
    """Run a proxy before the store at ``url``."""
    parts = urlsplit(url)
    proxy = CuttingProxy((str(parts.hostname), int(parts.port or 80)), after_bytes, cuts, upwards)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    yield proxy
    proxy.listener.close()
