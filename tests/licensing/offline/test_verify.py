"""``gpt-store license``: verdicts, exit codes, times."""

import json
import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from licensing.documents.document import MAX_SEATS, Machine, Seats, Terms
from licensing.offline.clock import NewestTime
from licensing.offline.machine import machine_fingerprint
from licensing.offline.words import moment, plain
from tests.licensing.documents.making import DAY_S, MODEL, NOW_S, a_license
from tests.licensing.offline.conftest import KID

ROOT = Path(__file__).resolve().parents[3]


def at(moment_s: int) -> time_machine.travel:
    return time_machine.travel(datetime.fromtimestamp(moment_s, UTC), tick=False)


def test_says_in_plain_words_what_is_licensed(run, license_file, jwks, weights) -> None:
    terms = Terms("b" * 64, "Research license 1.0", "https://models.example.org/terms/7")
    path = license_file(terms=terms, rights={"derivatives": False, "keep_credit": "Alice"})

    with at(NOW_S + DAY_S):
        code, said, complaints = run("license", "verify", path, weights, "--keys", jwks)

    assert (code, complaints) == (0, "")
    assert said.splitlines() == [
        "License:     0123456789abcdef01234567, from https://models.example.org",
        "Holder:      Zoë & Söhne 詩人 (organization)",
        "Offer:       Research, one year",
        "Seats:       5 people",
        "Rights:      derivatives: no, keep credit: Alice",
        f"Terms:       Research license 1.0 (sha256 {'b' * 64})",
        "             https://models.example.org/terms/7",
        "Begins:      2023-11-14 22:13 UTC",
        "Ends:        2024-11-13 22:13 UTC",
        "File:        written 2023-11-14 22:13 UTC, good until 2023-12-14 22:13 UTC",
        "Updates:     later versions of the same line",
        "Models:      1",
        f"  alice/poet at {'a' * 40} (main): 2 files, 0.0 MB",
        f"Signed by:   key {KID}",
        f"{weights}: 2 of 2 licensed files of alice/poet are here and unchanged (0.0 MB).",
        "The license is valid and the files are those it covers.",
    ]


def test_seats_without_a_limit(run, license_file, jwks) -> None:
    path = license_file(seats=Seats(count=MAX_SEATS, kind="machines"))

    with at(NOW_S):
        code, said, _ = run("license", "verify", path, "--keys", jwks)
        _, told, _ = run("license", "verify", path, "--keys", jwks, "--json")

    assert (code, "Seats:       unlimited machines\n" in said) == (0, True)
    assert json.loads(told)["license"]["seats"] == {"count": None, "kind": "machines"}


def test_answers_programs_in_json(run, license_file, jwks, weights) -> None:
    path = license_file(license_expires_at=None, is_test=True)

    with at(NOW_S):
        code, said, complaints = run("license", "verify", path, weights, "--keys", jwks, "--json")

    told = json.loads(said)
    assert (code, told["exit"], told["code"]) == (0, 0, "valid")
    assert told["license"]["license_expires_at"] is None
    assert told["license"]["models"] == [{"name": "alice/poet", "revision": "a" * 40, "files": 2}]
    assert told["folders"][0]["differences"] == []
    assert "TEST LICENSE" in complaints


def test_says_how_a_folder_differs(run, license_file, jwks, weights) -> None:
    (weights / "config.json").write_bytes(b"{ }")
    (weights / "x.gguf").write_bytes(b"x")
    asked = ("license", "verify", license_file(), weights, "--keys", jwks, "--now", "2023-11-20")

    code, said, complaints = run(*asked)

    assert (code, complaints) == (3, "")
    assert said.splitlines()[-4:] == [
        f"{weights}: 1 of 2 licensed files of alice/poet are here and unchanged (0.0 MB).",
        "  changed: config.json (has 3 bytes instead of 2)",
        "  weights that are not licensed: x.gguf",
        "The license is valid at 2023-11-20 00:00 UTC, but the folder is not what it covers.",
    ]
    code, said, complaints = run(*asked, "--json")
    assert (code, complaints) == (3, "")
    told = json.loads(said)
    assert (told["exit"], told["code"]) == (3, "files_differ")
    assert told["folders"][0]["differences"] == [
        {"kind": "changed", "path": "config.json", "detail": "has 3 bytes instead of 2"},
        {"kind": "extra", "path": "x.gguf", "detail": ""},
    ]


def test_a_license_of_the_sandbox_is_said_loudly(run, license_file, jwks) -> None:
    code, said, _ = run(
        *("license", "verify", license_file(is_test=True), "--keys", jwks),
        *("--now", "2023-11-20"),
    )

    assert code == 0
    assert said.splitlines()[0].startswith("TEST LICENSE")
    assert said.splitlines()[-1] == "The TEST license is valid at 2023-11-20 00:00 UTC."


@pytest.mark.parametrize(
    ("now", "code", "words"),
    [
        ("2023-11-14T22:00Z", 1, "clock of this machine"),
        ("2023-11-14T23:13+01:00", 0, ""),
        ("1700000000", 0, ""),
        ("2023-12-14", 0, ""),
        ("2023-12-15", 4, "too old to prove anything"),
        ("2024-11-14", 4, "The license has ended"),
        ("9" * 20, 4, "The license has ended"),
        ("someday", 2, "is no time"),
        ("20231115", 0, ""),
    ],
)
def test_judges_for_a_given_time(run, license_file, jwks, now, code, words, home) -> None:
    found, _, complaints = run("license", "verify", license_file(), "--keys", jwks, "--now", now)

    assert found == code
    assert words in complaints
    assert not (home / "state").exists()


def test_an_expired_license_says_so_to_programs_too(run, license_file, jwks) -> None:
    code, said, _ = run(
        *("license", "verify", license_file(), "--keys", jwks, "--json", "--now", "2024-11-14"),
    )

    assert code == 4
    assert json.loads(said) == {
        "exit": 4,
        "code": "license_expired",
        "message": "The license has ended. Renew it in the store.",
    }


def test_a_license_that_has_not_begun_is_not_valid(run, license_file, jwks) -> None:
    path = license_file(valid_from=NOW_S + 5 * DAY_S)

    with at(NOW_S):
        code, _, complaints = run("license", "verify", path, "--keys", jwks)

    assert code == 1
    assert "has not begun" in complaints


def test_forged_changed_and_strange_files_are_not_valid(run, license_file, jwks, tmp_path) -> None:
    forged = license_file(key=Ed25519PrivateKey.generate())
    assert run("license", "verify", forged, "--keys", jwks)[0] == 1

    path = Path(license_file())
    for content in (path.read_bytes()[:-9], b"", b"{}", b"[" * 10**6, b"A" * (9 * 1024**2)):
        path.write_bytes(content)
        code, said, complaints = run("license", "verify", path, "--keys", jwks)
        assert (code, said) == (1, "")
        assert complaints.startswith("NOT VALID: ")


def test_a_clock_that_was_set_back_is_an_error(run, license_file, jwks) -> None:
    path = license_file()
    with at(NOW_S + 20 * DAY_S):
        assert run("license", "verify", path, "--keys", jwks)[0] == 0
    newest_s = NewestTime().read_s()

    with at(NOW_S + 19 * DAY_S):
        assert run("license", "verify", path, "--keys", jwks)[0] == 0
    with at(NOW_S + 19 * DAY_S - 1):
        code, _, complaints = run("license", "verify", path, "--keys", jwks)

    assert code == 1
    assert "gpt-store clock reset" in complaints
    assert NewestTime().read_s() == newest_s == NOW_S + 20 * DAY_S
    assert "2023-12-04 22:13 UTC" in run("clock")[1]
    assert run("clock", "reset")[0] == 0
    with at(NOW_S + 10 * DAY_S):
        assert run("license", "verify", path, "--keys", jwks)[0] == 0


def test_an_expired_license_stays_expired_when_the_clock_is_set_back(
    run, license_file, jwks
) -> None:
    path = license_file()
    with at(NOW_S + 40 * DAY_S):
        assert run("license", "verify", path, "--keys", jwks)[0] == 4
    with at(NOW_S + 29 * DAY_S):
        assert run("license", "verify", path, "--keys", jwks)[0] == 1


def test_the_time_a_license_was_written_counts_as_seen(run, license_file, jwks) -> None:
    with at(NOW_S - 100):
        assert run("license", "verify", license_file(), "--keys", jwks)[0] == 0

    assert NewestTime().read_s() == NOW_S


def test_a_forged_license_moves_no_clock(run, license_file, jwks, home) -> None:
    forged = license_file(
        key=Ed25519PrivateKey.generate(),
        issued_at=9 * 10**9,
        file_expires_at=9 * 10**9 + 1,
        valid_from=0,
        license_expires_at=None,
    )

    assert run("license", "verify", forged, "--keys", jwks)[0] == 1
    assert not (home / "state").exists()
    assert run("clock")[1].startswith("No time was seen yet.")


def test_a_damaged_memory_of_the_time_is_an_error(run, license_file, jwks, home) -> None:
    (home / "state/gpt-store").mkdir(parents=True)
    (home / "state/gpt-store/clock.json").write_text("{}")

    code, _, complaints = run("license", "verify", license_file(), "--keys", jwks)

    assert code == 1
    assert "clock reset" in complaints


def test_a_home_that_cannot_be_written_is_a_warning(
    run, license_file, jwks, home, monkeypatch
) -> None:
    (home / "file").write_text("")
    monkeypatch.setattr(NewestTime, "read_s", lambda self: None)
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "file"))

    with at(NOW_S):
        code, said, complaints = run("license", "verify", license_file(), "--keys", jwks)

    assert code == 0
    assert complaints.startswith("warning: the time could not be kept")
    assert said.endswith("The license is valid.\n")


def test_a_folder_that_cannot_be_used_is_an_error(run, home, monkeypatch) -> None:
    (home / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "file"))

    code, _, complaints = run("clock")

    assert code == 2
    assert complaints.startswith("error: ")


def test_a_file_for_one_machine_is_valid_there_alone(run, license_file, jwks) -> None:
    here = machine_fingerprint()
    with at(NOW_S):
        path = license_file(machine=Machine(here, "desk"))
        code, said, _ = run("license", "verify", path, "--keys", jwks)
        assert code == 0
        assert f"Machine:     desk {here}" in said
        assert run("machine")[1].strip() == here

        path = license_file(machine=Machine("f" * 64, ""))
        code, _, complaints = run("license", "verify", path, "--keys", jwks)
        assert code == 1
        assert "another machine" in complaints
        asked = ("license", "verify", path, "--keys", jwks, "--machine", "f" * 64)
        assert run(*asked)[0] == 0


def test_a_fingerprint_tells_nothing_of_the_systems_id(tmp_path) -> None:
    ids = [tmp_path / name for name in ("absent", "empty", "one", "two")]
    ids[1].write_text("\n")
    ids[2].write_text("0123456789abcdef\n")
    ids[3].write_text("fedcba9876543210\n")

    one = machine_fingerprint(tuple(ids[:3]))

    assert re.fullmatch("[0-9a-f]{64}", one)
    assert "0123456789abcdef" not in one
    assert machine_fingerprint((ids[2],)) == one != machine_fingerprint((ids[3],))
    assert machine_fingerprint(()) == machine_fingerprint(()) != one


def test_shows_what_a_file_claims_and_that_nobody_checked_it(run, license_file) -> None:
    path = license_file(key=Ed25519PrivateKey.generate(), rights={})

    code, said, _ = run("license", "show", path)

    assert code == 0
    assert said.splitlines()[0].startswith("NOT VERIFIED")
    assert "Rights:      as in the terms" in said
    assert json.loads(run("license", "show", path, "--json")[1])["verified"] is False


def test_what_a_terminal_could_act_on_is_escaped(run, license_file) -> None:
    assert plain("a\x1b[2J\u202eb") == "a\\u001b[2J\\u202eb"
    licensee = replace(a_license().licensee, name="Bob \u202e gnp")

    said = run("license", "show", license_file(licensee=licensee))[1]

    assert "Bob \\u202e gnp" in said


def test_times_beyond_the_calendar_are_words() -> None:
    assert moment(2**53 - 1) == "after the year 9999"
    assert moment(None) == "never"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["license"],
        ["license", "verify"],
        ["license", "verify", "/nowhere"],
        ["license", "verify", "/nowhere", "--keys", "/nowhere"],
        ["clock", "stop"],
    ],
)
def test_what_is_not_understood_is_two(run, arguments) -> None:
    code, said, complaints = run(*arguments)

    assert (code, said) == (2, "")
    assert "usage: gpt-store" in complaints


def test_help_names_the_exit_codes(run) -> None:
    code, said, _ = run("license", "verify", "--help")

    assert code == 0
    assert [line.split()[0] for line in said.splitlines() if re.match("  [0-9]  ", line)] == list(
        "01234"
    )


def test_runs_as_a_module_without_the_store(license_file, jwks, weights) -> None:
    """Only the standard library, ``cryptography`` and what it needs, and the listed modules."""
    code = (
        "import sys; before = set(sys.modules)\n"
        "from licensing.offline.command import main\n"
        "main(sys.argv[1:])\n"
        "new = {name for name in set(sys.modules) - before}\n"
        "print(*sorted(new))\n"
    )
    arguments = [
        "license",
        "verify",
        license_file(),
        str(weights),
        "--keys",
        jwks,
        "--now",
        "2023-11-20",
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    loaded = done.stdout.splitlines()[-1].split()
    known = sys.stdlib_module_names | {"cryptography", "cffi", "_cffi_backend", "_openssl"}
    ours = {name for name in loaded if name.split(".")[0] in {"licensing", "store"}}
    others = {name.split(".")[0] for name in loaded} - {"licensing", "store"} - known
    assert others == set()
    assert "licensing.offline.folders" in ours
    packages = {"licensing", "licensing.documents", "licensing.offline", "store", "store.core"}
    assert ours - packages <= packaged()
    again = subprocess.run(
        [sys.executable, "-m", "licensing.offline", *arguments],
        cwd=ROOT,
        check=False,
        capture_output=True,
    )
    assert again.returncode == 0


def packaged() -> set[str]:
    """The modules that ``pip install`` brings."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return set(told["tool"]["setuptools"]["py-modules"])


def test_each_module_of_the_command_is_packaged() -> None:
    modules = {
        f"licensing.offline.{path.stem}" for path in (ROOT / "licensing/offline").glob("*.py")
    }

    assert modules - {"licensing.offline.__init__"} <= packaged()
    for name in packaged():
        assert (ROOT / f"{name.replace('.', '/')}.py").is_file()


def snippet() -> str:
    """The program of the document."""
    found = re.search(
        r"```python\n(.*?)```", (ROOT / "docs/license-files.md").read_text(), re.DOTALL
    )
    assert found
    return found[1]


def test_the_documented_lines_verify_the_same_files(license_file, jwks, weights, tmp_path) -> None:
    program = tmp_path / "check.py"
    program.write_text(snippet())

    def check(path: str) -> subprocess.CompletedProcess[str]:
        arguments = [sys.executable, str(program), jwks, path, str(weights)]
        return subprocess.run(
            arguments,
            capture_output=True,
            text=True,
            check=False,
            env={"PYTHONIOENCODING": "utf-8"},
        )

    now_s = int(datetime.now(UTC).timestamp())
    fresh = {
        "issued_at": now_s,
        "valid_from": now_s,
        "file_expires_at": now_s + DAY_S,
        "license_expires_at": None,
    }
    assert len([line for line in snippet().splitlines() if line.strip()]) <= 25
    good = check(license_file(**fresh))
    assert (good.returncode, good.stdout) == (0, "licensed to Zoë & Söhne 詩人\n"), good.stderr
    ahead = {"issued_at": now_s + 240, "valid_from": now_s + 240}  # the store's clock is ahead
    assert check(license_file(**fresh | ahead)).returncode == 0
    late = {"issued_at": now_s + 900, "valid_from": now_s + 900}
    assert check(license_file(**fresh | late)).stderr == "no license for today\n"
    assert check(license_file()).stderr == "no license for today\n"
    assert "InvalidSignature" in check(spoiled(license_file(**fresh))).stderr
    (weights / "model.safetensors").write_bytes(b"Weights")
    assert "model.safetensors is not the licensed file" in check(license_file(**fresh)).stderr


def spoiled(path: str) -> str:
    """The same file with another signature."""
    told = json.loads(Path(path).read_text())
    head, body, tail = told["license"].split(".")
    told["license"] = f"{head}.{body}.{'B' if tail[0] == 'A' else 'A'}{tail[1:]}"
    Path(path).write_text(json.dumps(told))
    return path


def test_progress_is_shown_for_large_files_on_a_terminal(
    run, license_file, jwks, weights, monkeypatch
) -> None:
    monkeypatch.setattr("licensing.offline.command.PROGRESS_FROM_BYTES", 5)
    monkeypatch.setattr("licensing.offline.folders.PIECE_BYTES", 4)
    asked = ("license", "verify", license_file(), weights, "--keys", jwks, "--now", "2023-11-20")
    assert run(*asked)[2] == ""

    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    complaints = run(*asked)[2]

    assert complaints == "\rmodel.safetensors: 57 %\rmodel.safetensors: 100 %\n"


def test_a_license_for_several_models_asks_which(run, license_file, jwks, weights) -> None:
    other = replace(MODEL, id="2", name="alice/other")
    path = license_file(models=(MODEL, other))
    asked = ("license", "verify", path, weights, "--keys", jwks, "--now", "2023-11-20")

    assert run(*asked)[0] == 2
    assert run(*asked, "--model", "alice/poet")[0] == 0
    assert run(*asked, "--model", "bob/poet")[0] == 2
    assert "--model" in run(*asked)[2]
