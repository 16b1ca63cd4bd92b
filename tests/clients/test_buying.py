"""A script in the middle of a download: refused with the price, buys, goes on."""

import json
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import GatedRepoError

from tests.clients.models import save_tiny_gpt
from tests.live import LiveStore
from tests.offline_command import verify

BUYER = """
import json, os, secrets, sys, urllib.request
from transformers import AutoModelForCausalLM, AutoTokenizer

store, model, token = os.environ["HF_ENDPOINT"], sys.argv[1], os.environ["HF_TOKEN"]
address = {"name": "Ada Byron", "lines": ["Lindenallee 1"], "city": "Berlin", "country": "DE"}

def call(path, body=None, **headers):
    request = urllib.request.Request(
        store + path,
        data=json.dumps(body).encode() if body is not None else None,
        headers={"Authorization": "Bearer " + token, "Content-Type": "application/json", **headers},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)

try:
    AutoModelForCausalLM.from_pretrained(model)
except OSError as error:
    print(error)

offer = call(f"/api/v1/models/{model}/offers")["results"][0]
quote = call("/api/v1/quotes", {
    "items": [{"offer": offer["id"]}], "currency": "EUR", "billing": address,
})
order = call("/api/v1/orders", {
    "quote": quote["id"],
    "accepted_terms": [line["terms"]["sha256"] for line in quote["lines"]],
    "payment_method": "test_success",
}, **{"Idempotency-Key": secrets.token_hex(8)})
print("order:", order["state"], order["total"])
gpt = AutoModelForCausalLM.from_pretrained(model)
tokens = AutoTokenizer.from_pretrained(model)("It is", return_tensors="pt")
print("loaded:", sum(p.numel() for p in gpt.parameters()), tuple(gpt(**tokens).logits.shape))
"""


HF = Path(sys.executable).with_name("hf")


def run(store: LiveStore, token: str, home: Path, *words: str) -> str:
    """Run a program that knows the store by two variables alone; return what it printed."""
    done = subprocess.run(
        words,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(home),
            "HF_HOME": str(home / f"hf-{token[-8:]}"),
            "HF_ENDPOINT": store.url,
            "HF_TOKEN": token,
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def call(store: LiveStore, path: str, token: str, body: Any) -> Any:
    request = urllib.request.Request(
        store.url + path,
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def saved(store: LiveStore, path: str, token: str) -> bytes:
    request = urllib.request.Request(store.url + path, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return bytes(answer.read())


@pytest.fixture
def model(store: LiveStore, publisher: HfApi, tmp_path: Path) -> str:
    """A tiny GPT that costs 19 euros."""
    repo = f"{publisher.whoami()['name']}/m-{secrets.token_hex(3)}"
    folder = save_tiny_gpt(tmp_path / "gpt", seed=secrets.randbits(31))
    run(store, publisher.token, tmp_path, str(HF), "upload", repo, str(folder))
    offer = {
        "title": "Commercial",
        "kind": "fixed",
        "prices": [{"currency": "EUR", "amount_minor": 1900}],
        "terms": "store-commercial",
    }
    call(store, f"/api/v1/models/{repo}/offers", publisher.token, offer)
    return repo


def test_from_pretrained_is_refused_buys_and_loads(
    store: LiveStore, model: str, tmp_path: Path
) -> None:
    _, token = store.person(scope="buy")
    told = run(store, token, tmp_path, sys.executable, "-c", BUYER, model)

    assert "it needs a license" in told
    assert '"Commercial" for 19.00 EUR' in told
    assert f"{store.url}/{model}" in told
    assert "order: fulfilled 19.00" in told
    assert "loaded: " in told
    check_offline(store, model, token, tmp_path)


def check_offline(store: LiveStore, model: str, token: str, home: Path) -> None:
    """What ``from_pretrained`` left in its cache is what the license covers; spoiled it is not."""
    file, keys = home / "bought.gpts-license", home / "keys.json"
    (row,) = json.loads(saved(store, "/api/v1/licenses", token))["results"]
    file.write_bytes(saved(store, f"/api/v1/licenses/{row['id']}/file", token))
    keys.write_bytes(saved(store, "/.well-known/jwks.json", token))
    cache = home / f"hf-{token[-8:]}"

    done = verify(file, keys, cache)

    assert (done.returncode, "are those it covers" in done.stdout) == (0, True), done.stdout
    assert "not here: README.md" in done.stdout
    (weights,) = (cache / f"hub/models--{model.replace('/', '--')}").rglob("model.safetensors")
    assert weights.is_symlink()
    weights.resolve().write_bytes(weights.read_bytes()[:-1] + b"x")
    done = verify(file, keys, cache)
    assert (done.returncode, "changed: model.safetensors" in done.stdout) == (3, True), done
    weights.unlink()
    done = verify(file, keys, cache)
    assert (done.returncode, "missing: model.safetensors" in done.stdout) == (3, True), done


def test_a_download_stops_when_it_is_refunded(
    store: LiveStore, publisher: HfApi, model: str, tmp_path: Path
) -> None:
    _, token = store.person(scope="buy")
    address = {"name": "Ada", "lines": ["Lindenallee 1"], "city": "Berlin", "country": "DE"}
    offers = f"{store.url}/api/v1/models/{model}/offers"
    with urllib.request.urlopen(offers, timeout=30) as answer:
        offer = json.load(answer)["results"][0]["id"]
    wish = {"items": [{"offer": offer}], "currency": "EUR", "billing": address}
    quote = call(store, "/api/v1/quotes", token, wish)
    terms = [line["terms"]["sha256"] for line in quote["lines"]]
    request = urllib.request.Request(
        f"{store.url}/api/v1/orders",
        data=json.dumps(
            {"quote": quote["id"], "accepted_terms": terms, "payment_method": "test_success"}
        ).encode(),
        headers={
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Idempotency-Key": secrets.token_hex(8),
        },
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        order = json.load(answer)
    links = xet_links(store, token, model)
    assert fetch(links[0]) == 206
    folder = snapshot_download(
        model, endpoint=store.url, token=token, cache_dir=tmp_path / "before"
    )
    assert (Path(folder) / "model.safetensors").stat().st_size > 100_000

    asked = call(store, f"/api/v1/orders/{order['id']}/refunds", token, {})
    call(store, f"/api/v1/refunds/{asked['id']}/accept", publisher.token, {})

    with pytest.raises(GatedRepoError):
        snapshot_download(model, endpoint=store.url, token=token, cache_dir=tmp_path / "after")
    assert fetch(links[0]) == 403  # a link that was made before


def xet_links(store: LiveStore, token: str, model: str) -> list[tuple[str, str]]:
    """Links to the pieces of the weights, with the ranges they are for, as a client gets them."""
    headers = {"Authorization": f"Bearer {token}"}
    info = urllib.request.Request(
        f"{store.url}/{model}/resolve/main/model.safetensors", method="HEAD", headers=headers
    )
    with urllib.request.urlopen(info, timeout=30) as answer:
        name = answer.headers["X-Xet-Hash"]
    asked = urllib.request.Request(
        f"{store.url}/api/models/{model}/xet-read-token/main", headers=headers
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:
        access = json.load(answer)
    plan = urllib.request.Request(
        f"{access['casUrl']}/v1/reconstructions/{name}",
        headers={"Authorization": f"Bearer {access['accessToken']}"},
    )
    with urllib.request.urlopen(plan, timeout=30) as answer:
        found = json.load(answer)["fetch_info"]
    return [
        (fetch["url"], f"bytes={fetch['url_range']['start']}-{fetch['url_range']['end']}")
        for fetches in found.values()
        for fetch in fetches
    ]


def fetch(link: tuple[str, str]) -> int:
    request = urllib.request.Request(link[0], headers={"Range": link[1]})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
