"""Scripts that buy from a store which is being killed: patient ones and ones that walk away."""

import http.client
import json
import secrets
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

PATIENCE_S = 180
ADDRESS = {"name": "Ada Byron", "lines": ["Lindenallee 1"], "city": "Berlin", "country": "DE"}
AWAY = (urllib.error.URLError, http.client.HTTPException, OSError, json.JSONDecodeError)
"""How a store looks that was killed just now."""


def call(url: str, token: str, body: Any = None, key: str = "") -> Any:
    """Ask the store once; GET without a body."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    if key:
        headers["Idempotency-Key"] = key
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers)
    with urllib.request.urlopen(request, timeout=15) as answer:
        return json.load(answer)


@dataclass
class Shopper:
    """One purchase by a script.

    Args:
        store: Address of the store.
        token: With the scope ``buy``.
        offer: What is bought.
        is_patient: It repeats what got no answer until it has its order. Others ask once and are
            never heard of again.
    """

    store: str
    token: str
    offer: str
    is_patient: bool
    key: str = field(default_factory=lambda: secrets.token_hex(8))
    order: dict[str, Any] = field(default_factory=dict)
    fault: str = ""

    def start(self) -> threading.Thread:
        thread = threading.Thread(target=self._buy, daemon=True)
        thread.start()
        return thread

    def _buy(self) -> None:
        try:
            quote = self._ask("/api/v1/quotes", self._wish())
            body = {
                "quote": quote["id"],
                "accepted_terms": [line["terms"]["sha256"] for line in quote["lines"]],
                "payment_method": "test_success",
            }
            self.order = self._ask("/api/v1/orders", body, self.key)
        except AWAY as error:
            if self.is_patient:
                self.fault = repr(error)

    def _wish(self) -> dict[str, Any]:
        return {"items": [{"offer": self.offer}], "currency": "EUR", "billing": ADDRESS}

    def _ask(self, path: str, body: Any, key: str = "") -> Any:
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                return call(self.store + path, self.token, body, key)
            except urllib.error.HTTPError as error:
                told = error.read()[:300]
                if error.code < 500:  # a refusal is an answer, and none is due here
                    self.fault = f"{path}: {error.code} {told!r}"
                    raise
                self._give_up_after(until, error)
            except AWAY as error:
                self._give_up_after(until, error)

    def _give_up_after(self, until: float, error: Exception) -> None:
        if not self.is_patient or time.monotonic() > until:
            raise error
        time.sleep(0.2)
