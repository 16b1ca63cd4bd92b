"""Real answers for the REST API's description of sales; each is tested against its schema."""

from typing import Any

from drf_spectacular.utils import OpenApiExample

from licensing.api.license_examples import LICENSES

_ORDER = "65f1c0a2b7e84d0f9a3b2c1d"
_FIGURES = {"sales": 2, "gross_minor": 4522, "refunded_minor": 0, "earned_minor": 4142}
_NOTHING = {"sales": 0, "gross_minor": 0, "refunded_minor": 0, "earned_minor": 0}
_SUM = {"sales": 2, "gross_minor": 4522, "net_minor": 3800, "refunded_minor": 0}
_COUNTS = {"now": 2, "before": 0}
_VIEWS = {"now": 31, "before": 12}
_SALE: dict[str, Any] = {
    "order": _ORDER,
    "state": "fulfilled",
    "is_test": True,
    "paid_at": "2026-11-25T02:19:05.471377Z",
    "currency": "EUR",
    "buyer": "Ada Byron",
    "holder": "ada",
    "country": "DE",
    "gross_minor": 2261,
    "refunded_minor": 0,
    "lines": [
        {
            "id": "65f1c0f3b7e84d0f9a3b2c2e",
            "title": "Commercial",
            "models": "regency/austen-gpt2-small",
            "offer": "65f1c0aab7e84d0f9a3b2c2a",
            "license": "65f1c0fab7e84d0f9a3b2c2f",
            "quantity": 1,
            "net_minor": 1900,
            "tax_minor": 361,
            "gross_minor": 2261,
            "discount_minor": 0,
            "discount_periods": None,
            "fee_minor": 190,
            "shares_minor": 0,
            "refunded_minor": 0,
        }
    ],
    "refunds": [],
}


def _answer(name: str, value: Any) -> OpenApiExample:
    return OpenApiExample(name, value=value, response_only=True, status_codes=("200",))


SALES = _answer("One sale", {"results": [_SALE], "next": None})
SALE = _answer("A sale", _SALE)
BUYERS = _answer(
    "One license",
    {
        "results": [
            LICENSES.value["results"][0] | {"order": "e7c81f4b2a6d905314fe8b7a", "country": "DE"}
        ],
        "next": None,
    },
)
SUMMARY = _answer(
    "A month of tests",
    {
        "seller": "regency",
        "first_day": "2026-10-28",
        "last_day": "2026-11-26",
        "downloads": {"now": 204, "before": 180},
        "funnels": [
            {
                "is_test": False,
                "views": _VIEWS,
                "begun": {"now": 0, "before": 0},
                "paid": {"now": 0, "before": 0},
                "days": [{"day": "2026-11-25", "views": 31, "begun": 0, "paid": 0}],
            },
            {
                "is_test": True,
                "views": _VIEWS,
                "begun": _COUNTS,
                "paid": _COUNTS,
                "days": [{"day": "2026-11-25", "views": 31, "begun": 2, "paid": 2}],
            },
        ],
        "purses": [
            {
                "currency": "EUR",
                "is_test": True,
                "now": _FIGURES,
                "before": _NOTHING,
                "days": [_FIGURES | {"day": "2026-11-25"}],
                "by_offer": [_SUM | {"key": "65f1c0aab7e84d0f9a3b2c2a", "title": "Commercial"}],
                "by_country": [_SUM | {"key": "DE", "title": ""}],
            }
        ],
    },
)
ENTRIES = _answer(
    "What one sale brought",
    {
        "results": [
            {
                "at": "2026-11-25T02:19:05.471377Z",
                "gateway": "sandbox",
                "is_test": True,
                "account": "payable",
                "movement": "sale",
                "purpose": "price",
                "order": _ORDER,
                "currency": "EUR",
                "amount_minor": 1710,
                "hold": "refund_window",
                "available_at": "2026-12-09T02:19:05.471377Z",
            }
        ],
        "next": None,
    },
)
BALANCES = _answer(
    "All of it held",
    {
        "seller": "regency",
        "balances": [
            {
                "gateway": "sandbox",
                "currency": "EUR",
                "is_test": True,
                "available_minor": 0,
                "held_minor": 2071,
                "disputed_minor": 0,
                "sending_minor": 0,
                "held": [
                    {
                        "order": _ORDER,
                        "amount_minor": 2071,
                        "rule": "Held for 14 days after the sale, as buyers can get their money"
                        " back at first.",
                        "release": "Released by itself on that day, unless the order is refunded.",
                        "available_at": "2026-12-09T02:19:05.471377Z",
                    }
                ],
                "has_more": False,
                "payout": {
                    "obstacle": "too_little",
                    "rule": "Less than €10.00 is not paid out.",
                    "release": "Released by the first payout after it has become that much.",
                    "on": None,
                    "least_minor": 1000,
                    "day": 1,
                    "sending": "Sent as soon as the payment service takes it; the store asks every"
                    " day.",
                },
            }
        ],
    },
)
