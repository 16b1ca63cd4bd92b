"""``@huggingface/hub`` and ``transformers.js``, in Node.js and in a page of another site."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi

from tests.clients.javascript import installed, run
from tests.clients.models import save_tiny_gpt
from tests.clients.test_hub_api import new_repo
from tests.e2e.browser import chromium, listen
from tests.live import LiveStore


@pytest.fixture
def tokenizer_repo(publisher: HfApi, tmp_path: Path) -> str:
    """A public model whose tokenizer anybody can load."""
    repo = new_repo(publisher)
    publisher.upload_folder(
        repo_id=repo, folder_path=save_tiny_gpt(tmp_path / "gpt"), allow_patterns="*.json"
    )
    return repo


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript"}

    def log_message(self, *_args: Any) -> None:
        pass


@pytest.fixture
def other_site() -> Iterator[str]:
    """The folder of clients on a port of its own: another origin than the store's."""
    handler = partial(Quiet, directory=str(installed()))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_hub_client_once_through(store: LiveStore) -> None:
    name, token = store.person()

    seen = run("hub.mjs", store.url, token, name)

    repo = f"{name}/from-js"
    files = {file["path"]: file for file in seen["files"]}
    assert seen["me"] == name
    assert (seen["existedBefore"], seen["existsAfter"]) == (False, False)
    assert seen["made"] == f"{store.url}/{repo}"
    assert seen["again"].startswith("409 You already created this model repo")
    assert seen["commitUrl"].startswith(f"{store.url}/{repo}/commit/")
    assert set(files) == {
        ".gitattributes",
        "README.md",
        "empty.txt",
        "weights",
        "weights/model.bin",
    }
    assert files["weights/model.bin"]["isLarge"]
    assert files["weights/model.bin"]["size"] == seen["downloadSize"] == 300_000
    assert files["README.md"]["last"] == "Upload from JavaScript"
    assert files["README.md"]["status"] == "safe"
    assert seen["exists"] == [True, False]
    assert seen["paths"] == 1
    assert seen["isSame"]
    assert seen["isPartSame"]
    assert seen["readme"].endswith("# From JavaScript")
    assert seen["pointer"].startswith("version https://git-lfs")
    assert seen["emptySize"] == 0
    assert seen["missing"] is None
    assert seen["titles"][-1] == "initial commit"
    assert seen["count"] == len(seen["titles"]) == 4
    assert seen["info"]["private"] is True
    assert "license:mit" in seen["info"]["tags"]
    assert seen["listed"] == [[repo, True]]
    assert (seen["filtered"], seen["listedToStrangers"]) == (1, 0)
    assert seen["branchFiles"] == 0
    assert seen["protectedBranch"].startswith("403 Cannot delete refs/heads/main")
    assert seen["stranger"].startswith("401 Repository Not Found")
    assert seen["absent"].startswith("404 Repository Not Found")
    assert seen["stale"].startswith("412 The branch was updated since you opened this page")
    assert seen["headersOfShards"].startswith("404")


def test_transformers_js_loads_a_tokenizer(
    store: LiveStore, tokenizer_repo: str, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    seen = run("tokenizer.mjs", store.url, tokenizer_repo, str(tmp_path / "cache"))

    ours = AutoTokenizer.from_pretrained(tmp_path / "gpt")
    assert seen == {"ids": ours.encode("It is a truth"), "text": "It is a truth"}


IN_THE_PAGE = """
async ([store, model]) => {
  const { AutoTokenizer, env } = await import("@huggingface/transformers");
  env.remoteHost = store;
  env.allowLocalModels = false;
  env.useBrowserCache = false;
  const tokenizer = await AutoTokenizer.from_pretrained(model);
  return tokenizer.encode("It is a truth");
}
"""
CALLS = """
async ([store, token, model]) => {
  const auth = { Authorization: `Bearer ${token}` };
  const json = { ...auth, "Content-Type": "application/json" };
  const put = await fetch(`${store}/api/models/${model}/settings`, {
    method: "PUT", headers: json, body: JSON.stringify({ gated: "auto" }),
  });
  const part = await fetch(`${store}/${model}/resolve/main/config.json`, {
    headers: { ...auth, Range: "bytes=0-0", "X-Of-My-Own": "1" },
  });
  const missing = await fetch(`${store}/${model}/resolve/main/none`, { headers: auth });
  const refused = await fetch(`${store}/api/whoami-v2`, {
    headers: { Authorization: "Bearer hf_wrong" },
  });
  return {
    put: (await put.json()).gated,
    range: part.headers.get("Content-Range"),
    commit: part.headers.get("X-Repo-Commit"),
    missing: [missing.status, missing.headers.get("X-Error-Code")],
    refused: refused.status,
  };
}
"""


def test_pages_of_other_sites_may_use_the_store(
    store: LiveStore, publisher: HfApi, tokenizer_repo: str, other_site: str, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    head = publisher.model_info(tokenizer_repo).sha
    size = publisher.get_paths_info(tokenizer_repo, ["config.json"])[0].size

    with chromium() as browser:
        page = browser.new_page()
        complaints = listen(page)
        page.goto(f"{other_site}/page.html")
        ids = page.evaluate(IN_THE_PAGE, [store.url, tokenizer_repo])
        errors = [text for text in complaints if "404" not in text]
        seen = page.evaluate(CALLS, [store.url, publisher.token, tokenizer_repo])

    assert list(ids) == AutoTokenizer.from_pretrained(tmp_path / "gpt").encode("It is a truth")
    assert errors == []
    assert seen == {
        "put": "auto",
        "range": f"bytes 0-0/{size}",
        "commit": head,
        "missing": [404, "EntryNotFound"],
        "refused": 401,
    }
