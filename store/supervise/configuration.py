"""Supervisor's configuration file, written anew at each start."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from store.supervise.errors import UnusablePathError
from store.supervise.table import ROOT, Plan, Process

GROUP = "store"
"""All processes are one group, so that they are told to stop at the same time."""

STEADY_S = 5
"""Who lives this long counts as started; who does not is tried again, up to ``TRIES`` times."""
TRIES = 3

_CELERY_ON_ROOT = "You're running the worker with superuser privileges"

LOG_BYTES = 10 * 1024**2
LOG_COPIES = 3


def write_configuration(plan: Plan) -> Path:
    """Write the configuration of ``plan`` into its run folder and return its path.

    Raises:
        UnusablePathError: a path or an argument cannot be expressed in the file.
    """
    sections = [_general(plan.run_dir), _group(plan.processes)]
    sections += [_program(process, plan.run_dir) for process in plan.processes]
    path = plan.run_dir / "supervisord.conf"
    path.write_text("\n".join(sections))
    return path


def tether() -> tuple[str, ...]:
    """Return the command prefix that ties a process to the supervisor's life.

    The kernel sends it SIGTERM when the supervisor dies, even by SIGKILL (PR_SET_PDEATHSIG,
    prctl(2)). Empty where ``setpriv`` cannot do that.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return ()
    prefix = (setpriv, "--pdeathsig", "TERM")
    probe = subprocess.run([*prefix, "true"], capture_output=True, timeout=30, check=False)
    return prefix if probe.returncode == 0 else ()


def _general(run_dir: Path) -> str:
    settings = {
        "nodaemon": "true",
        "silent": "true",  # what matters is told in our own words, see ``terminal``
        "logfile": str(run_dir / "supervisord.log"),
        "logfile_maxbytes": str(LOG_BYTES),
        "logfile_backups": "1",
        "pidfile": str(run_dir / "supervisord.pid"),
        "childlogdir": str(run_dir / "logs"),
    }
    if os.geteuid() == 0:
        settings["user"] = "0"  # stay who we are, and do not warn about it
    return _section("supervisord", settings)


def _group(processes: tuple[Process, ...]) -> str:
    return _section(f"group:{GROUP}", {"programs": ",".join(each.name for each in processes)})


def _program(process: Process, run_dir: Path) -> str:
    environment = [f"{name}={value}" for name, value in process.environment.items()]
    environment.append("PYTHONUNBUFFERED=1")
    if os.geteuid() == 0:  # said once, in our own words, instead of by each worker in eight lines
        given = os.environ.get("PYTHONWARNINGS", "")
        environment.append(f"PYTHONWARNINGS={given},ignore:{_CELERY_ON_ROOT}".replace("=,", "="))
    settings = {
        "command": shlex.join([*tether(), "env", *environment, *process.command]),
        "directory": str(ROOT),
        "autostart": "false" if process.is_patient else "true",
        "autorestart": "false" if process.is_once else "true",
        "startsecs": "0" if process.is_once else str(STEADY_S),
        "startretries": str(TRIES),
        "stopsignal": "TERM",
        "stopwaitsecs": str(process.stop_wait_s),
        "killasgroup": "true",
        "redirect_stderr": "true",
        # The library expands this one value twice.
        "stdout_logfile": str(run_dir / "logs" / f"{process.name}.log").replace("%", "%%"),
        "stdout_logfile_maxbytes": str(LOG_BYTES),
        "stdout_logfile_backups": str(LOG_COPIES),
        "stdout_events_enabled": "true",
    }
    return _section(f"program:{process.name}", settings)


def _section(name: str, settings: dict[str, str]) -> str:
    lines = [f"{key} = {_escaped(value)}" for key, value in settings.items()]
    return "\n".join([f"[{name}]", *lines, ""])


def _escaped(value: str) -> str:
    """Protect ``value`` from being expanded; comments and line ends cannot be protected."""
    if re.search(r"[\r\n\0]|\s[;#]", value):
        raise UnusablePathError(
            f"The supervisor's configuration cannot hold {value!r}. Move the store or its data "
            "folder to a path without line ends and without ';' or '#' after a space."
        )
    return value.replace("%", "%%")
