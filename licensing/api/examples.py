"""Real answers for the REST API's description; tested against its schema."""

from typing import Any

from drf_spectacular.utils import OpenApiExample

_SHA256 = "9d2ab1a3bb1ad5f4a3f6e6b7b0c2f3d64f0a3a4e7f0a8f4b6c1d2e3f40516273"
_RIGHTS = {
    "commercial_use": "yes",
    "derivatives": "yes",
    "redistribution": "no",
    "hosted_service": "no",
    "credit": False,
    "share_alike": False,
}
_TERMS = {"sha256": _SHA256, "title": "Commercial, own use", "url": f"/terms/{_SHA256}"}
_OFFER = {
    "id": "6f0e3a5d1c9b4e27a8d0f1b2",
    "title": "Commercial",
    "kind": "fixed",
    "interval": "",
    "prices": [
        {"currency": "EUR", "amount_minor": 1900, "amount": "19.00", "suggested_minor": None}
    ],
    "terms": _TERMS,
    "seats": 1,
    "seat_kind": "machines",
    "term_days": None,
    "updates": "all",
    "rights": _RIGHTS,
    "models": ["regency/austen-gpt2-small"],
}
_OWN_OFFER = {
    "id": _OFFER["id"],
    "is_active": True,
    "position": 1,
    "version": 1,
    "terms_sha256": _SHA256,
    "title": "Commercial",
    "description": "For one product of yours.",
    "kind": "fixed",
    "interval": "",
    "prices": [
        {
            "currency": "EUR",
            "amount_minor": 1900,
            "suggested_minor": None,
            "launch_minor": 1500,
            "launch_from": None,
            "launch_until": "2026-12-31T23:00:00Z",
        }
    ],
    "terms": "store-commercial",
    "own_text": "",
    "rights": _RIGHTS,
    "seats": 1,
    "seat_kind": "machines",
    "term_days": None,
    "updates": "all",
    "trial_tokens": 2000,
    "is_tax_included": False,
    "lineage_confirmed": False,
    "models": ["regency/austen-gpt2-small"],
}
_TAX = {
    "kind": "vat",
    "country": "DE",
    "region": "",
    "rate_basis_points": 1900,
    "reason": "domestic",
    "note": "",
}
_QUOTE: dict[str, Any] = {
    "id": "b41d9a7c5e3f20618d7c9b0a",
    "expires_at": "2026-11-26T06:30:00Z",
    "currency": "EUR",
    "lines": [
        {
            "offer": _OFFER["id"],
            "title": "Commercial",
            "models": ["regency/austen-gpt2-small"],
            "quantity": 1,
            "unit_minor": 1900,
            "discount_minor": 0,
            "net_minor": 1900,
            "tax_minor": 361,
            "gross_minor": 2261,
            "discount_periods": None,
            "later_gross_minor": None,
            "tax": _TAX,
            "terms": {"sha256": _SHA256, "title": "Commercial, own use"},
            "rights": _RIGHTS,
            "seats": 1,
            "seat_kind": "machines",
            "term_days": None,
            "updates": "all",
        }
    ],
    "net_minor": 1900,
    "tax_minor": 361,
    "gross_minor": 2261,
    "coupon": "",
}
_REFUND = {
    "id": "1a2b3c4d5e6f708192a3b4c5",
    "state": "asked",
    "amount_minor": 2261,
    "reason": "It writes no limericks.",
    "answer": "",
    "created_at": "2026-11-26T07:00:00Z",
}
_INVOICE: dict[str, Any] = {
    "id": "5d0b9c3e8f7a61420c9d8e7f",
    "kind": "invoice",
    "number": "TEST-REGENCY-2026-000001",
    "issued_on": "2026-11-26",
    "order": "e7c81f4b2a6d905314fe8b7a",
    "seller": "regency",
    "corrects": "",
    "currency": "EUR",
    "net_minor": 1900,
    "tax_minor": 361,
    "gross_minor": 2261,
    "total": "22.61",
    "is_test": True,
    "url": "https://models.example.org/api/v1/invoices/5d0b9c3e8f7a61420c9d8e7f/pdf",
}
_ORDER: dict[str, Any] = {
    "id": "e7c81f4b2a6d905314fe8b7a",
    "state": "fulfilled",
    "holder": "ada",
    "gateway": "sandbox",
    "is_test": True,
    "currency": "EUR",
    "net_minor": 1900,
    "tax_minor": 361,
    "gross_minor": 2261,
    "paid_minor": 2261,
    "refunded_minor": 0,
    "total": "22.61",
    "lines": [
        {
            "id": "0c1d2e3f4a5b6c7d8e9fa0b1",
            "title": "Commercial",
            "detail": "regency/austen-gpt2-small",
            "quantity": 1,
            "unit_minor": 1900,
            "discount_minor": 0,
            "net_minor": 1900,
            "tax_minor": 361,
            "gross_minor": 2261,
            "discount_periods": None,
            "later_gross_minor": None,
            "refunded_minor": 0,
            "terms_sha256": _SHA256,
            "license": "93f1c0de5b7a4e2f8a6d1c20",
        }
    ],
    "refunds": [],
    "invoices": [_INVOICE],
    "created_at": "2026-11-26T06:01:02Z",
    "expires_at": "2026-11-27T06:01:02Z",
    "checkout": None,
}


def _body(name: str, value: Any) -> OpenApiExample:
    return OpenApiExample(name, value=value, request_only=True)


def _answer(name: str, value: Any, *codes: str) -> OpenApiExample:
    return OpenApiExample(name, value=value, response_only=True, status_codes=codes or ("200",))


OFFERS = _answer("Offers", {"results": [_OFFER], "opens_at": None})
OWN_OFFERS = _answer("Offers", {"results": [_OWN_OFFER], "next": None})
OFFER = _answer("Offer", _OWN_OFFER, "200", "201")
OFFER_BODY = _body(
    "One price",
    {
        "title": "Commercial",
        "kind": "fixed",
        "prices": [{"currency": "EUR", "amount_minor": 1900}],
        "terms": "store-commercial",
    },
)
OPENING_BODY = _body("Early access", {"opens_at": "2027-03-01T12:00:00Z"})
OPENING = _answer("Early access", {"opens_at": "2027-03-01T12:00:00Z"})
REVENUE_ASK_BODY = _body("A tenth", {"basis_points": 1000})
REVENUE_ASK = _answer(
    "A tenth",
    {
        "basis_points": 1000,
        "upstream": [{"owner": "zoe", "model": "zoe/base", "basis_points": 500}],
    },
)
OFFER_STATE = _body("Off the shelf", {"is_active": False})
TERMS = _answer(
    "Terms",
    {
        "sha256": _SHA256,
        "title": "Commercial, own use",
        "source": "template",
        "text": "COMMERCIAL LICENSE\n\n…\n",
    },
)
QUOTE_BODY = _body(
    "One license",
    {
        "items": [{"offer": _OFFER["id"]}],
        "currency": "EUR",
        "billing": {
            "name": "Ada Byron",
            "lines": ["Lindenallee 1"],
            "city": "Berlin",
            "postcode": "10115",
            "country": "DE",
        },
    },
)
QUOTE = _answer("Quote", _QUOTE, "200", "201")
ORDER_BODY = _body(
    "Paid with a test card",
    {"quote": _QUOTE["id"], "accepted_terms": [_SHA256], "payment_method": "test_success"},
)
ORDER = _answer("Order", _ORDER, "200", "201")
ORDERS = _answer("Orders", {"results": [_ORDER], "next": None})
INVOICES = _answer("Invoices", {"results": [_INVOICE], "next": None})
PAY_BODY = _body("Test card", {"payment_method": "test_success"})
CANCELLED = _answer(
    "Cancelled",
    _ORDER
    | {
        "state": "cancelled",
        "paid_minor": 0,
        "lines": [_ORDER["lines"][0] | {"license": ""}],
        "invoices": [],
    },
)
REFUND_BODY = _body("Whole order", {"reason": "It writes no limericks."})
REFUND = _answer("Asked for", _REFUND, "200", "201")
REFUND_DONE = _answer("Refunded", _REFUND | {"state": "done"})
ACCEPT_BODY = _body("Granted", {"reason": "It does not load on their machine."})
DECLINE_BODY = _body("Why not", {"answer": "It was used for a month."})
