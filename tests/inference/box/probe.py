"""A child that locks itself in like the real one and then tries to break out, or misbehaves.

Started by tests as ``python -m tests.inference.box.probe``. What to try stands in ``plan.json`` of
the model folder; the findings come back as the text of an error event.
"""

import contextlib
import ctypes
import io
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inference.box import protocol
from inference.box.child import EventWriter, read_request
from inference.box.hardening import lock_in


def attempt(action: Callable[[], Any]) -> str:
    """What came of it: ``done: …`` or the kind of refusal."""
    try:
        return f"done: {str(action())[:100]}"
    except OSError as exc:
        return type(exc).__name__
    except RuntimeError as exc:
        return f"RuntimeError: {exc}"


def connect_tcp(port: int) -> Callable[[], Any]:
    return lambda: socket.create_connection(("127.0.0.1", port), timeout=2)


def connect_unix(path: str) -> Callable[[], Any]:
    def run() -> None:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)

    return run


def write(path: str) -> Callable[[], Any]:
    return lambda: Path(path).write_text("x")


def call(number: int, *args: int) -> Callable[[], Any]:
    def run() -> int:
        libc = ctypes.CDLL(None, use_errno=True)
        result = int(libc.syscall(number, *args))
        if result < 0:
            raise OSError(ctypes.get_errno(), "refused")
        return result

    return run


def run_thread() -> str:
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append("thread ran"))
    thread.start()
    thread.join()
    return said[0]


def escapes(plan: dict[str, Any]) -> dict[str, str]:
    """Try the ways out; see test_locked_in for what is expected."""
    parent = os.getppid()
    found = {
        "tcp": connect_tcp(plan["port"]),
        "unix": connect_unix(plan["unix"]),
        "read own": lambda: Path(plan["own"]).read_text(),
        "read neighbor": lambda: Path(plan["neighbor"]).read_text(),
        "list neighbor": lambda: os.listdir(Path(plan["neighbor"]).parent),
        "read project": lambda: Path(plan["project"]).read_text()[:20],
        "parent environ": lambda: Path(f"/proc/{parent}/environ").read_bytes(),
        "parent memory": lambda: Path(f"/proc/{parent}/mem").open("rb"),
        "init environ": lambda: Path("/proc/1/environ").read_bytes(),
        "passwords": lambda: Path("/etc/shadow").read_text(),
        "write own": write(plan["own"]),
        "write tmp": write("/tmp/probe-was-here"),  # noqa: S108
        "program": lambda: subprocess.run(["/bin/true"], check=True),
        "fork": os.fork,
        "signal parent": lambda: os.kill(parent, 0),
        "ptrace": call(101, 16, parent, 0, 0),
        "io_uring": call(425, 8, 0),
        "new namespace": call(272, 0x10000000),
        "mount": call(165, 0, 0, 0, 0, 0),
        "lasting memory": call(29, 0, 1 << 20, 0o1600),
        "lasting messages": call(68, 0, 0o1600),
        "thread": run_thread,
    }
    return {name: attempt(action) for name, action in found.items()}


def surroundings(plan: dict[str, Any]) -> dict[str, Any]:
    """What is visible without trying anything."""
    status = Path("/proc/self/status").read_text().splitlines()
    lines = {line.split(":")[0]: line.split(":")[1].strip() for line in status if ":" in line}
    links = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")[:-1]]
    return {
        "environ": Path("/proc/self/environ").read_text(),
        "argv": Path("/proc/self/cmdline").read_text(),
        "cwd": os.getcwd(),
        "pipes_only": all(link.startswith("pipe:") for link in links),
        "caps": lines["CapEff"] + lines["CapPrm"] + lines["CapBnd"],
        "nnp": lines["NoNewPrivs"],
        "seccomp": lines["Seccomp"],
        "uid": os.getuid(),
        "sid": os.getsid(0) == os.getpid(),
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        "fsize": resource.getrlimit(resource.RLIMIT_FSIZE),
        "data": resource.getrlimit(resource.RLIMIT_DATA),
    }


def grow(plan: dict[str, Any]) -> dict[str, Any]:
    """Take memory until something stops it."""
    held = []
    try:
        for _ in range(plan["mib"] // 16):
            held.append(bytearray(b"x" * (16 << 20)))
            time.sleep(plan.get("pause_s", 0))
    except MemoryError:
        held.clear()
        return {"stopped": "MemoryError"}
    return {"stopped": "never"}


def main() -> None:
    """Lock in, read the plan, do it."""
    out = os.fdopen(os.dup(1), "wb")
    requests = io.FileIO(0, closefd=False)
    writer = EventWriter(out)
    setup = read_request(requests)
    assert isinstance(setup, protocol.SetupRequest)
    os.chdir("/")
    protection = lock_in(setup)
    writer.send(protocol.HelloEvent(protection=protection))
    request = read_request(requests)
    assert isinstance(request, protocol.LoadRequest)
    plan = json.loads((Path(request.model_dir) / "plan.json").read_text())
    act = plan["act"]
    findings = {"escapes": escapes, "surroundings": surroundings, "grow": grow}
    if act in findings:
        text = json.dumps(findings[act](plan))
        pieces = [text[at : at + 900] for at in range(0, len(text), 900)]
        code = "probe_last" if len(pieces) == 1 else "probe"
        writer.send(protocol.ErrorEvent(code=code, message=pieces[0]))
        for at, piece in enumerate(pieces[1:], 2):
            code = "probe_last" if at == len(pieces) else "probe"
            writer.send(protocol.ErrorEvent(code=code, message=piece))
        requests.read()
    misbehave(plan, writer, out, requests)


def steal(plan: dict[str, Any]) -> str:
    """Try what a thief would and return the loot; raises where there is none."""
    wanted: dict[str, Callable[[], Any]] = {
        f"read {path}": lambda path=path: Path(path).read_text() for path in plan.get("read", [])
    }
    wanted |= {f"connect {path}": connect_unix(path) for path in plan.get("connect", [])}
    wanted |= {
        "environ of the worker": lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes(),
        "internet": connect_tcp(plan.get("port", 9)),
        "fork": os.fork,
        "program": lambda: subprocess.run(["/bin/true"], check=True),
        "signal": lambda: os.kill(os.getppid(), 0),
    }
    found = {name: attempt(action) for name, action in wanted.items()}
    loot = {name: result for name, result in found.items() if result.startswith("done")}
    if not loot:
        kinds = ", ".join(sorted(set(found.values())))
        raise PermissionError(f"{len(found)} ways out are closed ({kinds})")
    return json.dumps(loot)


def flood(out: Any) -> None:
    """Write until somebody stops it: events by the book, without an end."""
    token = protocol.TokenEvent(id="x", sequence=0, number=0, token_id=1, text="y" * 1000)
    piece = protocol.pack(token) * 100
    while True:
        out.write(piece)
        out.flush()


def flood_errors(out: Any, *, do_close: bool) -> None:
    """Write to standard error until somebody stops it, with or without a word in between."""
    if do_close:
        out.close()
        os.close(1)
    while True:
        os.write(2, b"z" * 65536)


def loop() -> None:
    """Compute for ever."""
    while True:
        pass


_NONSENSE = {"babble": struct.pack(">I", 5) + b"hello", "long": struct.pack(">I", 1 << 30)}


def misbehave(plan: dict[str, Any], writer: EventWriter, out: Any, requests: io.FileIO) -> None:
    """Everything a hostile child may do on its pipes."""
    act = plan["act"]
    if act == "hang":
        time.sleep(600)
    if act == "exit":
        os._exit(3)
    if act == "abort":
        print("last words", file=sys.stderr, flush=True)
        os.abort()
    if act == "close output":
        out.close()
        os.close(1)
        time.sleep(600)
    if act in _NONSENSE:
        out.write(_NONSENSE[act])
        out.flush()
        time.sleep(600)
    if act == "close errors":
        os.close(2)
        time.sleep(0.2)
        os._exit(4)
    if act.endswith("flood errors"):
        flood_errors(out, do_close=act.startswith("close"))
    if act == "out of turn":
        writer.send(protocol.PongEvent())
        time.sleep(600)
    serve(plan, writer, requests, out)


def loaded() -> protocol.LoadedEvent:
    return protocol.LoadedEvent(
        architecture="Probe",
        model_type="probe",
        parameters=0,
        context_tokens=1,
        vocabulary=1,
        format="gguf",
        dtype="none",
        device="cpu",
        load_s=0.0,
        rss_bytes=0,
    )


def serve(plan: dict[str, Any], writer: EventWriter, requests: io.FileIO, out: Any) -> None:
    """Say that a model is loaded, then answer generations by the book, or wrongly."""
    act = plan["act"]
    writer.send(loaded())
    if act == "deaf":
        time.sleep(600)
    while (request := read_request(requests)) is not None:
        if isinstance(request, protocol.PingRequest):
            writer.send(loaded() if act == "wrong pong" else protocol.PongEvent())
        if isinstance(request, protocol.GenerateRequest):
            with contextlib.suppress(BrokenPipeError):
                attack(plan, out)
                answer(plan, writer, request)


def attack(plan: dict[str, Any], out: Any) -> None:
    """What a model may do to the machine once somebody asks it something."""
    act = plan["act"]
    if act == "flood":
        flood(out)
    if act == "loop":
        loop()
    if act == "allocate":
        held = []
        while True:
            held.append(bytearray(b"x" * (16 << 20)))
    if act == "fork":
        os.fork()
    if act == "crash":
        ctypes.string_at(0)


def answer(plan: dict[str, Any], writer: EventWriter, request: protocol.GenerateRequest) -> None:
    """One generation of two tokens, with one thing wrong if the plan's act says so."""
    name, act = request.id, plan["act"]
    if act == "steal":
        try:
            loot = steal(plan)
        except PermissionError as error:
            writer.send(protocol.ErrorEvent(id=name, code="cannot_generate", message=str(error)))
            return
        writer.send(protocol.StartedEvent(id=name, prompt_tokens=1, max_new_tokens=1))
        writer.send(protocol.TokenEvent(id=name, sequence=0, number=0, token_id=1, text=loot))
    if act == "die in answer":
        os.kill(os.getpid(), signal.SIGKILL) if hasattr(os, "fork_refused") else os.abort()
    if act == "refuse":
        writer.send(protocol.ErrorEvent(id=name, code="cannot_generate", message="will not"))
        return
    started = protocol.StartedEvent(id=name, prompt_tokens=1, max_new_tokens=1)
    token = protocol.TokenEvent(id=name, sequence=0, number=0, token_id=1, text="t")
    ended = protocol.EndedEvent(id=name, sequence=0, finish_reason="stop", new_tokens=1, text="")
    done = protocol.DoneEvent(
        id=name, prompt_tokens=1, new_tokens=1, first_token_s=0, generate_s=0, rss_bytes=0
    )
    events: dict[str, list[protocol.Event]] = {
        "no start": [token],
        "two starts": [started, started],
        "too much room": [started.model_copy(update={"max_new_tokens": 4096})],
        "other id": [started, token.model_copy(update={"id": "another"})],
        "skips": [started, token.model_copy(update={"number": 1})],
        "repeats": [started, token, token],
        "other sequence": [started, token.model_copy(update={"sequence": 1})],
        "after the end": [started, token, ended, ended],
        "done too early": [started, token, done],
        "miscounts": [started, token, ended.model_copy(update={"new_tokens": 0})],
        "wrong sum": [started, token, ended, done.model_copy(update={"new_tokens": 9})],
        "stalls": [started, token],
    }
    for event in events.get(act, [started, token, ended, done]):
        writer.send(event)
    if act == "stalls":
        time.sleep(600)


if __name__ == "__main__":
    main()
