"""Which of several GGUF files of a model runs: on the page, over REST, by its name in /v1."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import ModelRepo
from catalog.services.folders import files_of, publish_files
from inference.box.pool import BoxPool
from inference.models import Explanation, GenerationRun
from inference.runners import generation
from inference.services.choosing_weights import tags_of
from inference.services.weights import needed_files
from scripts.demo_models import gguf_file
from tests.factories import make_repo
from tests.inference import tiny
from tests.inference.conftest import forget_news
from workers.runner import run_job

Browser = Callable[[User], Client]
Bearer = Callable[..., dict[str, str]]
SMALL, USUAL = "pair-Q4_K_M.gguf", "pair-Q8_0.gguf"
PROMPT = "Once upon a time"
FORM = {"prompt": PROMPT, "preset": "exact", "max_new_tokens": "8"}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two models, by the name of the file each is written to."""
    root = tmp_path_factory.mktemp("sources")
    return {name: tiny.build(root / name, seed=seed) for seed, name in enumerate((SMALL, USUAL))}


@pytest.fixture
def pair(alice: User, sources: dict[str, Path], tmp_path: Path) -> ModelRepo:
    """Alice's repository with two GGUF files, which differ by more than how they are packed."""
    for name, source in sources.items():
        gguf_file.write(source, tmp_path / name)
    repo = make_repo(alice, "pair")
    publish_files(Viewer(user=alice), repo, files_of(tmp_path), title="Add the model")
    forget_news()
    return repo


@pytest.fixture
def boxes(monkeypatch: pytest.MonkeyPatch) -> Iterator[BoxPool]:
    """Real boxes."""
    pool = BoxPool(wait_s=60)
    monkeypatch.setattr(generation, "box_pool", lambda: pool)
    yield pool
    pool.close()


@pytest.mark.django_db(transaction=True)
def test_the_chosen_file_writes_and_explains(
    pair: ModelRepo, bob: User, browser_of: Browser, boxes: BoxPool, sources: dict[str, Path]
) -> None:
    browser, url = browser_of(bob), "/alice/pair/playground"
    page = browser.get(url).text
    for name in (SMALL, USUAL):
        assert f'<option value="{name}">{name}</option>' in page

    for chosen in ({}, {"weights": SMALL}):
        browser.post(url, FORM | chosen)
        run_job(GenerationRun.objects.latest("id").job_id or 0)

    usual, small = GenerationRun.objects.order_by("id")
    assert (usual.gguf_file, small.gguf_file) == ("", SMALL)
    for run, name in ((usual, USUAL), (small, SMALL)):  # eight bits a weight soon differ a little
        assert run.texts[0].startswith(tiny.greedy(sources[name], PROMPT, 2))
    assert small.texts != usual.texts
    assert len(boxes.resident) == 2
    shown = browser.get(f"/runs/{small.public_id}").text
    assert f'<td class="mono anywhere">{SMALL}</td>' in shown
    assert f'name="weights" value="{SMALL}"' in shown  # to ask again
    assert f"alice/pair@{small.commit_oid}:{SMALL}" in shown  # for the OpenAI client
    assert f"gguf_file=&#x27;{SMALL}&#x27;" in shown
    boxes.close_idle()
    browser.post(f"/runs/{small.public_id}/explain", {"kind": "tokens"})
    run_job(Explanation.objects.get().job_id or 0)
    assert Explanation.objects.get().state == "done"
    key = needed_files(pair, small.commit_oid, SMALL).key
    assert list(boxes.resident) == [f"{pair.public_id}/{key}"]  # by the file that wrote it


def test_programs_name_it_behind_a_colon(
    pair: ModelRepo, client: Client, bob: User, bearer: Bearer
) -> None:
    headers = bearer(bob)
    listed = [row["id"] for row in client.get("/v1/models").json()["data"]]
    assert listed == ["alice/pair", f"alice/pair:{SMALL}", f"alice/pair:{USUAL}"]
    named = client.get("/v1/models/alice/pair:q4_k_m").json()
    assert named["id"] == "alice/pair:q4_k_m"
    body: dict[str, Any] = {"content_type": "application/json", "headers": headers}
    for model, code in (
        ("alice/pair:Q5_0", "weights_not_found"),
        ("alice/pair:gguf", "weights_not_found"),
    ):
        for door in ("/api/v1/generations", "/v1/completions"):
            refused = client.post(door, {"model": model, "prompt": "x"}, **body)
            assert (refused.status_code, refused.json()["error"]["code"]) == (404, code)
            assert SMALL in refused.json()["error"]["message"]
        assert client.get(f"/v1/models/{model}").status_code == 404
    assert not GenerationRun.objects.exists()

    for model in ("alice/pair:Q4_K_M", "alice/pair@main:q4_k_m", f"alice/pair:{SMALL}@main"):
        asked = client.post("/api/v1/generations", {"model": model, "prompt": "x"}, **body)
        assert (asked.status_code, asked.json()["gguf_file"]) == (201, SMALL)


def test_what_has_one_file_offers_no_choice(
    tiny_repo: ModelRepo, client: Client, bob: User, bearer: Bearer
) -> None:
    assert 'name="weights"' not in client.get("/alice/tiny/playground").text
    assert [row["id"] for row in client.get("/v1/models").json()["data"]] == ["alice/tiny"]
    body: dict[str, Any] = {"content_type": "application/json", "headers": bearer(bob)}
    asked = client.post("/api/v1/generations", {"model": "alice/tiny:Q8_0", "prompt": "x"}, **body)
    assert asked.status_code == 404
    assert "It has: none." in asked.json()["error"]["message"]


def test_a_file_is_called_by_what_no_other_is_packed_in() -> None:
    files = {"a.gguf": "Q4_K_M", "b.gguf": "Q8_0", "c.gguf": "Q8_0", "d.gguf": ""}

    assert list(tags_of(files).values()) == ["Q4_K_M", "b.gguf", "c.gguf", "d.gguf"]
