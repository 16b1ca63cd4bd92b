"""What a sale brings whom: the store its fee, owners upstream their shares, the seller the rest."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from licensing.services import fees, taxing
from licensing.services.upstream import asks_of_all
from licensing.terms.shares import UpstreamAsk, divide
from store.core.money import share_of, spread

if TYPE_CHECKING:
    from licensing.services.pricing import PricedLine


@dataclass(frozen=True, slots=True)
class PricedShare:
    """What an upstream owner gets of one line."""

    namespace_id: int
    repo_id: int
    basis_points: int
    amount_minor: int


def reckoned(
    lines: Sequence["PricedLine"], billing: Mapping[str, Any], at: datetime
) -> list["PricedLine"]:
    """Return lines with their tax, fee and shares; also of later periods that cost more.

    Raises:
        BadCountryError, BadRegionError, RateMissingError: see ``taxing.taxed``.
    """
    found = divided(taxing.taxed(lines, billing, on=at.date()), at)
    if all(line.discount_periods is None for line in lines):
        return found
    regular = [replace(line, discount_minor=0, discount_periods=None) for line in lines]
    later = reckoned(regular, billing, at)  # of one line: a subscription is ordered alone
    return [replace(line, later=dear) for line, dear in zip(found, later, strict=True)]


def divided(lines: Sequence["PricedLine"], at: datetime) -> list["PricedLine"]:
    """Work out what the store gets of each line's net price, and upstream owners of the rest.

    A bundle is divided equally between its models, whatever each costs alone.
    """
    rates = fees.fee_rates({line.offer.namespace_id for line in lines}, at)
    asks = iter(asks_of_all([(repo, line.offer) for line in lines for repo in line.repos]))
    return [_divided(line, rates[line.offer.namespace_id], asks) for line in lines]


def _divided(line: "PricedLine", rate: int, asks: Iterator[list[UpstreamAsk]]) -> "PricedLine":
    """Divide one line; ``asks`` goes on with those of its models, in order."""
    fee = share_of(line.net_minor, rate)
    parts = spread(line.net_minor - fee, [1] * len(line.repos))
    shares = [
        PricedShare(share.owner_id, share.repo_id, share.basis_points, share.amount_minor)
        for part, asked in zip(parts, islice(asks, len(line.repos)), strict=True)
        for share in (divide(part, asked) if part else ())
    ]
    return replace(line, fee_minor=fee, shares=tuple(_joined(shares)))


def _joined(shares: Sequence[PricedShare]) -> list[PricedShare]:
    """Return one share for each upstream model, in order."""
    joined: dict[int, PricedShare] = {}
    for share in shares:
        before = joined.get(share.repo_id)
        amount = share.amount_minor + (before.amount_minor if before else 0)
        joined[share.repo_id] = replace(share, amount_minor=amount)
    return [joined[repo_id] for repo_id in sorted(joined)]
