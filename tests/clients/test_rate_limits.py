"""The released client against a store with small limits: it waits, and gets everything."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi, snapshot_download

from tests import live

WINDOW_S = 3


@pytest.fixture
def strict() -> Iterator[live.LiveStore]:
    """A store that lets a visitor ask for four files in three seconds."""
    running = live.start(
        STORE_RATE_LIMITS="on",
        STORE_RATE_WINDOW_S=str(WINDOW_S),
        STORE_VISITOR_RESOLVERS_REQUESTS="4",
    )
    yield running
    live.discard(running)


@pytest.mark.xdist_group("live")
def test_client_waits_and_gets_everything(strict: live.LiveStore, tmp_path: Path) -> None:
    """``snapshot_download`` reads our 429 and comes back when the window has passed."""
    name, token = strict.person()
    files = {f"part-{number}.txt": f"{number}\n" * 50 for number in range(12)}
    folder = tmp_path / "sent"
    folder.mkdir()
    for path, text in files.items():
        (folder / path).write_text(text)
    api = HfApi(endpoint=strict.url, token=token)
    api.create_repo(f"{name}/many")
    api.upload_folder(repo_id=f"{name}/many", folder_path=folder)

    began = time.monotonic()
    got = Path(
        snapshot_download(
            f"{name}/many",
            endpoint=strict.url,
            token=False,
            local_dir=tmp_path / "got",
            max_workers=2,
        )
    )
    took_s = time.monotonic() - began
    assert {path: (got / path).read_text() for path in files} == files
    assert took_s > WINDOW_S, "the limit never held anybody back"
