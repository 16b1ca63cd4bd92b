"""Numbers, sizes and times as people read them."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.utils import timezone

from store.core.templatetags.store_formats import day, moment
from store.core.ui import figures

NOW = datetime(2026, 2, 3, 16, 5, 30, tzinfo=UTC)


def plain(text: str) -> str:
    """With ordinary spaces, for reading."""
    return text.replace(figures.THIN, " ")


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (None, figures.UNKNOWN),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1049, "1 kB"),
        (1050, "1.1 kB"),
        (99_949, "99.9 kB"),
        (99_950, "100 kB"),
        (269_000_000, "269 MB"),
        (999_499_999, "999 MB"),
        (999_500_000, "1 GB"),
        (1_234_000_000, "1.2 GB"),
        (50 * 10**12, "50 TB"),
        (1234 * 10**15, "1,234 PB"),
    ],
)
def test_sizes(size_bytes: int | None, text: str) -> None:
    assert plain(figures.size_text(size_bytes)) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (7, "7"),
        (999, "999"),
        (1204, "1.2 k"),
        (12_400, "12.4 k"),
        (999_499, "999 k"),
        (999_999, "1 M"),
        (135_000_000, "135 M"),
        (7_000_000_000, "7 B"),
        (1_500_000_000_000, "1.5 T"),
    ],
)
def test_counts(number: int, text: str) -> None:
    assert plain(figures.count_text(number)) == text


def test_units_never_break_from_their_numbers() -> None:
    assert figures.size_text(1_200_000_000) == "1.2\u202fGB"
    assert figures.exact_text(1204) == "1,204"


@pytest.mark.parametrize(
    ("value", "unit", "half_width", "text"),
    [
        (15.04, "tok/s", None, "15 tok/s"),
        (15.26, "tok/s", None, "15.3 tok/s"),
        (0.0, "", None, "0"),
        (1234.5, "ms", None, "1,234 ms"),
        (0.4831, "", None, "0.483"),
        (24.13, "", 0.8, "24.1 ± 0.8"),
        (24.13, "", 1.3, "24.1 ± 1.3"),
        (24.13, "", 3.0, "24 ± 3"),
        (0.6123, "", 0.0912, "0.61 ± 0.09"),
        (5.0, "bits", 0.0, "5.0000 ± 0.0000 bits"),
    ],
)
def test_measured_values(value: float, unit: str, half_width: float | None, text: str) -> None:
    assert plain(figures.measured_text(value, unit, half_width=half_width)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.84, "0.8 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (125, "2 min 5 s"),
        (3599.6, "1 h"),
        (4320, "1 h 12 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert plain(figures.duration_text(seconds)) == text


@pytest.mark.parametrize(("share", "text"), [(0, "0 %"), (0.4834, "48.3 %"), (1, "100 %")])
def test_shares(share: float, text: str) -> None:
    assert plain(figures.percent_text(share)) == text


@pytest.mark.parametrize(
    "write", [figures.count_text, figures.exact_text, figures.percent_text, figures.duration_text]
)
def test_unknown_is_a_dash(write) -> None:
    assert write(None) == figures.measured_text(None) == "\u2013"


@time_machine.travel(NOW, tick=False)
@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (timedelta(seconds=20), "just now"),
        (timedelta(minutes=5), "5\xa0minutes ago"),
        (timedelta(days=3, hours=5), "3\xa0days ago"),
        (-timedelta(days=15), "in 2\xa0weeks"),
    ],
)
def test_times_from_now(ago: timedelta, text: str) -> None:
    assert figures.relative_text(timezone.now() - ago) == text


@time_machine.travel(NOW, tick=False)
def test_dates_are_absolute_and_relative_on_hover() -> None:
    when = NOW - timedelta(days=3)

    assert day(when) == (
        '<time datetime="2026-01-31T16:05:30+00:00"'
        ' title="3\xa0days ago · 2026-01-31 16:05 UTC">Jan. 31, 2026</time>'
    )
    assert moment(when).endswith(">2026-01-31 16:05 UTC</time>")
    assert (day(None), moment(None)) == ("\u2013", "\u2013")


def test_days_are_counted() -> None:
    assert (figures.days_text(1), figures.days_text(30)) == ("1 day", "30 days")
