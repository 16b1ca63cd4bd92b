"""``@huggingface/hub`` and ``transformers.js``, in Node.js and in a page of another site."""

import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from tests.clients.javascript import run
from tests.clients.models import save_tiny_gpt
from tests.clients.test_hub_api import new_repo
from tests.e2e.browser import chromium, listen
from tests.live import LiveStore

PROMPT, NEW_TOKENS = "It is a truth", 12


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny GPT, in the forms Python and JavaScript load."""
    folder = save_tiny_gpt(tmp_path_factory.mktemp("js") / "gpt")
    program = Path(__file__).with_name("onnx_program.py")
    done = subprocess.run(
        [sys.executable, str(program), str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def model_repo(store: LiveStore, publisher: HfApi, model: Path) -> str:
    """The model, where anybody can load it."""
    repo = new_repo(publisher)
    publisher.upload_folder(repo_id=repo, folder_path=model)
    store.settled(repo, str(publisher.token))
    return repo


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
        "empty.bin",
        "empty.txt",
        "weights",
        "weights/model.bin",
    }
    assert files["weights/model.bin"]["isLarge"]
    assert (files["empty.bin"]["isLarge"], files["empty.bin"]["size"]) == (False, 0)
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
    store: LiveStore, model_repo: str, model: Path, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    seen = run("tokenizer.mjs", store.url, model_repo, str(tmp_path / "cache"))

    assert seen == {"ids": AutoTokenizer.from_pretrained(model).encode(PROMPT), "text": PROMPT}


def greedy(folder: Path) -> list[int]:
    """What transformers makes of the prompt, in Python."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    asked = AutoTokenizer.from_pretrained(folder)(PROMPT, return_tensors="pt")
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        made = model.generate(**asked, max_new_tokens=NEW_TOKENS, do_sample=False)
    tokens: list[int] = made[0].tolist()
    return tokens


GENERATE = """
async ([store, model, prompt, count]) => {
  const { AutoModelForCausalLM, AutoTokenizer, env } = await import("@huggingface/transformers");
  env.remoteHost = store;
  env.allowLocalModels = false;
  env.useBrowserCache = false;
  env.backends.onnx.wasm.wasmPaths = new URL("/node_modules/onnxruntime-web/dist/", location).href;
  const tokenizer = await AutoTokenizer.from_pretrained(model);
  const gpt = await AutoModelForCausalLM.from_pretrained(model, { dtype: "fp32", device: "wasm" });
  const asked = tokenizer(prompt);
  const made = await gpt.generate({ ...asked, max_new_tokens: count, do_sample: false });
  return made.tolist()[0].map(Number);
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


def test_a_model_runs_in_a_page_of_another_site(
    store: LiveStore, model_repo: str, model: Path, other_site: str
) -> None:
    """transformers.js fetches tokenizer and weights from the store and generates in Chromium."""
    with chromium() as browser:
        page = browser.new_page()
        complaints = listen(page)
        page.goto(f"{other_site}/page.html")
        made = page.evaluate(GENERATE, [store.url, model_repo, PROMPT, NEW_TOKENS])
        errors = [text for text in complaints if "404" not in text]

    assert made == greedy(model)
    assert errors == []


def test_pages_of_other_sites_may_use_the_store(
    store: LiveStore, publisher: HfApi, other_site: str
) -> None:
    repo = new_repo(publisher)
    publisher.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id=repo)
    head = publisher.model_info(repo).sha

    with chromium() as browser:
        page = browser.new_page()
        page.goto(f"{other_site}/page.html")
        seen = page.evaluate(CALLS, [store.url, publisher.token, repo])

    assert seen == {
        "put": "auto",
        "range": "bytes 0-0/2",
        "commit": head,
        "missing": [404, "EntryNotFound"],
        "refused": 401,
    }
