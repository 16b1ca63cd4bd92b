"""A whole store whose weights lie in an object store: bytes never pass through its processes."""

import ast
import hashlib
import secrets
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url, snapshot_download

from catalog.content.hot import HOT_AFTER
from tests.clients.models import save_tiny_gpt
from tests.live import LiveStore, environment


def curl(*words: str) -> bytes:
    return subprocess.run(["curl", "-sS", *words], capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_gpt(tmp_path_factory.mktemp("gpt"))


@pytest.fixture(scope="module")
def repo(s3_store: LiveStore, folder: Path) -> str:
    name, token = s3_store.person()
    repo = f"{name}/gpt-{secrets.token_hex(3)}"
    api = HfApi(endpoint=s3_store.url, token=token)
    api.create_repo(repo)
    api.upload_folder(repo_id=repo, folder_path=folder)
    s3_store.settled(repo, token)
    return repo


def test_clients_are_led_to_the_object_store(s3_store: LiveStore, s3_address: str) -> None:
    """Plain readers of a file many fetch are; until then the store joins it out of xorbs."""
    weights = secrets.token_bytes(2 * 1024**2)
    name, token = s3_store.person()
    api = HfApi(endpoint=s3_store.url, token=token)
    repo = api.create_repo(f"{name}/often").repo_id
    api.upload_file(path_or_fileobj=weights, path_in_repo="extra.bin", repo_id=repo)
    url = hf_hub_url(repo, "extra.bin", endpoint=s3_store.url)

    about = get_hf_file_metadata(url, token=False)
    whole = [curl("-L", url) for _ in range(HOT_AFTER)]
    until, said = time.monotonic() + 60, b""
    while not said.startswith(b"302") and time.monotonic() < until:
        time.sleep(0.2)
        said = curl("-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", "-r", "0-0", url)

    assert (about.size, about.etag) == (len(weights), hashlib.sha256(weights).hexdigest())
    assert all(answer == weights for answer in whole)
    assert said.startswith(f"302 {s3_address}/weights/".encode())
    assert curl("-L", "-r", "5-99", url) == weights[5:100]
    assert not list((s3_store.data_dir / "blobs").rglob("*.*"))


def test_snapshot_and_zip(s3_store: LiveStore, repo: str, folder: Path, tmp_path: Path) -> None:
    import io
    import zipfile

    copy = Path(
        snapshot_download(repo, endpoint=s3_store.url, token=False, cache_dir=tmp_path / "cache")
    )
    with urlopen(Request(f"{s3_store.url}/{repo}/archive/main.zip"), timeout=60) as answer:
        zipped = zipfile.ZipFile(io.BytesIO(answer.read()))

    for file in folder.iterdir():
        assert (copy / file.name).read_bytes() == file.read_bytes()
        assert zipped.read(file.name) == file.read_bytes()


def test_workers_read_the_weights_there(s3_store: LiveStore, repo: str, tmp_path: Path) -> None:
    """Facts, and a generation, of weights that are on no disk of the store."""
    _, token = s3_store.person()
    facts = s3_store.ask(f"/api/v1/models/{repo}")
    asked = {"model": repo, "prompt": "It is", "max_new_tokens": 4, "temperature": 0}
    run = s3_store.ask("/api/v1/generations", token, body=asked)
    until = time.monotonic() + 120
    while run["state"] in {"queued", "running"} and time.monotonic() < until:
        time.sleep(0.3)
        run = s3_store.ask(f"/api/v1/generations/{run['id']}", token)
    code = f"""
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained({repo!r})
model = AutoModelForCausalLM.from_pretrained({repo!r})
ids = tokenizer("It is", return_tensors="pt")
text = tokenizer.decode(model.generate(**ids, max_new_tokens=4, do_sample=False)[0])
print([model.num_parameters(), text])
"""
    env = environment(s3_store.data_dir) | {"HF_ENDPOINT": s3_store.url, "HF_HOME": str(tmp_path)}
    loaded = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    parameters, text = ast.literal_eval(loaded.stdout)

    assert facts["is_runnable"] is True
    assert facts["facts"]["parameters"] == parameters
    assert run["state"] == "done", run
    assert text.startswith("It is" + run["texts"][0])
