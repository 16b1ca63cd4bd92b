"""Time as the store writes it: UTC, and ISO 8601 with milliseconds and ``Z`` on the wire."""

from datetime import UTC, datetime


def iso(moment: datetime) -> str:
    """Return ``moment`` as ``2024-05-01T10:11:12.000Z``, the one form every client parses."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
