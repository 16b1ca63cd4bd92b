"""The parts of the supervisor: the table, its configuration, the terminal, the banner."""

import io
import os
import runpy
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from supervisor.options import ServerOptions

from store.env import Env, read_env
from store.supervise import __main__ as command
from store.supervise import configuration, prepare
from store.supervise.errors import AlreadyRunningError, UnusablePathError
from store.supervise.prepare import Step
from store.supervise.table import ROOT, Plan, Process, plan
from store.supervise.terminal import Terminal


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings come from the test alone, whatever the machine has set."""
    for name in list(os.environ):
        if name in {"DATABASE_URL", "REDIS_URL", "PORT"} or name.startswith("STORE_"):
            monkeypatch.delenv(name)


def test_the_real_plan_follows_the_settings(tmp_path: Path) -> None:
    made = plan(Env(data_dir=tmp_path, port=8123, host="192.0.2.1"))

    assert (made.data_dir, made.host, made.port) == (tmp_path, "192.0.2.1", 8123)
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

    assert list(table) == ["web", "worker", "inference", "senders", "beat", "ready"]
    assert table["web"].command[1:3] == ("-m", "gunicorn")
    assert table["web"].command[-1] == "store.wsgi:application"
    assert "--queues=default,scan" in table["worker"].command
    assert "--queues=inference" in table["inference"].command
    assert "--pool=threads" in table["inference"].command
    assert "--queues=senders" in table["senders"].command
    assert "--pool=threads" in table["senders"].command
    assert table["inference"].environment == {"OMP_NUM_THREADS": "1"}
    assert f"--schedule={tmp_path}/run/beat-schedule" in table["beat"].command
    assert [name for name, process in table.items() if process.is_once] == ["ready"]
    patient = [name for name, row in table.items() if row.is_patient]
    assert patient == ["inference", "senders", "beat"]
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
    assert words[1:6] == ["--pdeathsig", "TERM", "env", "A=1 %", "PYTHONUNBUFFERED=1"]
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
    monkeypatch.delenv("PYTHONWARNINGS", raising=False)
    for_user = configuration.write_configuration(empty).read_text()
    assert "user = " not in for_user
    assert "PYTHONWARNINGS" not in for_user

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for_root = configuration.write_configuration(empty).read_text()
    assert "user = 0\n" in for_root
    assert "PYTHONWARNINGS=ignore:You" in for_root
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    assert "PYTHONWARNINGS=error,ignore:You" in configuration.write_configuration(empty).read_text()


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


def test_the_demo_is_loaded_and_measured_last_and_once() -> None:
    assert [(step.command, step.is_once) for step in prepare.STEPS] == [
        ("migrate", False),
        ("collectstatic", False),
        ("load_demo", True),
        ("evaluate", True),
    ]


def test_preparing_uses_the_sites_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Any] = []
    monkeypatch.setattr("django.setup", lambda: seen.append("setup"))
    monkeypatch.setattr("django.conf.settings", SimpleNamespace(DATA_DIR=tmp_path))
    monkeypatch.setattr(prepare, "prepare", lambda *given: seen.append(given[:2]))

    prepare.main()

    assert seen == ["setup", (prepare.STEPS, tmp_path)]


@pytest.mark.parametrize(("host", "bind"), [("192.0.2.1", "192.0.2.1:9000"), ("::1", "[::1]:9000")])
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
