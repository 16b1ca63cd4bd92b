"""Tiny models, made once."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from inference.box.client import Box
from inference.box.limits import BoxLimits
from inference.box.protocol import LoadRequest
from tests.inference.box import tiny_models

LIMITS = BoxLimits(device="cpu", load_s=240, generate_s=120)


@pytest.fixture(autouse=True)
def clean_valkey() -> None:
    """The box knows no Valkey."""


@pytest.fixture(autouse=True)
def own_folders() -> None:
    """The box knows no blobs."""


@pytest.fixture(scope="session")
def gpt2_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.gpt2(tmp_path_factory.mktemp("models") / "gpt2")


@pytest.fixture(scope="session")
def llama_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.llama(tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture
def gpt2_copy(gpt2_dir: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(gpt2_dir, tmp_path / "copy"))


@pytest.fixture(scope="session")
def load() -> Callable[..., Any]:
    """Load a folder in this process, as the child would."""
    from inference.box import loading

    def loaded(folder: Path, gguf_file: str | None = None) -> Any:
        return loading.load(LoadRequest(model_dir=str(folder), gguf_file=gguf_file))

    return loaded


@pytest.fixture(scope="session")
def gpt2(gpt2_dir: Path, load: Callable[..., Any]) -> Any:
    """The tiny GPT-2, loaded in this process."""
    return load(gpt2_dir)


@pytest.fixture(scope="session")
def wide_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny GPT-2 with room for long answers."""
    return tiny_models.gpt2(tmp_path_factory.mktemp("models") / "wide", n_positions=4096)


@pytest.fixture(scope="session")
def box(wide_dir: Path) -> Iterator[Box]:
    """The wide GPT-2 in a real box, shared by the tests that leave it alive."""
    with Box.start(wide_dir, limits=LIMITS) as started:
        yield started
