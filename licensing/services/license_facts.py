"""What is to be known of one license at one moment, read by one query.

Programs ask for it at every start, so it is plain SQL that each connection prepares once: building
the same query by the ORM, or planning it, takes longer than running it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from catalog.models import Grant
from licensing.models import SeatKind, Subscription
from store.core.database import prepared_rows

_FACTS = """
    SELECT l.id, l.public_id, l.title, l.licensee, l.rights::text, l.terms_id, l.seats,
        l.seat_kind, l.suspended_at IS NOT NULL, l.is_test, g.state, g.updates, g.starts_at,
        g.ends_at, COALESCE(s.state, ''),
        (
            SELECT count(*) FROM licensing_activation a
            WHERE a.license_id = l.id AND (a.ended_at IS NULL OR a.ended_at > %(now)s)
        ),
        a.id, a.seen_at,
        (
            SELECT json_agg(
                json_build_object(
                    'row', gr.id, 'id', r.public_id, 'name', n.name || '/' || r.name,
                    'revision', gr.commit_oid
                ) ORDER BY gr.id
            )::text
            FROM catalog_grantedrepo gr
            JOIN catalog_modelrepo r ON r.id = gr.repo_id
            JOIN accounts_namespace n ON n.id = r.namespace_id
            WHERE gr.grant_id = g.id
        )
    FROM licensing_license l
    JOIN catalog_grant g ON g.id = l.grant_id
    LEFT JOIN licensing_subscription s ON s.line_id = l.line_id
    LEFT JOIN LATERAL (
        SELECT id, seen_at FROM licensing_activation
        WHERE license_id = l.id AND (ended_at IS NULL OR ended_at > %(now)s)
        AND fingerprint = CASE WHEN %(user)s = '' THEN %(fingerprint)s ELSE (
            SELECT 'user:' || public_id FROM accounts_user WHERE lower(username) = lower(%(user)s)
        ) END
        LIMIT 1
    ) a ON true
    WHERE
"""
_BY_DIGEST = _FACTS + "l.key_digest = %(digest)s"
_BY_ID = _FACTS + "l.id = ANY(%(ids)s)"


@dataclass(frozen=True, slots=True)
class Model:
    """One model a license is for.

    Args:
        row_id: Of its ``GrantedRepo``.
        id: The store's id, which no rename changes.
        name: ``ns/name`` as it is called now.
        revision: The commit that was bought.
    """

    row_id: int
    id: str
    name: str
    revision: str


@dataclass(frozen=True, slots=True)
class LicenseFacts:
    """One license with its seats, at the moment it was read.

    Args:
        row_id: Of the ``License``.
        id: Its public id.
        title: What was bought.
        licensee: Name on it.
        rights: ``licensing.terms.rights.Rights`` as JSON.
        terms_sha256: Of the text agreed to.
        seats: How many; 0: any number.
        seat_kind: ``people`` or ``machines``.
        is_suspended: By its seller or staff.
        is_test: Paid through the sandbox.
        state: Of its grant.
        updates: Which later revisions it reaches.
        starts_at: When it begins.
        ends_at: When it ends; ``None``: never.
        is_overdue: A subscription whose payment is late.
        used_seats: How many are taken.
        seat_id: Of the ``Activation`` that was asked for; ``None``: there is none.
        seen_at: When that seat was last heard of.
        models: What it is for.
    """

    row_id: int
    id: str
    title: str
    licensee: str
    rights: dict[str, Any]
    terms_sha256: str
    seats: int
    seat_kind: str
    is_suspended: bool
    is_test: bool
    state: str
    updates: str
    starts_at: datetime
    ends_at: datetime | None
    is_overdue: bool
    used_seats: int
    seat_id: int | None
    seen_at: datetime | None
    models: tuple[Model, ...]

    @property
    def is_for_people(self) -> bool:
        """Whether its seats are people's."""
        return self.seat_kind == SeatKind.PEOPLE

    @property
    def is_revoked(self) -> bool:
        """Whether it was taken back for good."""
        return self.state == Grant.State.REVOKED


def facts_by_digest(
    digest: str, *, fingerprint: str = "", user: str = "", now: datetime | None = None
) -> LicenseFacts | None:
    """Return the license whose key has this digest; ``None``: there is none. One query.

    Args:
        digest: ``licensing.documents.keys.digest_to_look_up``.
        fingerprint: The machine whose seat is looked for; empty: none.
        user: The person whose seat is looked for instead, by name; empty: none.
        now: The moment to read it at.
    """
    found = _read(_BY_DIGEST, now, digest=digest, fingerprint=fingerprint, user=user)
    return found[0] if found else None


def facts_of(license_id: int, *, now: datetime | None = None) -> LicenseFacts:
    """Return the facts of a license by the id of its row. One query."""
    return facts_of_many([license_id], now=now)[license_id]


def facts_of_many(
    license_ids: Sequence[int], *, now: datetime | None = None
) -> dict[int, LicenseFacts]:
    """Return the facts of licenses by the ids of their rows. One query."""
    found = _read(_BY_ID, now, ids=list(license_ids), fingerprint="", user="")
    return {facts.row_id: facts for facts in found}


def _read(sql: str, now: datetime | None, **params: str | list[int]) -> list[LicenseFacts]:
    rows = prepared_rows(sql, {"now": now or timezone.now(), **params})
    return [_facts(*row) for row in rows]


def _facts(
    row_id: int, public_id: str, title: str, licensee: str, rights: str, terms: str, *rest: Any
) -> LicenseFacts:
    seats, kind, is_suspended, is_test, state, updates, *times = rest
    starts_at, ends_at, paid, used, seat, seen, models = times
    return LicenseFacts(
        row_id=row_id,
        id=public_id,
        title=title,
        licensee=licensee,
        rights=json.loads(rights),
        terms_sha256=terms,
        seats=seats,
        seat_kind=kind,
        is_suspended=is_suspended,
        is_test=is_test,
        state=state,
        updates=updates,
        starts_at=starts_at,
        ends_at=ends_at,
        is_overdue=paid == Subscription.State.OVERDUE,
        used_seats=used,
        seat_id=seat,
        seen_at=seen,
        models=tuple(
            Model(one["row"], one["id"], one["name"], one["revision"]) for one in json.loads(models)
        ),
    )
