"""Licenses and seats as plain data, in the shapes ``license_serializers`` describe."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from licensing.documents.jws import FORMAT
from licensing.models import Activation, License
from licensing.services import extending
from licensing.services.issuing import CheckedOut, file_name
from licensing.services.license_facts import LicenseFacts, facts_of_many
from licensing.services.subscriptions import Standing
from licensing.services.validating import message_of, standing_of


def facts_json(facts: LicenseFacts) -> dict[str, Any]:
    """Return ``LicenseFactsOut``."""
    return {
        "id": facts.id,
        "title": facts.title,
        "licensee": facts.licensee,
        "is_test": facts.is_test,
        "starts_at": moment(facts.starts_at),
        "ends_at": moment(facts.ends_at),
        "seats": {
            "count": facts.seats or None,
            "kind": facts.seat_kind,
            "used": facts.used_seats,
        },
        "rights": facts.rights,
        "terms_sha256": facts.terms_sha256,
        "updates": facts.updates,
        "models": [
            {"id": one.id, "name": one.name, "revision": one.revision} for one in facts.models
        ],
    }


def licenses_json(rows: Sequence[License]) -> list[dict[str, Any]]:
    """Return ``LicenseOut`` of each; one query for all of them."""
    facts = facts_of_many([row.pk for row in rows])
    return [_license(row, facts[row.pk]) for row in rows]


def license_json(row: License) -> dict[str, Any]:
    """Return ``LicenseOut``."""
    return licenses_json([row])[0]


def _license(row: License, facts: LicenseFacts) -> dict[str, Any]:
    code = standing_of(facts)
    return facts_json(facts) | {
        "code": code.value,
        "message": message_of(code),
        "seller": row.seller.name,
        "holder": row.holder.name,
        "terms_title": row.terms.title,
        "created_at": moment(row.created_at),
        "key_rotation": row.key_rotation,
        "suspended_for": row.suspended_for,
        "is_renewable": not extending.reason_against(row),
    }


def subscription_json(found: Standing) -> dict[str, Any]:
    """Return ``SubscriptionOut``."""
    subscription = found.subscription
    return {
        "license": found.license.public_id,
        "state": subscription.state,
        "interval": found.interval,
        "periods": subscription.periods,
        "paid_until": moment(subscription.paid_until),
        "next_charge_at": moment(found.next_charge_at),
        "is_resumable": found.is_resumable,
        "amount_minor": found.amount_minor,
        "later_amount_minor": found.later.amount_minor if found.later else None,
        "later_from": moment(found.later.begins_at) if found.later else None,
        "currency": found.currency,
    }


def activation_json(row: Activation) -> dict[str, Any]:
    """Return ``ActivationOut``."""
    return {
        "id": row.public_id,
        "fingerprint": "" if row.user is not None else row.fingerprint,
        "user": row.user.username if row.user is not None else None,
        "label": row.label,
        "created_at": moment(row.created_at),
        "seen_at": moment(row.seen_at),
        "held_until": moment(row.held_until),
        "ended_at": moment(row.ended_at),
    }


def checkout_json(license_: License, found: CheckedOut) -> dict[str, Any]:
    """Return ``CheckoutOut``."""
    return {
        "file": {"format": FORMAT, "license": found.text},
        "file_name": file_name(license_),
        "expires_at": moment(found.expires_at),
        "activation": activation_json(found.activation),
    }


def moment(at: datetime | None) -> str | None:
    """Return a moment as the API writes it."""
    return None if at is None else at.isoformat().replace("+00:00", "Z")
