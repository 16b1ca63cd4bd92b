"""What the owners of upstream models get of a sale: exact integers, nearest ancestors first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from django.utils.translation import gettext as _

from store.core.errors import InvalidError
from store.core.money import BASIS_POINTS, share_of, spread

MOST_BASIS_POINTS = 5000
"""Of what a sale brings its seller (without tax and the store's fee), that all upstream owners
together can get: half stays with the seller."""


class BadShareError(InvalidError):
    """Not a share of an amount, or the same model asks twice."""

    code = "bad_share"


@dataclass(frozen=True, slots=True)
class UpstreamAsk:
    """What the owner of an ancestor asks of each sale of what is derived from it."""

    owner_id: int
    repo_id: int
    basis_points: int
    """Of the price without tax and the store's fee: 0 to 10,000."""
    distance: int = 1
    """Steps from the model that is sold; 1 is its direct base."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one ask gets."""

    owner_id: int
    repo_id: int
    basis_points: int
    """Granted, after the cap: at most what was asked."""
    amount_minor: int


def divide(
    left_minor: int, asks: Iterable[UpstreamAsk], *, most_basis_points: int = MOST_BASIS_POINTS
) -> list[Share]:
    """Return what each ask gets of one sale; the rest of it is the seller's.

    Nearer ancestors are served first. Where the cap is reached, those of one distance divide
    what is left of it by what they ask, so that no order of rows decides.

    Args:
        left_minor: What the seller would get without upstream owners: the price without tax and
            the store's fee, in minor units, from 0.
        asks: In any order; each model once. Leave out models of the seller.
        most_basis_points: The cap on all of them together, 0 to 10,000.

    Returns:
        One share for each ask, nearest first, then by model; a share that the cap leaves
        nothing of is there with 0. Their sum is ``share_of(left_minor, granted in total)``.

    Raises:
        BadShareError: a rate is not in 0 to 10,000, or a model asks twice.
        ValueError: the amount is negative.
    """
    if left_minor < 0:
        raise ValueError("Only a sale is divided. A refund books its own entries back.")
    ordered = sorted(asks, key=lambda ask: (ask.distance, ask.repo_id))
    _check(ordered, most_basis_points)
    granted: list[int] = []
    left = most_basis_points
    for _distance, level in groupby(ordered, key=lambda ask: ask.distance):
        points = _cap([ask.basis_points for ask in level], left)
        left -= sum(points)
        granted += points
    if not ordered:
        return []
    amounts = spread(share_of(left_minor, sum(granted)), granted)
    return [
        Share(ask.owner_id, ask.repo_id, points, amount)
        for ask, points, amount in zip(ordered, granted, amounts, strict=True)
    ]


def _cap(points: list[int], most: int) -> list[int]:
    return points if sum(points) <= most else spread(most, points)


def _check(asks: Sequence[UpstreamAsk], most_basis_points: int) -> None:
    for points in (most_basis_points, *(ask.basis_points for ask in asks)):
        if not 0 <= points <= BASIS_POINTS:
            raise BadShareError(
                _("A share is between 0 and 10,000 basis points, which is all."), given=points
            )
    if len({ask.repo_id for ask in asks}) != len(asks):
        raise BadShareError(_("A model asks for one share only. Join its asks into one."))
