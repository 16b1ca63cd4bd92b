"""The parts of the supervisor: the table, its configuration, the terminal, the banner."""

import io
import json
import os
import runpy
import shlex
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from supervisor.options import ServerOptions

from store.env import Env, read_env
from store.supervise import __main__ as command
from store.supervise import configuration, prepare, ready
from store.supervise.errors import AlreadyRunningError, UnusablePathError
from store.supervise.prepare import Step
from store.supervise.table import ROOT, Plan, Process, plan
from store.supervise.terminal import Terminal
from tests.store.supervise_lab import free_port

ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - never bound here


def test_the_real_plan_follows_the_settings(tmp_path: Path) -> None:
    made = plan(Env(data_dir=tmp_path, port=8123, host=ANY_ADDRESS))

    assert (made.data_dir, made.host, made.port) == (tmp_path, ANY_ADDRESS, 8123)
    assert (made.needs_postgres, made.needs_valkey, made.are_engines_durable) == (True, True, True)
    assert made.prepare == (sys.executable, "-m", "store.supervise.prepare")
    assert made.run_dir == tmp_path / "run"


def test_a_relative_data_folder_lies_in_the_checkout() -> None:
    assert plan(Env(data_dir=Path("var"))).data_dir == ROOT / "var"
    assert (ROOT / "store/supervise/table.py").is_file()


def test_engines_a_site_brings_are_not_started() -> None:
    made = plan(Env(database_url="postgres://db/store"))
    assert (made.needs_postgres, made.needs_valkey) == (False, True)

    made = plan(Env(redis_url="redis://queue/0"))
    assert (made.needs_postgres, made.needs_valkey) == (True, False)


def test_the_table_runs_each_role_once(tmp_path: Path) -> None:
    table = {process.name: process for process in plan(Env(data_dir=tmp_path)).processes}

    assert list(table) == ["web", "worker", "inference", "beat", "ready"]
    assert table["web"].command[1:3] == ("-m", "gunicorn")
    assert table["web"].command[-1] == "store.wsgi:application"
    assert "--queues=default,scan" in table["worker"].command
    assert "--queues=inference" in table["inference"].command
    assert "--pool=threads" in table["inference"].command
    assert table["inference"].environment == {"OMP_NUM_THREADS": "1"}
    assert f"--schedule={tmp_path}/run/beat-schedule" in table["beat"].command
    assert [name for name, process in table.items() if process.is_once] == ["ready"]
    assert table["worker"].stop_wait_s >= 60
    assert table["inference"].stop_wait_s >= 60


def test_the_configuration_says_what_the_table_says(tmp_path: Path) -> None:
    awkward = tmp_path / "50% off, my \"store\" 'it is'"
    rows = (
        Process("web", ("/bin/echo", "a b", "%h", 'say "x"', "%(here)s"), {"A": "1 %"}, 40),
        Process("ready", ("true",), is_once=True),
    )

    read = configured(Plan(data_dir=awkward, host="127.0.0.1", port=1, processes=rows))

    (group,) = read.process_group_configs
    web, once = group.process_configs
    assert group.name == "store"
    words = shlex.split(web.command)
    assert words[-5:] == ["/bin/echo", "a b", "%h", 'say "x"', "%(here)s"]
    assert words[-7:-5] == ["A=1 %", "PYTHONUNBUFFERED=1"]
    assert words[1:3] == ["--pdeathsig", "TERM"]
    assert (web.stopwaitsecs, web.killasgroup, web.redirect_stderr) == (40, True, True)
    assert web.stdout_logfile == str(awkward / "run/logs/web.log")
    assert web.stdout_logfile_maxbytes == 10 * 1024**2
    assert web.directory == str(ROOT)
    assert (web.startsecs, web.startretries) == (configuration.STEADY_S, configuration.TRIES)
    assert once.startsecs == 0
    assert str(once.autorestart) == "False"
    assert read.nodaemon
    assert read.silent


@pytest.mark.parametrize("path", ["a ;b", "a #b", "a\nb"])
def test_a_path_the_configuration_cannot_hold_is_refused(tmp_path: Path, path: str) -> None:
    bad = Plan(data_dir=tmp_path, host="", port=1, processes=(Process("web", ("echo", path)),))
    bad.run_dir.mkdir()

    with pytest.raises(UnusablePathError, match="Move the store or its data folder"):
        configuration.write_configuration(bad)

    assert list(bad.run_dir.iterdir()) == []


def test_an_ordinary_user_is_not_told_to_stay_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = Plan(data_dir=tmp_path, host="", port=1, processes=(Process("web", ("true",)),))
    empty.run_dir.mkdir()

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "user = " not in configuration.write_configuration(empty).read_text()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "user = 0\n" in configuration.write_configuration(empty).read_text()


def test_without_setpriv_processes_run_untethered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert configuration.tether()[1:] == ("--pdeathsig", "TERM")

    monkeypatch.setattr("shutil.which", lambda _name: "/bin/false")
    assert configuration.tether() == ()
    monkeypatch.setattr("shutil.which", lambda _name: None)
    assert configuration.tether() == ()


def test_lines_are_put_together_and_named() -> None:
    shown = io.StringIO()
    terminal = Terminal(["web", "worker"], shown)

    terminal.feed("web", b"one\ntw")
    terminal.feed("worker", "ü\n".encode())
    terminal.feed("web", b"o\r\n\nthree")
    terminal.flush("web")
    terminal.flush("web")
    terminal.say("worker", "a\nb")

    assert shown.getvalue() == (
        "web    | one\nworker | ü\nweb    | two\nweb    | \nweb    | three\n"
        "worker | a\nworker | b\n"
    )


def test_strangers_cannot_steer_the_terminal() -> None:
    shown = io.StringIO()

    Terminal(["web"], shown).feed(
        "web", b"\x1b]0;owned\x07 \xc2\x9b31m \xe2\x80\xaegpj.exe \xff\ttab\n"
    )

    assert shown.getvalue() == ("web | \\x1b]0;owned\\x07 \\x9b31m \\x202egpj.exe \ufffd\ttab\n")


def test_an_endless_line_is_shown_in_pieces() -> None:
    shown = io.StringIO()
    terminal = Terminal(["web"], shown)

    for _ in range(5):
        terminal.feed("web", b"x" * 10_000)
    terminal.flush("web")

    pieces = [len(line) - len("web | ") for line in shown.getvalue().splitlines()]
    assert pieces == [16_384, 16_384, 16_384, 848]


def test_names_are_colored_in_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    tty = Tty()
    Terminal(["web", "worker"], tty).say("worker", "hello")
    assert tty.getvalue() == "\x1b[33mworker |\x1b[0m hello\n"

    stranger = Tty()
    Terminal(["web"], stranger).say("else", "hello")
    assert stranger.getvalue() == "else | hello\n"

    monkeypatch.setenv("NO_COLOR", "1")
    plain = Tty()
    Terminal(["web"], plain).say("web", "hello")
    assert plain.getvalue() == "web | hello\n"


def test_steps_run_in_order_and_once_where_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    called: list[tuple[str, ...]] = []
    steps = (Step("migrate", ("--no-input",)), Step("load_demo", is_once=True))

    def call(*words: str) -> None:
        called.append(words)

    prepare.prepare(steps, tmp_path, call)
    prepare.prepare(steps, tmp_path, call)

    assert called == [("migrate", "--no-input"), ("load_demo",), ("migrate", "--no-input")]
    assert capsys.readouterr().out == "migrate: 0.0 s\nload_demo: 0.0 s\nmigrate: 0.0 s\n"


def test_a_step_that_fails_stops_the_rest_and_is_tried_again(tmp_path: Path) -> None:
    called: list[str] = []
    steps = (Step("load_demo", is_once=True), Step("later"))

    def call(name: str) -> None:
        called.append(name)
        if len(called) == 1:
            raise RuntimeError(name)

    with pytest.raises(RuntimeError):
        prepare.prepare(steps, tmp_path, call)
    assert called == ["load_demo"]

    prepare.prepare(steps, tmp_path, call)
    assert called == ["load_demo", "load_demo", "later"]


def test_the_demo_is_loaded_last_and_once() -> None:
    assert [(step.command, step.is_once) for step in prepare.STEPS] == [
        ("migrate", False),
        ("collectstatic", False),
        ("load_demo", True),
    ]


def test_preparing_uses_the_sites_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Any] = []
    monkeypatch.setattr("django.setup", lambda: seen.append("setup"))
    monkeypatch.setattr("django.conf.settings", SimpleNamespace(DATA_DIR=tmp_path))
    monkeypatch.setattr(prepare, "prepare", lambda *given: seen.append(given[:2]))

    prepare.main()

    assert seen == ["setup", (prepare.STEPS, tmp_path)]


Answers = dict[str, tuple[int, bytes]]


@pytest.fixture
def served() -> Iterator[Callable[[Answers], int]]:
    """Start a small web server with given answers; gives its port."""
    servers: list[ThreadingHTTPServer] = []

    def serve(answers: Answers) -> int:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = answers.get(self.path, (404, b""))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return int(server.server_address[1])

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_ready_means_status_200(served: Callable[[Answers], int]) -> None:
    assert ready.ask("127.0.0.1", served({"/readyz": (200, b"{}")})) == ""


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"checks": {"database": "ok", "worker": "none seen"}}', "worker: none seen"),
        (b'{"checks": {"a": "x", "b": "y"}}', "a: x; b: y"),
        (b"<html>", "status 503"),
        (b"[]", "status 503"),
        (b'{"checks": 3}', "status 503"),
    ],
)
def test_what_is_missing_is_named(
    served: Callable[[Answers], int], body: bytes, reason: str
) -> None:
    assert ready.ask(ANY_ADDRESS, served({"/readyz": (503, body)})) == reason


def test_no_server_is_named() -> None:
    port = free_port()

    assert ready.ask("127.0.0.1", port).startswith(f"no answer from 127.0.0.1:{port} (")


def test_the_banner_tells_how_to_begin(
    served: Callable[[Answers], int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    people = [{"name": "ada", "password": "try-me", "role": "publishes"}]
    (tmp_path / "demo-logins.json").write_text(json.dumps(people))
    port = served({"/readyz": (200, b""), "/api/models?limit=1": (200, b'[{"id": "demo/austen"}]')})
    monkeypatch.setattr(ready, "read_env", lambda: Env(data_dir=tmp_path, port=port))

    ready.main()

    said = capsys.readouterr().out
    assert f"The store is ready: http://127.0.0.1:{port}\n" in said
    assert "  ada / try-me  (publishes)\n" in said
    assert f"  HF_ENDPOINT=http://127.0.0.1:{port} hf download demo/austen\n" in said
    assert f"  curl 'http://127.0.0.1:{port}/api/models?limit=3'\n" in said
    assert "manage.py adduser" in said


def test_the_banner_of_an_empty_store_has_placeholders(tmp_path: Path) -> None:
    (tmp_path / "demo-logins.json").write_text("{broken")

    said = ready.banner("::", free_port(), tmp_path)

    assert "Log in as" not in said
    assert "hf download OWNER/NAME" in said
    assert "http://[::1]:" in said


def test_impatience_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(ready, "PATIENCE_S", 0.2)
    monkeypatch.setattr(ready, "read_env", lambda: Env(data_dir=tmp_path, port=free_port()))

    ready.main()

    assert "not ready after 0 s: no answer from 127.0.0.1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("host", "bind"), [(ANY_ADDRESS, f"{ANY_ADDRESS}:9000"), ("::1", "[::1]:9000")]
)
def test_gunicorn_follows_the_settings(
    monkeypatch: pytest.MonkeyPatch, host: str, bind: str
) -> None:
    given = {"HOST": host, "WEB_WORKERS": "3", "WEB_THREADS": "9"}
    for name, value in given.items():
        monkeypatch.setenv(f"STORE_{name}", value)
    monkeypatch.setenv("PORT", "9000")
    read_env.cache_clear()
    try:
        settings = runpy.run_path(str(ROOT / "store/supervise/gunicorn_conf.py"))
    finally:
        read_env.cache_clear()

    assert settings["bind"] == bind
    assert (settings["workers"], settings["threads"]) == (3, 9)
    assert settings["worker_class"] == "gthread"
    assert settings["sendfile"] is True


def test_gunicorn_knows_every_setting() -> None:
    from gunicorn.app.wsgiapp import WSGIApplication

    class Loaded(WSGIApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            self.load_config_from_module_name_or_filename("python:store.supervise.gunicorn_conf")

    loaded = Loaded().cfg

    assert loaded.worker_class_str == "gthread"
    assert loaded.preload_app is True
    assert loaded.limit_request_line == 8190
    assert loaded.control_socket_disable is True
    assert loaded.forwarded_allow_ips == []
    assert loaded.graceful_timeout < 40  # less than the supervisor's patience with it


def test_the_command_reports_a_refusal_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_plan: Plan) -> int:
        raise AlreadyRunningError("It runs already.")

    monkeypatch.setattr(command, "run", refuse)

    assert command.main() == 1
    assert capsys.readouterr().err == "It runs already.\n"


def test_the_command_returns_the_runs_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "run", lambda _plan: 7)
    assert command.main() == 7

    def interrupt(_plan: Plan) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run", interrupt)
    assert command.main() == 130


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def configured(given: Plan) -> ServerOptions:
    (given.run_dir / "logs").mkdir(parents=True)
    options = ServerOptions()
    options.realize(["-c", str(configuration.write_configuration(given))], doc="")
    return options
