"""A search as a value: from URL parameters and back, chip by chip."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Self
from urllib.parse import urlencode

from django.utils.translation import gettext as _

from catalog.search.amounts import amount_text, format_amount, parse_amount, range_text
from catalog.search.fields import FIELD, FIELDS, MEASURE, MEASURES
from catalog.search.ordering import ORDERS, PRICE_ORDERS, RELEVANCE, TRENDING
from catalog.search.params import BadQueryError, Params, Reader
from store.core.money import Money, currencies, show

_APP_FORMATS = {
    **dict.fromkeys(("llama.cpp", "ollama", "lmstudio", "jan", "koboldcpp", "gpt4all"), "gguf"),
    **dict.fromkeys(("transformers", "vllm", "sglang", "tgi", "mlx-lm"), "safetensors"),
}
"""What the programs the hub calls "apps" load."""

PRICE_RANGE = "price_range"
"""The condition on the price, beside that on its kind (``price``)."""


@dataclass(frozen=True, slots=True)
class Chip:
    """One condition of a search, with the search that lacks it."""

    field: str
    value: str
    label: str
    text: str
    rest: "SearchQuery"


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What to look for and in which order. All conditions must hold.

    Several values of one field: one of them must hold; of ``tag``: all. Make it with
    ``from_params`` or ``from_hub``; the values are bounded and sorted there.
    """

    text: str = ""
    """Words, in the syntax of web searches: quotes, ``or``, ``-``."""
    name_part: str = ""
    """Any part of the id, whatever its case."""
    author: str = ""
    """The exact namespace, whatever its case."""
    task: tuple[str, ...] = ()
    price: tuple[str, ...] = ()
    """Kinds of price: ``free``, ``paid``."""
    language: tuple[str, ...] = ()
    license: tuple[str, ...] = ()
    commercial: tuple[str, ...] = ()
    base_model: tuple[str, ...] = ()
    architecture: tuple[str, ...] = ()
    format: tuple[str, ...] = ()
    library: tuple[str, ...] = ()
    publisher: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()
    runnable: tuple[str, ...] = ()
    gated: tuple[str, ...] = ()
    parameters_min: int | None = None
    parameters_max: int | None = None
    size_min: int | None = None
    """Bytes of the weights; a listing without weights has no size."""
    size_max: int | None = None
    price_min: Decimal | None = None
    """In whole units of the currency; see ``catalog.search.prices`` for what a price is."""
    price_max: Decimal | None = None
    currency: str = ""
    """In which to compare prices; empty: the one that most listings have."""
    sort: str = ""
    """A name of ``ORDERS``; empty: relevance when there are words, else trending."""

    @property
    def order(self) -> str:
        """The name of the order that applies."""
        if self.sort == RELEVANCE and not self.text:
            return TRENDING
        return self.sort or (RELEVANCE if self.text else TRENDING)

    @property
    def query_string(self) -> str:
        """The search as it stands in a shareable URL, without ``?``."""
        return urlencode(self.to_params(), doseq=True)

    @property
    def is_empty(self) -> bool:
        """Nothing is asked for but an order."""
        return replace(self, sort="", currency="") == type(self)()

    @property
    def has_price_range(self) -> bool:
        """Whether the price is bounded."""
        return (self.price_min, self.price_max) != (None, None)

    @property
    def price_ends(self) -> tuple[str, str]:
        """Both ends of the price's range as typed into a form; empty: there is none."""
        low, high = self.price_min, self.price_max
        return ("" if low is None else _plain(low), "" if high is None else _plain(high))

    @property
    def compares_prices(self) -> bool:
        """Whether the answer depends on the currency."""
        return self.has_price_range or self.order in PRICE_ORDERS

    @classmethod
    def from_params(cls, params: Params, *, strict: bool = False) -> Self:
        """Read URL parameters; names that mean nothing here are passed over.

        Args:
            params: Names and values; ``q`` is the text, the rest are field names.
            strict: Refuse values that mean nothing (programs want to know). Otherwise such a
                value is left out (a person with an old link wants a page).

        Raises:
            BadQueryError: with ``strict``, a value means nothing.
        """
        reader = Reader(params, strict=strict)
        found: dict[str, Any] = {
            "text": reader.text("q"),
            "name_part": reader.text("search"),
            "author": reader.text("author"),
            "sort": reader.choice("sort", ORDERS),
            "currency": reader.currency(),
        }
        for field in FIELDS:
            found[field.name] = reader.values(field.name, dict(field.choices))
        for measure in MEASURES:
            low, high = reader.bounds(measure.name)
            found |= {f"{measure.name}_min": low, f"{measure.name}_max": high}
        low_price, high_price = reader.prices(found["currency"])
        return cls(**found, price_min=low_price, price_max=high_price)

    @classmethod
    def from_hub(
        cls,
        *,
        name_part: str = "",
        author: str = "",
        tags: Iterable[str] = (),
        task: str = "",
        parameters: str = "",
        gated: str = "",
        apps: Iterable[str] = (),
        sort: str = "",
    ) -> Self:
        """Translate the hub protocol's list parameters.

        Args:
            name_part: Any part of the id.
            author: Exact namespace.
            tags: Hub tags that must all apply (``license:mit``, ``gguf``, ``en`` …).
            task: Pipeline tag.
            parameters: ``min:6B,max:128B``; either half may be missing.
            gated: ``true``, ``false`` or empty.
            apps: Programs one of which must be able to load it, as the hub spells them.
            sort: A name of ``SORTS``.

        Raises:
            BadQueryError: a value means nothing.
        """
        wanted = list(apps)
        # an app we know nothing of loads a format of its own name, and so finds nothing
        loadable = {_APP_FORMATS.get(app, app) for app in wanted}
        gates = _HUB_GATES.get(gated.lower())
        if gates is None:
            raise BadQueryError("'gated' is true or false.", parameter="gated")
        low, high = _hub_range(parameters)
        params: dict[str, str | list[str]] = {
            "search": name_part,
            "author": author,
            "tag": list(tags),
            "task": [task] if task else [],
            "gated": gates,
            "format": sorted(loadable),
            "parameters_min": low,
            "parameters_max": high,
            "sort": sort,
        }
        return cls.from_params(params, strict=True)

    def to_params(self) -> dict[str, list[str]]:
        """Return the parameters ``from_params`` reads back to an equal search."""
        names = {"text": "q", "name_part": "search"}
        params: dict[str, list[str]] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int):
                measure = field.name.rpartition("_")[0]
                params[field.name] = [format_amount(value, measure=measure)]
            elif isinstance(value, Decimal):
                params[field.name] = [_plain(value)]
            elif value:
                texts = [value] if isinstance(value, str) else list(value)
                params[names.get(field.name, field.name)] = texts
        return params

    def in_currency(self, currency: str) -> Self:
        """Return the search with prices compared in a currency.

        Ends of the range that have more decimals than it are rounded inwards: nothing costs that.
        """
        unit = Decimal(1).scaleb(-currencies()[currency])
        ends = {"price_min": ROUND_CEILING, "price_max": ROUND_FLOOR}
        rounded = {
            name: amount.quantize(unit, rounding)
            for name, rounding in ends.items()
            if (amount := getattr(self, name)) is not None
        }
        return self._changed(rounded | {"currency": currency})

    def chosen(self, field: str) -> tuple[str, ...]:
        """Return the chosen values of a field of ``FIELDS``."""
        found: tuple[str, ...] = getattr(self, FIELD[field].name)
        return found

    def bounds(self, measure: str) -> tuple[int | None, int | None]:
        """Return (least, most) of a measure of ``MEASURES``, both inclusive."""
        name = MEASURE[measure].name
        return getattr(self, f"{name}_min"), getattr(self, f"{name}_max")

    def with_(self, field: str, value: str) -> Self:
        """Return the search that also has this value.

        Of a measure the value is a range, as ``1M..3M`` or ``1M..``; it, and words and the like,
        replace the one there.
        """
        if field in MEASURE:
            low, high = (
                parse_amount(end, measure=field) if end else None for end in value.split("..", 1)
            )
            return self._changed({f"{field}_min": low, f"{field}_max": high})
        if field in FIELD:
            return self._changed({field: tuple(sorted({*self.chosen(field), value}))})
        return self._changed({field: value})

    def without(self, field: str, value: str = "") -> Self:
        """Return the search that lacks this value; without ``value``, the whole condition."""
        if field in MEASURE:
            return self._changed({f"{field}_min": None, f"{field}_max": None})
        if field == PRICE_RANGE:
            return self._changed({"price_min": None, "price_max": None})
        if field in FIELD:
            kept = tuple(old for old in self.chosen(field) if value and old != value)
            return self._changed({field: kept})
        return self._changed({field: ""})

    def toggled(self, field: str, value: str) -> Self:
        """Return the search with this value, or without it if it has it."""
        has_it = value in self.chosen(field)
        return self.without(field, value) if has_it else self.with_(field, value)

    @property
    def chips(self) -> list[Chip]:
        """The conditions one by one, for removing them."""
        return list(self._chips())

    def _chips(self) -> Iterator[Chip]:
        labels = {"text": _("Words"), "name_part": _("Name"), "author": _("Publisher")}
        for name, label in labels.items():
            if text := getattr(self, name):
                yield Chip(name, text, label, text, self.without(name))
        for field in FIELDS:
            texts = dict(field.choices)
            for value in self.chosen(field.name):
                text = _(texts[value]) if value in texts else value
                rest = self.without(field.name, value)
                yield Chip(field.name, value, _(field.label), text, rest)
        for measure in MEASURES:
            low, high = self.bounds(measure.name)
            if (low, high) != (None, None):
                exact, shown = (
                    ["" if end is None else say(end, measure=measure.name) for end in (low, high)]
                    for say in (format_amount, amount_text)
                )
                rest = self.without(measure.name)
                label = _(measure.label)
                yield Chip(measure.name, "..".join(exact), label, range_text(*shown), rest)
        if self.has_price_range:
            ends = [self._price_text(end) for end in (self.price_min, self.price_max)]
            rest = self.without(PRICE_RANGE)
            yield Chip(PRICE_RANGE, "..".join(ends), _("Price"), range_text(*ends), rest)

    def _price_text(self, amount: Decimal | None) -> str:
        """Return an end of the price's range for people, in the currency if it is known."""
        if amount is None:
            return ""
        if not self.currency:
            return _plain(amount)
        minor = int(amount.scaleb(currencies()[self.currency]))
        return show(Money(minor, self.currency), is_brief=True)

    def _changed(self, changes: dict[str, Any]) -> Self:
        return replace(self, **changes)


_HUB_GATES: dict[str, list[str]] = {
    "": [],
    "true": ["auto", "manual", "sold"],  # clients are told that what is sold is gated
    "false": ["none"],
}


def _plain(amount: Decimal) -> str:
    """Write an amount without needless zeros: ``20``, ``19.5``."""
    return f"{amount.normalize():f}"


def _hub_range(text: str) -> tuple[str, str]:
    ends = {"min": "", "max": ""}
    for part in filter(None, text.split(",")):
        name, _colon, amount = part.partition(":")
        if name not in ends or not amount:
            raise BadQueryError(
                "'num_parameters' reads min:6B,max:128B; either half may be missing.",
                parameter="num_parameters",
            )
        ends[name] = amount
    return ends["min"], ends["max"]
