"""A board as lines of cells."""

from collections.abc import Iterator

from inference.services.board_plot import price_number
from inference.services.leaderboards import Board
from store.core.spreadsheets import plain_cell

HEAD = [
    *("rank", "model", "score", "low", "high", "unit", "samples", "not_distinguishable_from"),
    *("parameters", "weights_bytes", "licenses", "tokens_per_second", "price", "currency"),
    *("suite", "suite_version", "metric", "commit", "measured_at", "evaluation"),
]


def table_of(board: Board) -> Iterator[list[str]]:
    """Yield the head and a line a model, best first; numbers as measured, nothing rounded."""
    yield HEAD
    suite = board.suite
    for row in board.rows:
        cells = [
            *(row.rank, row.full_name, row.value, row.low, row.high, board.unit, row.samples),
            *(row.tied_with, row.parameters, row.weights_bytes, " ".join(row.licenses), row.speed),
            *(price_number(row.price_minor, board.currency), board.currency, suite.key),
            *(suite.version, board.metric, row.commit_oid, row.finished_at.isoformat(), row.run_id),
        ]
        yield [_cell(cell) for cell in cells]


def _cell(cell: object) -> str:
    """Return a cell; texts that others chose cannot be formulas, numbers may be negative."""
    if cell is None:
        return ""
    return plain_cell(cell) if isinstance(cell, str) else str(cell)
