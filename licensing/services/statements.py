"""Reads a bank's statement: a CSV file with a fixed header, strictly, all of it or nothing."""

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from django.utils.translation import gettext as _

from store.core.errors import InvalidError, StoreError, TooLargeError
from store.core.money import Money, check_currency, read_amount

MAX_BYTES = 1_000_000
MAX_LINES = 10_000
REQUIRED = ("date", "amount", "currency", "reference")
OPTIONAL = ("id",)
_MAX_TEXT_CHARS = 500
_MAX_ID_CHARS = 90


class BadStatementError(InvalidError):
    """The file is no statement the store can read; ``extra.line`` is where, from 1."""

    code = "bad_statement"


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One movement on the account.

    Args:
        bank_ref: The bank's number of it, or a digest of the line: the same movement has the same
            in every file, as long as files hold whole days.
        booked_on: The day.
        money: What came in; never negative.
        text: What the payer wrote.
    """

    bank_ref: str
    booked_on: date
    money: Money
    text: str


def read_statement(data: bytes) -> list[StatementLine]:
    """Return the money that came in. What went out (a minus before the amount) is left out.

    Args:
        data: UTF-8, commas, first line ``date,amount,currency,reference`` and perhaps ``id``, in
            any order; dates as 2026-01-31, amounts as 19.00 or 19,00 without groups of thousands.

    Raises:
        TooLargeError: more than ``MAX_BYTES`` or ``MAX_LINES``.
        BadStatementError: a line is wrong; nothing of the file is to be believed.
    """
    if len(data) > MAX_BYTES:
        raise TooLargeError(_("A statement has at most 1 MB. Export fewer days."), most=MAX_BYTES)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadStatementError(_("Export the statement as UTF-8."), line=1) from error
    lines, seen = [], Counter[str]()
    for number, row in _rows(text):
        if row["amount"].strip().startswith("-"):
            continue
        lines.append(_line(number, row, seen))
    refs = Counter(line.bank_ref for line in lines)
    if twice := [ref for ref, count in refs.items() if count > 1]:
        raise BadStatementError(_("The id %(id)s is there twice.") % {"id": twice[0]}, line=1)
    return lines


def _rows(text: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Yield each row with the number of its line."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        known = set(REQUIRED) | set(OPTIONAL)
        if not set(REQUIRED) <= set(header) <= known or len(set(header)) < len(header):
            raise BadStatementError(
                _("The first line is: %(names)s, and id if the bank gives one.")
                % {"names": ",".join(REQUIRED)},
                line=1,
            )
        for count, cells in enumerate(reader, start=1):
            number = reader.line_num
            if count > MAX_LINES:
                raise TooLargeError(_("A statement has at most 10,000 lines."), most=MAX_LINES)
            if not cells:
                continue
            if len(cells) != len(header):
                raise _bad(number, _("there are %(n)d values") % {"n": len(cells)})
            yield number, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise _bad(reader.line_num, str(error)) from error


def _line(number: int, row: Mapping[str, str], seen: Counter[str]) -> StatementLine:
    try:
        booked_on = date.fromisoformat(row["date"].strip())
        money = read_amount(row["amount"], check_currency(row["currency"]))
    except (ValueError, StoreError) as error:
        raise _bad(number, getattr(error, "message", "") or str(error)) from error
    text = " ".join(row["reference"].split())[:_MAX_TEXT_CHARS]
    if not money.amount_minor or "\0" in text:
        raise _bad(number, _("nothing was paid, or the reference cannot be read"))
    ident = row.get("id", "").strip()
    if len(ident) > _MAX_ID_CHARS or not ident.isprintable():
        raise _bad(number, _("the id cannot be read"))
    return StatementLine(ident or _digest(booked_on, money, text, seen), booked_on, money, text)


def _digest(booked_on: date, money: Money, text: str, seen: Counter[str]) -> str:
    """Return a name for a movement without one; equal movements of a day are counted."""
    whole = f"{booked_on.isoformat()}\n{money.amount_minor}\n{money.currency}\n{text}"
    digest = hashlib.sha256(whole.encode()).hexdigest()[:40]
    seen[digest] += 1
    return f"line-{digest}-{seen[digest]}"


def _bad(number: int, why: str) -> BadStatementError:
    return BadStatementError(
        _("Line %(line)d: %(why)s. Nothing was imported.") % {"line": number, "why": why},
        line=number,
    )
