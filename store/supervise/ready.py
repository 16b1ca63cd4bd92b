"""Waits until the store is ready, then tells a newcomer what to do with it. Runs once."""

import http.client
import json
import sys
import time
from pathlib import Path

from store.env import read_env
from store.supervise.table import ROOT

PATIENCE_S = 120.0


def main() -> None:
    """Wait for the web server of the current settings and print the banner."""
    env = read_env()
    reason = await_ready(env.host, env.port)
    if reason:
        sys.stdout.write(f"not ready after {PATIENCE_S:.0f} s: {reason}\n")
        return
    sys.stdout.write(banner(env.host, env.port, (ROOT / env.data_dir).resolve()))


def await_ready(host: str, port: int) -> str:
    """Ask ``/readyz`` until it answers 200; return why not when patience is over."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        reason = ask(host, port)
        if not reason or time.monotonic() > deadline:
            return reason
        time.sleep(0.1)


def ask(host: str, port: int) -> str:
    """Return what is missing according to ``/readyz``; empty when nothing is."""
    try:
        status, body = _get(host, port, "/readyz")
    except (OSError, http.client.HTTPException) as exc:
        return f"no answer from {host}:{port} ({exc})"
    if status == http.client.OK:
        return ""
    try:
        checks = json.loads(body)["checks"].items()
        return "; ".join(f"{name}: {result}" for name, result in checks if result != "ok")
    except (ValueError, LookupError, AttributeError, TypeError):
        return f"status {status}"


def banner(host: str, port: int, data_dir: Path) -> str:
    """Return the address, who may log in, and three commands to try."""
    address = f"http://{reachable(host)}:{port}"
    lines = ["", f"The store is ready: {address}", ""]
    if people := demo_people(data_dir):
        lines += ["Log in as", *(f"  {person}" for person in people), ""]
    lines += [
        "Try",
        f"  curl '{address}/api/models?limit=3'",
        f"  HF_ENDPOINT={address} hf download {some_model(host, port)}",
        "  .venv/bin/python manage.py adduser NAME --email E --password P --token write",
        "",
        "Ctrl-C stops everything.",
    ]
    return "\n".join([*lines, ""])


def demo_people(data_dir: Path) -> list[str]:
    """Return the demo log-ins, as ``load_demo`` noted them in ``demo-logins.json``.

    The file is a list of objects with ``name``, ``password`` and ``role``.
    """
    try:
        people = json.loads((data_dir / "demo-logins.json").read_text())
        return [f"{each['name']} / {each['password']}  ({each['role']})" for each in people]
    except (OSError, ValueError, LookupError, TypeError):
        return []


def some_model(host: str, port: int) -> str:
    """Return the id of a model anybody may have for nothing, or a placeholder without one."""
    try:
        found = json.loads(_get(host, port, "/api/v1/models?limit=20")[1])["results"]
        return str(next(each["id"] for each in found if not each["prices"]))
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError, StopIteration):
        return "OWNER/NAME"


def reachable(host: str) -> str:
    """Return where a program on this machine finds a server that listens on ``host``."""
    found = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - replaced
    return f"[{found}]" if ":" in found else found


def _get(host: str, port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(reachable(host).strip("[]"), port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(1024**2)
    finally:
        connection.close()


if __name__ == "__main__":
    main()
