"""The order offers stand in: the first is the one a buyer sees chosen."""

from typing import Literal

from django.db import transaction

from accounts.services.audit import record
from accounts.viewer import Viewer
from catalog.access import check_may
from catalog.models import ModelRepo
from licensing.models import Offer


@transaction.atomic
def move_offer(viewer: Viewer, repo: ModelRepo, offer: Offer, *, step: Literal[-1, 1]) -> list[int]:
    """Move an offer of a model one place up (-1) or down (1); at the end nothing changes.

    Only offers on the same shelf are passed: those that can be bought, or those that cannot.
    A bundle stands at one place for all its models.

    Returns:
        Ids of the model's offers in their order now.

    Raises:
        ForbiddenError: not theirs.
    """
    check_may(viewer, repo, to="admin")
    rows = Offer.objects.select_for_update().filter(pk__in=Offer.objects.of_repo(repo).values("pk"))
    found = list(rows.order_by("position", "id"))
    places = [index for index, row in enumerate(found) if row.is_active == offer.is_active]
    at = next((n for n, index in enumerate(places) if found[index].pk == offer.pk), None)
    if at is None or not 0 <= at + step < len(places):
        return [row.pk for row in found]
    here, there = places[at], places[at + step]
    found.insert(there, found.pop(here))
    last = -1
    for row, position in zip(found, sorted(row.position for row in found), strict=True):
        last = max(position, last + 1)
        if row.position != last:
            Offer.objects.filter(pk=row.pk).update(position=last)
    record(
        "offer.move",
        actor=viewer.user,
        subject=offer.title,
        namespace=repo.namespace,
        address=viewer.address,
        offer=offer.public_id,
        step=step,
    )
    return [row.pk for row in found]
