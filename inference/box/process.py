"""Starts a box's process and moves frames: the one place that touches its pipes.

Everything read here is hostile until :func:`inference.box.protocol.parse_event` has passed it.
"""

import contextlib
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from inference.box.errors import (
    BoxBrokeProtocolError,
    BoxCrashedError,
    BoxMemoryError,
    BoxTimeoutError,
)
from inference.box.limits import MIB
from inference.box.protocol import (
    HEADER,
    MAX_EVENT_BYTES,
    WARM,
    Event,
    FrameError,
    parse_event,
)
from inference.box.setup import CODE_ROOT

CHILD_MODULE = "inference.box.child"
_DRAIN_READS = 64
_TAIL_BYTES = 8 * 1024
"""Last words of the child that are kept for the log."""
_WATCH_S = 0.25
"""Time between two looks at the memory while waiting."""
_READ_BYTES = 64 * 1024
_SEND_S = 10.0
"""Longest a request may wait in a full pipe, in seconds."""


_Child = subprocess.Popen[bytes]
_Job = tuple[Callable[[], _Child], Future[_Child]]


class _Starter:
    """Starts processes from one thread that lives as long as this process.

    The kernel ends a box when the *thread* that started it ends (``PR_SET_PDEATHSIG``); a pool's
    threads come and go. A fork of this process gets a thread of its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner_pid = 0
        self._jobs: queue.SimpleQueue[_Job]

    def start(self, job: Callable[[], _Child]) -> _Child:
        with self._lock:
            if self._owner_pid != os.getpid():
                self._jobs = queue.SimpleQueue()
                threading.Thread(target=self._run, name="box starter", daemon=True).start()
                self._owner_pid = os.getpid()
        done: Future[_Child] = Future()
        self._jobs.put((job, done))
        return done.result(timeout=30)

    def _run(self) -> None:
        while True:
            job, done = self._jobs.get()
            try:
                done.set_result(job())
            except OSError as exc:
                done.set_exception(exc)


STARTER = _Starter()
"""Of this process; whatever ends with its starting thread is started by it."""


class BoxProcess:
    """A started child and its pipes.

    Args:
        environment: Its whole environment.
        memory_bytes: Memory of its own past which it is ended.
        module: What to run with ``python -m``; tests run others.
        code_root: Folder the module is found in.
        is_warm: Import torch first, while nothing is asked yet.
    """

    def __init__(
        self,
        *,
        environment: dict[str, str],
        memory_bytes: int,
        module: str = CHILD_MODULE,
        code_root: Path = CODE_ROOT,
        is_warm: bool = False,
    ) -> None:
        self._memory_bytes = memory_bytes
        self._send_lock = threading.Lock()
        self._buffer = bytearray()
        self._tail = bytearray()
        self._watch_at = 0.0
        self._popen = STARTER.start(
            lambda: subprocess.Popen(
                [sys.executable, "-s", "-B", "-m", module, *([WARM] if is_warm else [])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                cwd=code_root,
                close_fds=True,
                start_new_session=True,
                bufsize=0,
            )
        )
        self._open = [self._fileno("stdout"), self._fileno("stderr")]
        os.set_blocking(self._fileno("stdin"), False)

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._popen.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self._popen.poll() is None

    @property
    def last_words(self) -> str:
        """End of what it wrote to standard error. A stranger's words: for the log only."""
        return self._tail.decode("utf-8", "replace")

    def _fileno(self, name: str) -> int:
        stream = getattr(self._popen, name)
        return int(stream.fileno())

    def send(self, frame: bytes) -> None:
        """Write one frame; any thread may.

        Raises:
            BoxCrashedError: nobody is there to read.
            BoxTimeoutError: nobody reads for :data:`_SEND_S` seconds; the process is ended.
        """
        deadline = time.monotonic() + _SEND_S
        view = memoryview(frame)
        with self._send_lock:
            while view:
                try:
                    view = view[os.write(self._fileno("stdin"), view) :]
                except BlockingIOError:
                    self._wait_writable(deadline)
                except (BrokenPipeError, ValueError) as exc:
                    raise self.crashed() from exc

    def _wait_writable(self, deadline: float) -> None:
        poll = select.poll()
        poll.register(self._fileno("stdin"), select.POLLOUT)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            self.kill()
            raise BoxTimeoutError(
                "The model's process takes no requests and was ended.", detail=self.last_words
            )

    def receive(self, deadline: float, what: str) -> Event:
        """Return the next event, or end the process.

        Args:
            deadline: ``time.monotonic()`` by which it must be there.
            what: What is waited for, for the message.

        Raises:
            BoxTimeoutError: not there in time.
            BoxMemoryError: the process grew past its limit.
            BoxCrashedError: the process ended.
            BoxBrokeProtocolError: it said something it may not say.
        """
        while (frame := self._next_frame()) is None:
            self._watch_memory()
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                self.kill()
                raise BoxTimeoutError(
                    f"The model took too long ({what}) and was ended.", detail=self.last_words
                )
            self._read_some(min(left_s, _WATCH_S))
        try:
            return parse_event(frame)
        except FrameError as exc:
            self.kill()
            raise BoxBrokeProtocolError(
                "The model's process said something it may not say and was ended.",
                detail=str(exc),
            ) from exc

    def _next_frame(self) -> bytes | None:
        if len(self._buffer) < HEADER.size:
            return None
        (length,) = HEADER.unpack_from(self._buffer)
        if length > MAX_EVENT_BYTES:
            self.kill()
            raise BoxBrokeProtocolError(
                "The model's process said something too long and was ended.",
                detail=f"{length} bytes",
            )
        end = HEADER.size + length
        if len(self._buffer) < end:
            return None
        frame = bytes(self._buffer[HEADER.size : end])
        del self._buffer[:end]
        return frame

    def _read_some(self, wait_s: float) -> None:
        poll = select.poll()
        for descriptor in self._open:
            poll.register(descriptor, select.POLLIN)
        stdout = self._fileno("stdout")
        for descriptor, _ in poll.poll(wait_s * 1000):
            chunk = os.read(descriptor, _READ_BYTES)
            if descriptor == stdout and not chunk:
                raise self.crashed()
            if descriptor == stdout:
                self._buffer += chunk
            elif chunk:
                self._tail = (self._tail + chunk)[-_TAIL_BYTES:]
            else:
                self._open.remove(descriptor)

    def crashed(self) -> BoxCrashedError:
        """Collect the dead (or silent) process and say how it ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(timeout=2)
        code = self._popen.poll()
        self._drain_stderr()
        self.kill()
        how = "stopped answering" if code is None else _ending(code)
        return BoxCrashedError(f"The model's process {how}.", detail=self.last_words, ending=how)

    def _drain_stderr(self) -> None:
        stderr = self._fileno("stderr")
        poll = select.poll()
        if stderr in self._open:
            poll.register(stderr, select.POLLIN)
            for _ in range(_DRAIN_READS):  # one that lives may write for ever
                if not poll.poll(0) or not (chunk := os.read(stderr, _READ_BYTES)):
                    break
                self._tail = (self._tail + chunk)[-_TAIL_BYTES:]

    def _watch_memory(self) -> None:
        now = time.monotonic()
        if now < self._watch_at:  # tokens come faster than memory grows
            return
        self._watch_at = now + _WATCH_S
        used = self.own_bytes()
        if used > self._memory_bytes:
            self.kill()
            raise BoxMemoryError(
                f"The model needs more than the {self._memory_bytes // MIB} MiB a box may use.",
                limit_bytes=self._memory_bytes,
            )

    def own_bytes(self) -> int:
        """Memory the process holds for itself, in bytes; 0 once it is gone. Not files it maps."""
        return sum(self._status_bytes("RssAnon", "RssShmem"))

    def rss_bytes(self) -> int:
        """All memory of the process that is in RAM, in bytes; 0 once it is gone."""
        return sum(self._status_bytes("VmRSS"))

    def _status_bytes(self, *fields: str) -> list[int]:
        try:
            lines = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines()
        except OSError:
            return []
        pairs = (line.split(":", 1) for line in lines if ":" in line)
        return [int(value.split()[0]) * 1024 for name, value in pairs if name in fields]

    def kill(self) -> None:
        """End the process and everything in its session, at once and for sure; any thread may."""
        if self._popen.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._popen.wait(timeout=30)

    def close(self) -> None:
        """End the process and let its pipes go. Only once nothing reads or writes any more."""
        self.kill()
        for stream in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if stream is not None:
                stream.close()


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended by itself with status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was ended by {name}"
