"""What one box may see, as decided outside."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from inference.box import setup
from inference.box.limits import BoxLimits

LIMITS = BoxLimits(device="cpu")


def test_nothing_of_the_environment_comes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_SECRET_KEY", "canary")
    monkeypatch.setenv("HF_TOKEN", "canary")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")

    inside = setup.environment(BoxLimits(threads=3))

    assert "canary" not in inside.values()
    assert inside["HF_HUB_OFFLINE"] == "1"
    assert inside["OMP_NUM_THREADS"] == "3"
    assert inside["CUDA_VISIBLE_DEVICES"] == "1"


def test_without_a_card_none_is_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")

    assert setup.environment(LIMITS)["CUDA_VISIBLE_DEVICES"] == ""


def test_cards_are_devices_of_the_box(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidiactl", "sda"):
        (tmp_path / name).touch()

    found = setup.graphics_devices(BoxLimits(), tmp_path)

    assert [path.name for path in found] == ["nvidia0", "nvidiactl"]
    assert setup.graphics_devices(LIMITS, tmp_path) == []


def test_the_project_is_not_readable_only_this_room(tmp_path: Path) -> None:
    request = setup.setup_request(LIMITS, tmp_path)

    assert str(setup.CODE_ROOT / "inference") in request.readable
    assert str(tmp_path.resolve()) in request.readable
    assert str(setup.CODE_ROOT) not in request.readable
    assert not any(Path(path) in (setup.CODE_ROOT / ".env").parents for path in request.readable)
    assert request.devices == ["/dev/null"]
    assert request.parent_pid == os.getpid()


def test_a_trial_sees_no_model() -> None:
    request = setup.setup_request(LIMITS, None)

    folders = {str(path) for path in setup.code_folders()}
    rest = {path for path in request.readable if path not in folders}
    assert all(path.startswith(("/usr", "/lib", "/proc", "/sys", "/etc", "/dev")) for path in rest)


def test_links_in_the_folder_open_just_what_they_lead_to(tmp_path: Path) -> None:
    blobs, model = tmp_path / "blobs", tmp_path / "model"
    blobs.mkdir()
    model.mkdir()
    for name in ("wanted", "other"):
        (blobs / name).write_text(name)
    (model / "model.safetensors").symlink_to(blobs / "wanted")

    assert setup.model_files(model) == [model, blobs / "wanted"]


def test_readable_by_anyone_looks_at_the_whole_way(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    file = closed / "file"
    file.touch(mode=0o644)
    for parent in tmp_path.parents:  # pytest's own folders are closed to others
        if parent.stat().st_mode & 0o001 == 0:
            assert not setup.readable_by_anyone(tmp_path)
    assert not setup.readable_by_anyone(file)
    assert not setup.readable_by_anyone(tmp_path / "missing")
    assert setup.readable_by_anyone(Path("/usr/lib"))
    assert setup.readable_by_anyone(Path("/etc/passwd"))
    assert not setup.readable_by_anyone(Path("/etc/shadow"))


def test_root_becomes_nobody_where_nobody_can_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    assert setup.box_user([Path("/usr/lib"), Path("/etc/passwd")]) == setup.NOBODY
    assert setup.box_user([Path("/usr/lib"), Path("/etc/shadow")]) is None


def test_the_trusted_side_never_imports_torch() -> None:
    code = (
        "import sys, inference.box.pool, inference.box.client;"
        "print({'torch', 'transformers', 'tokenizers', 'django'} & set(sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        cwd=setup.CODE_ROOT,
        capture_output=True,
        timeout=60,
    )

    assert done.stdout == b"set()\n"


def test_an_ordinary_user_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert setup.box_user([Path("/usr/lib")]) is None
