"""Listings made straight in the tables, and a plain-Python search to compare with."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from math import log
from typing import Any

from accounts.models import Namespace
from accounts.viewer import Viewer
from catalog.models import Listing, ListingPrice, ModelCard, ModelRepo
from catalog.search.documents import refresh_search
from catalog.search.fields import FIELDS, MEASURES
from catalog.search.ordering import PRICE_ORDERS
from catalog.search.query import SearchQuery
from store.core.money import currencies

START = datetime(2025, 1, 1, tzinfo=UTC)
COLUMNS = {
    "task": "pipeline_tag",
    "language": "languages",
    "license": "licenses",
    "commercial": "commercial_use",
    "base_model": "base_models",
    "architecture": "architecture",
    "format": "formats",
    "library": "library",
    "tag": "tags",
}


@dataclass(frozen=True)
class Made:
    """One listing as a test wants it."""

    owner: str = "alice"
    name: str = "tiny"
    is_private: bool = False
    gate: str = "none"
    task: str = ""
    language: tuple[str, ...] = ()
    license: tuple[str, ...] = ()
    commercial: str = "unknown"
    base_model: tuple[str, ...] = ()
    architecture: str = ""
    format: tuple[str, ...] = ()
    library: str = ""
    tag: tuple[str, ...] = ()
    runnable: bool = False
    parameters: int | None = None
    weights_bytes: int = 0
    summary: str = ""
    body: str = ""
    downloads: int = 0
    likes: int = 0
    trending: float = 0.0
    age_days: int = 0
    prices: tuple[tuple[str, int], ...] = ()
    """(currency, minor units); at least one where it is sold."""
    has_free_offer: bool = False
    repo_id: int = field(default=0, compare=False)

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.name}"

    @property
    def price_kinds(self) -> list[str]:
        is_free = not self.prices or self.has_free_offer
        return [*(["free"] if is_free else []), *(["paid"] if self.prices else [])]

    def price_in(self, currency: str) -> int | None:
        """The price a search goes by, in minor units; ``None``: sold in others only."""
        return dict(self.prices).get(currency) if self.prices else 0

    def values(self, name: str) -> set[str]:
        """The values of a search field."""
        special = {
            "publisher": {self.owner},
            "gated": {self.gate},
            "runnable": {"yes" if self.runnable else "no"},
            "price": set(self.price_kinds),
        }
        if name in special:
            return special[name]
        held = getattr(self, name)
        return set(held) if isinstance(held, tuple) else {held} - {""}

    def amount(self, measure: str) -> int:
        """The number a measure looks at; below 1: unknown."""
        known = {"parameters": self.parameters or 0, "size": self.weights_bytes}
        return known[measure]


def put(*wanted: Made) -> list[Made]:
    """Make the listings; return them with their ids."""
    spaces = dict(Namespace.objects.values_list("name", "pk"))
    repos = ModelRepo.objects.bulk_create(
        ModelRepo(
            namespace_id=spaces[made.owner],
            name=made.name,
            is_private=made.is_private,
            gate=made.gate,
        )
        for made in wanted
    )
    Listing.objects.bulk_create(
        Listing(
            repo=repo,
            full_name=made.full_name,
            is_private=made.is_private,
            is_runnable=made.runnable,
            parameters=made.parameters,
            weights_bytes=made.weights_bytes,
            summary=made.summary,
            downloads=made.downloads,
            likes=made.likes,
            trending=made.trending,
            created_at=START - timedelta(days=made.age_days),
            updated_at=START - timedelta(days=made.age_days // 2),
            price_kinds=made.price_kinds,
            **{column: _plain(getattr(made, name)) for name, column in COLUMNS.items()},
        )
        for repo, made in zip(repos, wanted, strict=True)
    )
    ListingPrice.objects.bulk_create(
        ListingPrice(listing_id=repo.pk, currency=currency, amount_minor=amount)
        for repo, made in zip(repos, wanted, strict=True)
        for currency, amount in made.prices
    )
    ModelCard.objects.bulk_create(
        ModelCard(repo=repo, body=made.body)
        for repo, made in zip(repos, wanted, strict=True)
        if made.body
    )
    refresh_search([repo.pk for repo in repos])
    own = [item.name for item in fields(Made) if item.name != "repo_id"]
    return [
        Made(**{name: getattr(made, name) for name in own}, repo_id=repo.pk)
        for repo, made in zip(repos, wanted, strict=True)
    ]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def names(rows: Iterable[Listing]) -> list[str]:
    """The ids of a page."""
    return [row.full_name for row in rows]


@dataclass
class Shelf:
    """The same questions answered the slow and obvious way."""

    listings: list[Made]

    def seen_by(self, viewer: Viewer) -> list[Made]:
        mine = set(Namespace.objects.filter(pk__in=viewer.roles).values_list("name", flat=True))
        return [made for made in self.listings if not made.is_private or made.owner in mine]

    def matching(self, viewer: Viewer, query: SearchQuery, *, apart_from: str = "") -> list[Made]:
        return [
            made
            for made in self.seen_by(viewer)
            if all(
                holds
                for name, holds in self._conditions(made, query, viewer).items()
                if name != apart_from
            )
        ]

    def ordered(self, viewer: Viewer, query: SearchQuery) -> list[str]:
        keys = {
            "trending": lambda made: made.trending,
            "downloads": lambda made: made.downloads,
            "likes": lambda made: made.likes,
            "newest": lambda made: -made.age_days,
            "updated": lambda made: -(made.age_days // 2),
            "parameters": lambda made: -1 if made.parameters is None else made.parameters,
            "size": lambda made: made.weights_bytes,
        }
        found = self.matching(viewer, query)
        if query.order in PRICE_ORDERS:
            currency = query.currency or self.usual_currency(viewer)
            return [made.full_name for made in by_price(found, query.order, currency)]
        if query.order == "name":
            found.sort(key=lambda made: (made.full_name.lower(), made.repo_id))
        else:
            key = keys[query.order]
            found.sort(key=lambda made: (key(made), made.repo_id), reverse=True)
        return [made.full_name for made in found]

    def usual_currency(self, viewer: Viewer) -> str:
        codes = [code for made in self.seen_by(viewer) for code, _amount in made.prices]
        return min(codes, key=lambda code: (-codes.count(code), code), default="EUR")

    def counts(self, viewer: Viewer, query: SearchQuery) -> dict[str, dict[str, int]]:
        """Every facet's complete counts, values that nothing has left out."""
        found = {}
        for each in FIELDS:
            among = self.matching(viewer, query, apart_from="" if each.needs_all else each.name)
            found[each.name] = _tally(value for made in among for value in made.values(each.name))
        for measure in MEASURES:
            among = self.matching(viewer, query, apart_from=measure.name)
            bars = (
                sum(edge <= made.amount(measure.name) for edge in measure.edges)
                for made in among
                if made.amount(measure.name) > 0
            )
            found[measure.name] = _tally(str(bar) for bar in bars)
        return found

    def _conditions(self, made: Made, query: SearchQuery, viewer: Viewer) -> dict[str, bool]:
        words = " ".join(
            [made.full_name, made.summary, made.body, made.task, made.architecture, made.library]
            + [tag for tag in made.tag if ":" not in tag]
            + [*made.base_model, *made.license, *made.format]
        )
        held = {
            "text": set(query.text.split())
            <= set(words.replace("-", " ").replace("/", " ").split()),
            "name_part": query.name_part.lower() in made.full_name.lower(),
            "author": query.author.lower() in {"", made.owner.lower()},
        }
        for each in FIELDS:
            chosen = set(query.chosen(each.name))
            here = made.values(each.name)
            held[each.name] = (
                chosen <= here if each.needs_all else not chosen or bool(chosen & here)
            )
        for measure in MEASURES:
            low, high = query.bounds(measure.name)
            amount = made.amount(measure.name)
            held[measure.name] = (low, high) == (None, None) or (
                amount > 0 and (low is None or amount >= low) and (high is None or amount <= high)
            )
        if query.has_price_range:
            currency = query.currency or self.usual_currency(viewer)
            price = made.price_in(currency)
            unit = 10 ** currencies()[currency]
            held["price_range"] = price is not None and (
                (query.price_min is None or price >= query.price_min * unit)
                and (query.price_max is None or price <= query.price_max * unit)
            )
        return held


def by_price(found: list[Made], order: str, currency: str) -> list[Made]:
    """What costs nothing, what has a price, what is sold in other currencies only."""

    def popularity(made: Made) -> float:
        return log(made.downloads + 1.0) + 2 * log(made.likes + 1.0)

    free = [made for made in found if not made.prices]
    other = [made for made in found if made.price_in(currency) is None]
    asked = [made for made in found if made.prices and made not in other]
    for group in (free, other):
        group.sort(key=lambda made: (round(popularity(made), 9), made.repo_id), reverse=True)
    asked.sort(
        key=lambda made: (made.price_in(currency) or 0, made.repo_id),
        reverse=order == "price_high",
    )
    return [*asked, *free, *other] if order == "price_high" else [*free, *asked, *other]


def _tally(values: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for value in values:
        found[value] = found.get(value, 0) + 1
    return found
