"""Tables for spreadsheets: CSV that streams, is read as UTF-8, and runs nothing."""

import csv
from collections.abc import Iterable, Iterator

from django.http import StreamingHttpResponse

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def plain_cell(text: str) -> str:
    """Return ``text`` so that no spreadsheet runs it: what begins like a formula gets a ``'``."""
    return f"'{text}" if text.startswith(_FORMULA) else text


class _Echo:
    """What ``csv`` writes to: it hands each line back."""

    def write(self, line: str) -> str:
        return line


def csv_text(lines: Iterable[list[str]]) -> Iterator[str]:
    """Yield lines of cells as CSV, as they come. Cells are written as they are."""
    writer = csv.writer(_Echo())
    yield "\ufeff"  # spreadsheets then know it is UTF-8
    for line in lines:
        yield str(writer.writerow(line))


def csv_answer(lines: Iterable[list[str]], name: str) -> StreamingHttpResponse:
    """Return an answer that saves a table.

    Args:
        lines: Cells that went through ``plain_cell`` where somebody else chose them.
        name: Of the file, plain ASCII.
    """
    answer = StreamingHttpResponse(csv_text(lines), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    answer["Cache-Control"] = "private, no-store"
    answer["X-Content-Type-Options"] = "nosniff"
    return answer
