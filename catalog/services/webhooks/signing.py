"""The secrets of a webhook: kept sealed, and what each delivery is signed with.

Signatures follow Standard Webhooks (standardwebhooks.com, HMAC-SHA256 over id, time and body), so
receivers check them with a library of their language. The key is the store's own: the owner's
word, which hub clients expect in a header, travels in clear and so can sign nothing.
"""

import base64
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone
from standardwebhooks.webhooks import Webhook as Signer

from catalog.models import Webhook
from store.core.sealing import unseal

KEY_BYTES = 32
OVERLAP = timedelta(days=1)
"""So long an old key signs beside the new one."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What a webhook's deliveries carry."""

    word: str
    """Sent as it is; empty: none."""
    keys: tuple[str, ...]
    """Newest first."""

    def headers(self, message_id: str, at: datetime, body: str) -> dict[str, str]:
        """Return the headers that prove where ``body`` comes from."""
        signatures = [Signer(key).sign(message_id, at, body) for key in self.keys]
        headers = {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": " ".join(signatures),
        }
        return headers | ({"X-Webhook-Secret": self.word} if self.word else {})


def new_key() -> str:
    """Return a fresh key as people copy it: ``whsec_`` and base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def purpose(webhook: Webhook, what: str) -> str:
    """Return what a secret of ``webhook`` is sealed for."""
    return f"webhook:{webhook.public_id}:{what}"


def secrets_of(webhook: Webhook) -> Secrets:
    """Open the secrets of a webhook.

    Raises:
        SealBrokenError: they were sealed under another ``SECRET_KEY``.
    """
    key = purpose(webhook, "key")
    word = webhook.sealed_secret and unseal(
        webhook.sealed_secret, purpose=purpose(webhook, "secret")
    )
    keys = [unseal(webhook.sealed_key, purpose=key)]
    if webhook.old_key_until is not None and webhook.old_key_until > timezone.now():
        keys.append(unseal(webhook.sealed_old_key, purpose=key))
    return Secrets(word, tuple(keys))
