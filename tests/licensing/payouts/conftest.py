"""Ways to pay out that tests choose from."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from licensing.gateways import registry
from licensing.services import paying_out, payouts


@dataclass
class Bank:
    """A gateway that sends money itself, fails when it is told to, and keeps to its keys."""

    name: str = "bank"
    is_test: bool = False
    sent: dict[str, int] = field(default_factory=dict)
    errors: list[Exception] = field(default_factory=list)
    errors_after: list[Exception] = field(default_factory=list)

    def pay_out(self, *, account: str, amount_minor: int, currency: str, key: str) -> str:
        if self.errors:
            raise self.errors.pop(0)
        self.sent[key] = amount_minor
        if self.errors_after:
            raise self.errors_after.pop(0)
        return f"tr_{key}"


@pytest.fixture
def bank(monkeypatch: pytest.MonkeyPatch) -> Bank:
    """A gateway ``bank`` at which everybody has an account."""
    from licensing.services import payout_accounts

    found = Bank()
    monkeypatch.setattr(
        payout_accounts,
        "_FINDERS",
        {**payout_accounts._FINDERS, "bank": lambda namespace: f"acct_{namespace.name}"},
    )
    _add(monkeypatch, found)
    return found


@pytest.fixture
def gateways(settings: Any) -> None:
    """``invoice`` beside the sandbox: money that staff transfer by hand."""
    settings.ENV = settings.ENV.model_copy(
        update={"gateways": ("sandbox", "invoice"), "bank_details": "IBAN DE02"}
    )


def _add(monkeypatch: pytest.MonkeyPatch, gateway: Bank) -> None:
    def named(name: str) -> Any:
        return gateway if name == gateway.name else registry.gateway_named(name)

    for module in (payouts, paying_out):
        monkeypatch.setattr(module, "gateway_named", named)
