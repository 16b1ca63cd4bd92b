"""Reading the parameters of a search: what anybody typed, as values that mean something."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from django.http import QueryDict

from catalog.search.amounts import BadAmountError, parse_amount
from store.core.errors import InvalidError
from store.core.money import BadAmountError as BadAmountOfMoneyError
from store.core.money import BadCurrencyError, check_currency, read_amount, read_number

MAX_TEXT_CHARS = 200
MAX_VALUE_CHARS = 200
MAX_VALUES = 20
"""Of one field."""

Params = QueryDict | Mapping[str, str | list[str]]
_N = TypeVar("_N", int, Decimal)


class BadQueryError(InvalidError):
    """A search parameter has a value that means nothing; ``extra["parameter"]`` names it."""

    code = "bad_query"


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads parameters; what is wrong raises or is left out.

    Args:
        params: Names and values.
        strict: Raise ``BadQueryError``; otherwise leave out what means nothing.
    """

    params: Params
    strict: bool

    def all(self, name: str) -> list[str]:
        """Return every value of a parameter."""
        if isinstance(self.params, QueryDict):
            return self.params.getlist(name)
        value = self.params.get(name, [])
        return [value] if isinstance(value, str) else list(value)

    def first(self, name: str) -> str:
        """Return the first value; empty where there is none."""
        return next(iter(self.all(name)), "")

    def wrong(self, name: str, why: str) -> None:
        """Say that a value means nothing."""
        if self.strict:
            raise BadQueryError(f"'{name}' {why}.", parameter=name)

    def text(self, name: str) -> str:
        """Return words for people, on one line."""
        found = self.first(name)
        text = " ".join(found.replace("\0", " ").split())
        if "\0" in found or len(text) > MAX_TEXT_CHARS:
            self.wrong(name, f"has at most {MAX_TEXT_CHARS} characters, NUL not among them")
        return text[:MAX_TEXT_CHARS].rstrip()

    def choice(self, name: str, choices: Iterable[str]) -> str:
        """Return one of ``choices``, or nothing."""
        found = self.first(name)
        if not found or found in choices:
            return found
        self.wrong(name, f"is one of {', '.join(choices)}")
        return ""

    def values(self, name: str, choices: Mapping[str, object]) -> tuple[str, ...]:
        """Return the values of a field, sorted; without ``choices`` any short text is one."""
        found = {value.strip() for value in self.all(name)} - {""}
        good = {
            value
            for value in found
            if len(value) <= MAX_VALUE_CHARS
            and "\0" not in value
            and (not choices or value in choices)
        }
        if good != found:
            known = f"one of {', '.join(choices)}" if choices else "too long"
            self.wrong(name, f"has a value that is {'not ' if choices else ''}{known}")
        if len(good) > MAX_VALUES:
            self.wrong(name, f"has at most {MAX_VALUES} values")
        return tuple(sorted(good)[:MAX_VALUES])

    def bounds(self, measure: str) -> tuple[int | None, int | None]:
        """Return (least, most) of a measure."""
        return self._in_order(measure, self.amount(measure, "min"), self.amount(measure, "max"))

    def amount(self, measure: str, end: str) -> int | None:
        """Return one end of a measure's range."""
        text = self.first(f"{measure}_{end}").strip()
        if not text:
            return None
        try:
            return parse_amount(text, measure=measure)
        except BadAmountError as exc:
            self.wrong(f"{measure}_{end}", exc.message)
            return None

    def currency(self) -> str:
        """Return the currency to compare prices in, in capitals; empty: not said."""
        text = self.first("currency")
        if not text.strip():
            return ""
        try:
            return check_currency(text)
        except BadCurrencyError as exc:
            self.wrong("currency", f"is wrong: {exc.message}")
            return ""

    def prices(self, currency: str) -> tuple[Decimal | None, Decimal | None]:
        """Return (least, most) of the price, in whole units."""
        low, high = self.price("min", currency), self.price("max", currency)
        return self._in_order("price", low, high)

    def price(self, end: str, currency: str) -> Decimal | None:
        """Return one end of the price's range; of no more decimals than the currency has."""
        text = self.first(f"price_{end}")
        if not text.strip():
            return None
        try:
            return read_amount(text, currency).decimal if currency else read_number(text)
        except BadAmountOfMoneyError as exc:
            self.wrong(f"price_{end}", f"is wrong: {exc.message}")
            return None

    def _in_order(self, name: str, low: _N | None, high: _N | None) -> tuple[_N | None, _N | None]:
        if low is not None and high is not None and low > high:
            self.wrong(f"{name}_min", f"is larger than {name}_max")
            return high, low  # two handles of a slider that were crossed
        return low, high
