"""A shop that takes money by Stripe, and Stripe itself, small, on loopback."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from pydantic import SecretStr

from licensing.gateways import stripe_client
from tests.stripe_fake import KEY, SECRET, StripeFake, signed

Deliver = Callable[..., Any]


@pytest.fixture
def fake(settings: Any) -> Iterator[StripeFake]:
    """Stripe, with a store that uses it."""
    with StripeFake() as running:
        settings.ENV = settings.ENV.model_copy(
            update={
                "gateways": ("stripe", "sandbox"),
                "stripe_secret_key": SecretStr(KEY),
                "stripe_webhook_secrets": (SecretStr(SECRET),),
                "stripe_api_base": running.url,
            }
        )
        yield running
        http = stripe_client.client()._requestor._client
        http.close()
        stripe_client._client.cache_clear()


@pytest.fixture
def refuse_writes(fake: StripeFake, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, Stripe refuses whatever would change something."""
    whole = fake.answer

    def answer(method: str, *rest: Any) -> Any:
        if method == "POST":
            return 400, {"error": {"type": "invalid_request_error", "message": "No."}}
        return whole(method, *rest)

    return lambda: monkeypatch.setattr(fake, "answer", answer)


@pytest.fixture
def deliver(client: Client) -> Deliver:
    """Send one event to the store's address as Stripe would."""

    def send(event: dict[str, Any], **how: Any) -> Any:
        body, header = signed(event, **how)
        return client.post(
            "/gateways/stripe/events",
            body,
            content_type="application/json",
            headers={"Stripe-Signature": header},
        )

    return send
