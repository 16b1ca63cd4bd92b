"""One verdict a file: the only door other rooms use to judge a stranger's bytes.

``judge`` never executes, imports, unpickles or unpacks anything, and reads no more than its budget
allows. With ``AT_ONCE`` it answers inside a request: headers, configurations, texts and small
files get their verdict, the rest comes back ``pending`` and a job judges it again with ``FULL``.
"""

import logging
from dataclasses import dataclass, replace
from typing import Any

from catalog.formats import file_facts
from catalog.formats.errors import MAX_REASON_CHARS, shown
from catalog.formats.file_facts import FileFacts
from catalog.formats.judges import Finding, Verdict, find, noun
from catalog.formats.kinds import ACTIVE, Kind, ending
from catalog.formats.sniff import sniff
from catalog.formats.sources import AT_ONCE, Budget, ByteSource, MeteredSource, OverBudgetError

SCANNER_VERSION = "formats-1"
"""Raised whenever a verdict may come out differently, so that old ones are judged again."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FileReport:
    """A verdict and what it rests on."""

    verdict: Verdict
    kind: Kind
    code: str
    """Stable machine name of the finding; ``clean`` when there is none."""
    reason: str
    """One or two sentences for a person: what was found, and what to do next."""
    size_bytes: int
    matches_name: bool | None = None
    """Whether the name promises this kind; ``None`` when it promises nothing."""
    full_read: bool = False
    """Whether every byte was looked at; headers are enough for weights."""
    facts: FileFacts | None = None

    @property
    def is_active(self) -> bool:
        """Whether a browser might run it: deliver as plain text or a download, never inline."""
        return self.kind in ACTIVE

    @property
    def is_served(self) -> bool:
        """Whether others than its owners may have it."""
        return self.verdict in {Verdict.CLEAN, Verdict.UNKNOWN}

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        return {
            "verdict": self.verdict.value,
            "kind": self.kind.value,
            "code": self.code,
            "reason": self.reason,
            "size_bytes": self.size_bytes,
            "matches_name": self.matches_name,
            "full_read": self.full_read,
            "facts": file_facts.to_json(self.facts),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "FileReport":
        """Return what ``to_json`` was given.

        Raises:
            ValueError: ``value`` was written by another version of this room.
        """
        known = {
            "verdict": Verdict(value["verdict"]),
            "kind": Kind(value["kind"]),
            "facts": file_facts.from_json(value["facts"]),
        }
        return cls(**{**value, **known})


def not_judged(size_bytes: int) -> FileReport:
    """Return the report of a file nobody has looked at yet."""
    return _pending(Kind.BINARY, size_bytes)


def _pending(kind: Kind, size_bytes: int) -> FileReport:
    return FileReport(
        Verdict.PENDING,
        kind,
        "not_judged_yet",
        "This file is still being checked; look again in a minute.",
        size_bytes,
    )


def judge(source: ByteSource, path: str, *, budget: Budget = AT_ONCE) -> FileReport:
    """Judge one file by its bytes.

    Args:
        source: The content, not an LFS pointer to it.
        path: Its path in the repository: tells which rules its name calls for, never its kind.
        budget: ``AT_ONCE`` inside a request, ``FULL`` in a job.

    Returns:
        A report; ``pending`` only when ``budget`` is not final and too small.

    Raises:
        OSError: The source failed. That is no finding about the file; try again later.
    """
    metered = MeteredSource(source, budget)
    kind = Kind.BINARY
    try:
        sniffed = sniff(metered, path)
        kind = sniffed.kind
        finding = _mind_the_name(find(metered, path, kind), kind, sniffed.matches_name, path)
        matches = sniffed.matches_name
    except OverBudgetError:
        if not budget.is_final:
            return _pending(kind, source.size_bytes)
        finding, matches = _TOO_LARGE, None
    except OSError:
        raise
    except Exception:  # noqa: BLE001 our own bug must neither let a file through nor stop a commit
        _log.exception("judging a file failed, kind %s, %d bytes", kind, source.size_bytes)
        finding, matches = _FAILED, None
    return FileReport(
        finding.verdict,
        kind,
        finding.code,
        finding.reason[:MAX_REASON_CHARS],
        source.size_bytes,
        matches,
        metered.is_read_whole,
        finding.facts,
    )


_TOO_LARGE = Finding(
    Verdict.ERROR,
    "too_large_to_check",
    "This file is too large or too tangled to be checked; upload weights as safetensors and texts "
    "in smaller files.",
)
_FAILED = Finding(
    Verdict.ERROR,
    "check_failed",
    "The check of this file failed; the operators have been told. Upload it again later.",
)


def _mind_the_name(finding: Finding, kind: Kind, matches_name: bool | None, path: str) -> Finding:
    """Take ``clean`` from a file that is harmless in itself but not what its name says.

    A loader goes by the name: what we read as text or weights it may take for something else.
    """
    if finding.verdict is not Verdict.CLEAN or matches_name is not False:
        return finding
    return replace(
        finding,
        verdict=Verdict.UNKNOWN,
        code="name_disagrees",
        reason=f"It is named {shown('.' + ending(path))} but is {noun(kind)}; rename it.",
    )
