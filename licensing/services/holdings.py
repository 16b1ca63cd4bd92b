"""What people and their teams hold, as the library's pages show it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.conf import settings
from django.db.models import Case, IntegerField, Q, QuerySet, Value, When
from django.utils import timezone

from accounts.models import AuditEvent
from accounts.viewer import Viewer
from catalog.models import Grant, GrantedRepo, ModelRepo
from licensing.access import licenses_of
from licensing.models import License, Order
from licensing.services.license_facts import LicenseFacts, facts_of_many
from licensing.services.validating import Code, standing_of

MAX_HISTORY = 50


class Show(StrEnum):
    """Which licenses a page lists."""

    ALL = "all"
    ACTIVE = "active"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Held:
    """One license of a library.

    Args:
        license: With grant, holder and terms.
        facts: Seats and times, at the moment they were read.
        code: Whether it counts: ``VALID`` or why not.
        repos: The models, as they are called now.
        is_own: It is the person's, not a team's.
    """

    license: License
    facts: LicenseFacts
    code: Code
    repos: Sequence[ModelRepo]
    is_own: bool

    @property
    def is_in_force(self) -> bool:
        """It opens its models now."""
        return self.code == Code.VALID

    @property
    def has_news(self) -> bool:
        """A model changed since it was bought; whether the license reaches that, its page tells."""
        return any(repo.updated_at > self.license.created_at for repo in self.repos)


def library_of(
    viewer: Viewer, *, show: Show = Show.ALL, text: str = "", start: int = 0, limit: int = 30
) -> tuple[list[Held], int]:
    """Return a page of what the viewer and their teams hold: their own first, then by team.

    A handful of queries, however many licenses there are.

    Args:
        viewer: A person.
        show: Which of them.
        text: Part of a title or of a model's name; empty: any.
        start: How many to leave out.
        limit: How many to return at most.

    Returns:
        The licenses, and how many there are in all.
    """
    rows = _matching(licenses_of(viewer), show, text.strip())
    user = viewer.signed_in()
    is_other = Case(
        When(holder__user=user, then=Value(0)), default=Value(1), output_field=IntegerField()
    )
    ordered = rows.annotate(is_other=is_other).order_by("is_other", "holder__name", "-id")
    found = list(ordered[start : start + limit])
    return holdings_of(found, user.pk), rows.count()


def holdings_of(licenses: Sequence[License], user_id: int) -> list[Held]:
    """Return licenses with their seats and models; two queries."""
    facts = facts_of_many([row.pk for row in licenses])
    repos = _repos_of([row.grant_id for row in licenses])
    return [
        Held(
            license=row,
            facts=facts[row.pk],
            code=standing_of(facts[row.pk]),
            repos=repos.get(row.grant_id, []),
            is_own=row.holder.user_id == user_id,
        )
        for row in licenses
    ]


def _matching(rows: QuerySet[License], show: Show, text: str) -> QuerySet[License]:
    if show != Show.ALL:
        is_open = Q(grant__in=Grant.objects.in_force(), suspended_at=None)
        rows = rows.filter(is_open if show == Show.ACTIVE else ~is_open)
    if text:
        owner, _sep, name = text.partition("/")
        named = Q(repo__name__icontains=text) | Q(repo__namespace__name__icontains=text)
        if name:
            named |= Q(repo__namespace__name__iexact=owner, repo__name__istartswith=name)
        granted = GrantedRepo.objects.filter(named).values("grant")
        rows = rows.filter(Q(title__icontains=text) | Q(grant__in=granted))
    return rows


def _repos_of(grants: Sequence[int]) -> dict[int, list[ModelRepo]]:
    found: dict[int, list[ModelRepo]] = {}
    rows = GrantedRepo.objects.filter(grant_id__in=grants).select_related("repo__namespace")
    for row in rows.order_by("id"):
        found.setdefault(row.grant_id, []).append(row.repo)
    return found


def history_of(license_: License) -> list[AuditEvent]:
    """Return what was done with a license and its order, the newest first."""
    subjects = [license_.public_id, license_.line.order.public_id]
    rows = AuditEvent.objects.filter(subject__in=subjects, namespace_id=license_.holder_id)
    return list(rows.order_by("-id")[:MAX_HISTORY])


def refund_until(order: Order) -> datetime | None:
    """Return until when a refund can be asked for; ``None``: nothing was paid."""
    if order.paid_at is None or not order.gross_minor:
        return None
    return order.paid_at + timedelta(days=settings.ENV.refund_days)


def may_ask_refund(order: Order) -> bool:
    """Whether the window is open and there is something to give back."""
    until = refund_until(order)
    is_paid = order.state in {Order.State.PAID, Order.State.FULFILLED}
    return until is not None and is_paid and timezone.now() <= until
