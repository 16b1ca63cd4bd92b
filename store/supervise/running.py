"""The run itself: engines, preparation, supervision, and a clean end."""

import contextlib
import errno
import fcntl
import os
import socket
import subprocess
import time
from collections.abc import Iterator

from supervisor import events
from supervisor.medusa.asyncore_25 import ExitNow
from supervisor.options import ServerOptions
from supervisor.process import ProcessGroup, Subprocess
from supervisor.states import SupervisorStates
from supervisor.supervisord import Supervisor

from store import engines
from store.supervise import configuration
from store.supervise.configuration import tether, write_configuration
from store.supervise.errors import AlreadyRunningError, PortTakenError, PrepareError
from store.supervise.table import ROOT, Plan, Process
from store.supervise.terminal import Terminal

SELF = "store"
"""Name under which the supervisor itself speaks."""

PORT_PATIENCE_S = 10.0
"""After a kill -9 of the supervisor the old web server needs a moment to let go of the port."""


def run(plan: Plan, terminal: Terminal | None = None) -> int:
    """Run the store until it is told to stop (SIGINT, SIGTERM, SIGHUP) or fails.

    Args:
        plan: What to run.
        terminal: Where the merged log goes; standard output if not given.

    Returns:
        0 after a stop that was asked for, 1 when a process kept ending.

    Raises:
        AlreadyRunningError: another supervisor holds this data folder.
        PortTakenError: something else listens on the port.
        PrepareError: the preparation failed.
        EngineError: the embedded engines could not be had.
    """
    names = [SELF, *(process.name for process in plan.processes)]
    terminal = terminal or Terminal(names)
    (plan.run_dir / "logs").mkdir(parents=True, exist_ok=True)
    plan.run_dir.chmod(0o700)
    with _alone(plan):
        await_port(plan.host, plan.port)
        if os.geteuid() == 0:
            terminal.say(SELF, "running as root; any user of the machine would do")
        with engines.hold(
            plan.data_dir,
            postgres=plan.needs_postgres,
            valkey=plan.needs_valkey,
            durable=plan.are_engines_durable,
        ) as held:
            if plan.prepare:
                _prepare(plan, terminal)
            status = _supervise(plan, terminal, held)
            terminal.say(SELF, "stopping the engines")
    terminal.say(SELF, "stopped")
    return status


def await_port(host: str, port: int) -> None:
    """Wait until ``host:port`` is free.

    Raises:
        PortTakenError: it is not free after ``PORT_PATIENCE_S``, or is no address of this machine.
    """
    deadline = time.monotonic() + PORT_PATIENCE_S
    while True:
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE and time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            raise PortTakenError(
                f"The web server cannot listen on {host}:{port}: {exc.strerror}. Choose another "
                f"port (PORT={port + 1} make run) or end the program that uses it.",
                port=port,
            ) from exc
        return


@contextlib.contextmanager
def _alone(plan: Plan) -> Iterator[None]:
    """Hold the run lock of the data folder; the kernel drops it when we die."""
    path = plan.run_dir / "store.lock"
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            file.seek(0)
            raise AlreadyRunningError(
                f"The store of {plan.data_dir} is running already ({file.read().strip()}). "
                "Stop it first, or choose another folder with STORE_DATA_DIR."
            ) from exc
        file.truncate(0)
        file.write(f"process {os.getpid()}, http://{plan.host}:{plan.port}")
        file.flush()
        yield


def _prepare(plan: Plan, terminal: Terminal) -> None:
    """Run the preparation and show what it says."""
    with subprocess.Popen(
        [*tether(), *plan.prepare],
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C is ours to pass on
    ) as child:
        try:
            assert child.stdout is not None  # noqa: S101 - asked for above
            for line in child.stdout:
                terminal.feed(SELF, line)
        except BaseException:
            child.terminate()
            raise
    if child.returncode != 0:
        raise PrepareError(
            "The store could not be prepared (see the lines above). Nothing was started."
        )


def _supervise(plan: Plan, terminal: Terminal, held: engines.Hold) -> int:
    options = ServerOptions()
    options.realize(["-n", "-c", str(write_configuration(plan))], doc="")
    options.first = True
    options.test = False
    supervisor = StoreSupervisor(options, plan, terminal, held)
    with contextlib.suppress(ExitNow):
        supervisor.main()
    options.close_logger()
    return 1 if supervisor.culprit else 0


class StoreSupervisor(Supervisor):  # type: ignore[misc] # the library is untyped
    """Supervisor that shows its children's lines and ends when one of them cannot be kept up.

    It runs in this process rather than as a program beside it: the library's own events then
    reach us as calls, and one process holds the engines, the lock and the children.
    """

    culprit: str | None = None
    """The process that kept ending, or ``engines``; ``None`` while all is well."""

    def __init__(
        self, options: ServerOptions, plan: Plan, terminal: Terminal, held: engines.Hold
    ) -> None:
        super().__init__(options)
        self._held = held
        self._plan = plan
        self._rows = {row.name: row for row in plan.processes}
        self._terminal = terminal

    def runforever(self) -> None:
        """Listen to the children, then run as the library does. It has just cleared its events."""
        events.subscribe(events.ProcessLogStdoutEvent, self._on_output)
        for ended in (
            events.ProcessStateExitedEvent,
            events.ProcessStateBackoffEvent,
            events.ProcessStateStoppedEvent,
        ):
            events.subscribe(ended, self._on_end)
        events.subscribe(events.ProcessStateExitedEvent, self._on_exited)
        events.subscribe(events.ProcessStateBackoffEvent, self._on_backoff)
        events.subscribe(events.ProcessStateFatalEvent, self._on_fatal)
        events.subscribe(events.SupervisorStoppingEvent, self._on_stopping)
        events.subscribe(events.Tick5Event, self._on_tick)
        super().runforever()

    def _on_output(self, event: events.ProcessLogStdoutEvent) -> None:
        self._terminal.feed(event.process.config.name, event.data)

    def _on_end(self, event: events.ProcessStateEvent) -> None:
        """Show the last words and close the log file, which the library leaves to chance."""
        self._terminal.flush(event.process.config.name)
        for dispatcher in event.process.dispatchers.values():
            if log := getattr(dispatcher, "normallog", None):
                log.close()

    def _on_exited(self, event: events.ProcessStateExitedEvent) -> None:
        process = event.process
        if self._row(process).is_once:
            self._start_patient(process.group)
            return
        how = "was killed" if process.exitstatus == -1 else f"ended with {process.exitstatus}"
        self._terminal.say(SELF, f"{process.config.name} {how}; starting it again")

    def _on_backoff(self, event: events.ProcessStateBackoffEvent) -> None:
        process = event.process
        self._terminal.say(
            SELF,
            f"{process.config.name} ended right after its start (try {process.backoff} of "
            f"{configuration.TRIES + 1})",
        )

    def _on_fatal(self, event: events.ProcessStateFatalEvent) -> None:
        self.culprit = event.process.config.name
        log = self._plan.run_dir / "logs" / f"{self.culprit}.log"
        self._terminal.say(SELF, f"{self.culprit} keeps ending, so the store stops. See {log}")
        self.options.mood = SupervisorStates.SHUTDOWN

    def _on_tick(self, _event: events.Tick5Event) -> None:
        """Every 5 s: an engine that was killed (by the memory's guardian, say) comes back."""
        try:
            for name in self._held.revive():
                self._terminal.say(SELF, f"the embedded {name} had died and was started again")
        except engines.EngineError as exc:
            self.culprit = "engines"
            self._terminal.say(SELF, f"{exc.message}\nWithout it the store stops.")
            self.options.mood = SupervisorStates.SHUTDOWN

    def _on_stopping(self, _event: events.SupervisorStoppingEvent) -> None:
        self._terminal.say(SELF, "stopping; running work is finished first")

    def _start_patient(self, group: ProcessGroup) -> None:
        for process in group.processes.values():
            if self._row(process).is_patient and not process.laststart:
                process.spawn()

    def _row(self, process: Subprocess) -> Process:
        return self._rows[process.config.name]

    def handle_signal(self) -> None:
        """Treat SIGHUP, which a closed terminal sends, like any other request to stop."""
        super().handle_signal()
        if self.options.mood == SupervisorStates.RESTARTING:
            self.options.mood = SupervisorStates.SHUTDOWN
