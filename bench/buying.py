"""Buying from a script: how soon the bytes come, and what asking for a license costs a download.

A running store as ``make run`` starts it, sandbox gateway; each purchase is a new order for a
model of 40 MB by a person who did not have it. *Order to the first byte*: from sending the order,
which pays, to the first byte of the weights. *Asking for the license*: the same file from a free
model, a sold one by its owner, and a sold one by a license holder, in turn; the median of the time
to the first byte and of what the holder's lies above the free one's.
"""

import http.client
import json
import secrets
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench._live import PERSON, live, set_up_django, token

PURCHASES = 100
ROUNDS = 300
WEIGHT_BYTES = 40_000_000
OFFER = {
    "title": "Commercial",
    "kind": "fixed",
    "prices": [{"currency": "EUR", "amount_minor": 1900}],
    "terms": "store-commercial",
}
ADDRESS = {"name": "Ada Byron", "lines": ["Lindenallee 1"], "city": "Berlin", "country": "DE"}


class Caller:
    """One kept connection to the store."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self.token = url, token
        parts = urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        self.headers = {"Authorization": f"Bearer {token}"}

    def again(self) -> "Caller":
        """Return the same caller on a new connection: the store closes idle ones."""
        return Caller(self.url, self.token)

    def json(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Call the REST API; fail on anything but success."""
        sent = {**self.headers, "Content-Type": "application/json", **headers}
        data = json.dumps(body) if body is not None else None
        self.connection.request(method, path, data, sent)
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status < 300, (answer.status, text)
        return json.loads(text) if text else None

    def first_byte(self, path: str) -> float:
        """Return how long the first byte of a file takes, in seconds; read 64 kB of it."""
        started = time.perf_counter()
        headers = {**self.headers, "Range": "bytes=0-65535"}
        self.connection.request("GET", path, headers=headers)
        answer = self.connection.getresponse()
        assert answer.status == 206, answer.status
        answer.read(1)
        took_s = time.perf_counter() - started
        answer.read()
        return took_s


def run() -> list[tuple[str, str]]:
    """Measure and return (figure, value) rows."""
    with live() as store, tempfile.TemporaryDirectory() as folder:
        set_up_django()
        publish = token(store)
        stamp = int(time.time())
        sold, free = f"{PERSON}/sold-{stamp}", f"{PERSON}/free-{stamp}"
        for repo in (sold, free):
            publish_model(store.url, publish, repo, Path(folder))
        owner = Caller(store.url, publish)
        wait_until_clean(owner, sold)
        offer = owner.json("POST", f"/api/v1/models/{sold}/offers", OFFER)["id"]
        buyers = [Caller(store.url, text) for text in new_buyers(PURCHASES)]
        rows = purchases(buyers, sold, offer)
        return rows + asking(owner.again(), buyers[0].again(), sold, free)


def new_buyers(count: int) -> list[str]:
    """Make people who may buy; return their tokens."""
    from accounts.models import Scope
    from accounts.services.people import create_user
    from accounts.services.tokens import create_token

    tokens = []
    for _ in range(count):
        name = f"buyer{secrets.token_hex(6)}"
        user = create_user(
            username=name, email=f"{name}@example.org", password=secrets.token_hex(12)
        )
        tokens.append(create_token(user, name="bench", scopes=[Scope.BUY])[1])
    return tokens


def wait_until_clean(owner: Caller, repo: str) -> None:
    """Wait for the scan: what is not known to be harmless cannot be sold."""
    while owner.json("GET", f"/api/v1/models/{repo}")["verdict"] != "clean":
        time.sleep(0.2)


def publish_model(url: str, token: str, repo: str, folder: Path) -> None:
    """Publish random weights."""
    import numpy as np
    from huggingface_hub import HfApi
    from safetensors.numpy import save_file

    weights = np.random.default_rng().random(WEIGHT_BYTES // 4, dtype=np.float32)
    save_file({"w": weights}, folder / "model.safetensors")
    (folder / "config.json").write_text('{"model_type": "gpt2"}')
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# Weights\n")
    api = HfApi(endpoint=url, token=token)
    api.create_repo(repo)
    api.upload_folder(repo_id=repo, folder_path=folder)


def quoted(buyer: Caller, offer: str) -> dict[str, Any]:
    """Return the body of an order for what was quoted."""
    wish = {"items": [{"offer": offer}], "currency": "EUR", "billing": ADDRESS}
    quote = buyer.json("POST", "/api/v1/quotes", wish)
    return {
        "quote": quote["id"],
        "accepted_terms": [line["terms"]["sha256"] for line in quote["lines"]],
        "payment_method": "test_success",
    }


def purchases(buyers: list[Caller], sold: str, offer: str) -> list[tuple[str, str]]:
    """Time orders up to the first byte, each by somebody who had no license."""
    took: list[float] = []
    for buyer in (each.again() for each in buyers):
        body, key = quoted(buyer, offer), {"Idempotency-Key": secrets.token_hex(8)}
        started = time.perf_counter()
        order = buyer.json("POST", "/api/v1/orders", body, **key)
        buyer.first_byte(f"/{sold}/resolve/main/model.safetensors")
        took.append(time.perf_counter() - started)
        assert order["state"] == "fulfilled"
    median, p95 = statistics.median(took) * 1000, statistics.quantiles(took, n=20)[18] * 1000
    figure = f"order to the first byte of the weights, {len(buyers)} purchases (p95 < 1 s)"
    return [(figure, f"median {median:.0f} ms, p95 {p95:.0f} ms")]


def asking(owner: Caller, buyer: Caller, sold: str, free: str) -> list[tuple[str, str]]:
    """Compare the first byte of the same download with and without a license to look for."""
    kinds = {
        "a free model": (buyer, free),
        "a sold model, by its owner": (owner, sold),
        "a sold model, by a license holder": (buyer, sold),
    }
    took: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(ROUNDS):
        for name, (who, repo) in kinds.items():
            took[name].append(who.first_byte(f"/{repo}/resolve/main/model.safetensors"))
    rows = [
        (f"first byte of {name}", f"{statistics.median(times) * 1000:.2f} ms")
        for name, times in took.items()
    ]
    first, last = took["a free model"], took["a sold model, by a license holder"]
    added = statistics.median(b - a for a, b in zip(first, last, strict=True))
    return [*rows, ("asking for the license adds (< 2 ms)", f"{added * 1000:.2f} ms")]
