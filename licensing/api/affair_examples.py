"""Real answers for the REST API's description of a seller's affairs; tested against its schema."""

from typing import Any

from drf_spectacular.utils import OpenApiExample

_COUPON: dict[str, Any] = {
    "code": "SPRING-25",
    "basis_points": 2500,
    "amount_minor": None,
    "currency": "",
    "periods": 3,
    "starts_at": None,
    "ends_at": "2027-06-01T00:00:00Z",
    "most_uses": 100,
    "most_uses_each": 1,
}
_MADE = _COUPON | {
    "id": "65f1c2a2b7e84d0f9a3b2d01",
    "offers": [],
    "uses": 0,
    "is_active": True,
    "created_at": "2026-11-26T09:20:01Z",
}
_PROFILE: dict[str, Any] = {
    "legal_name": "Regency Models GmbH",
    "address": ["Lindenallee 1", "10115 Berlin"],
    "country": "DE",
    "region": "",
    "is_registered": True,
    "vat_number": "DE136695976",
    "uses_oss": True,
    "registrations": ["GB", "US-NY"],
    "invoice_prefix": "RM",
}
_PAYOUT: dict[str, Any] = {
    "id": "65f1c3a2b7e84d0f9a3b2e01",
    "gateway": "sandbox",
    "is_test": True,
    "currency": "EUR",
    "amount_minor": 2071,
    "state": "sent",
    "failure": "",
    "until": "2026-12-15T00:00:00Z",
    "created_at": "2026-12-15T02:00:11.120377Z",
    "closed_at": "2026-12-15T02:00:12.004511Z",
    "statement": {
        "number": "TEST-RM-S-000001",
        "url": "/api/v1/payouts/65f1c3a2b7e84d0f9a3b2e01/statement",
    },
}


def _answer(name: str, value: Any, status: str = "200") -> OpenApiExample:
    return OpenApiExample(name, value=value, response_only=True, status_codes=(status,))


def _body(name: str, value: Any) -> OpenApiExample:
    return OpenApiExample(name, value=value, request_only=True)


COUPON_BODY = _body("A quarter off until June", _COUPON)
COUPON_MADE = _answer("Made", _MADE, "201")
COUPON_ENDED = _answer("Ended", _MADE | {"uses": 7, "is_active": False})
COUPONS = _answer("One coupon", {"results": [_MADE | {"uses": 7}], "next": None})
PROFILE_BODY = _body("A German company", _PROFILE)
PROFILE = _answer(
    "A German company",
    _PROFILE
    | {
        "seller": "regency",
        "name_on_documents": "Regency Models GmbH",
        "numbers_begin_with": "RM",
        "has_bank_details": True,
        "tax_rate_missing": "",
    },
)
PAYOUT = _answer("A payout", _PAYOUT)
PAYOUTS = _answer("One payout", {"results": [_PAYOUT], "next": None})
DESTINATIONS = _answer(
    "Stripe asks for more",
    {
        "seller": "regency",
        "page": "/sales/payouts/account?seller=regency",
        "results": [
            {
                "gateway": "stripe",
                "is_test": False,
                "state": "pending",
                "note": "",
                "told_at": "2026-11-26T09:20:01Z",
            },
            {
                "gateway": "sandbox",
                "is_test": True,
                "state": "ready",
                "note": "",
                "told_at": None,
            },
        ],
    },
)
