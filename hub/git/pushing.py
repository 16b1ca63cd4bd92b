"""Pushing: the commands before the pack, and the report after it (gitprotocol-pack(5))."""

import errno
import io
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, ClassVar

from django.conf import settings

from accounts.viewer import Viewer
from catalog.history.errors import BadPackError
from catalog.history.objects import read_many
from catalog.history.unpacking import Limits, unpack
from catalog.models import ModelRepo
from catalog.services.receiving import (
    MAX_UPDATES,
    NOTHING,
    PushRefusedError,
    RefUpdate,
    receive_push,
)
from hub.git.pktline import FLUSH, PACK_BAND, Mark, line, on_band, read_line, remark
from store.core.errors import InvalidError, StoreError, TooLargeError

EMPTY_PACK = bytes.fromhex("5041434b0000000200000000029d08823bd8a8eab510ad6ac75c823cfd3ed31e")
"""What a push that only deletes leaves out."""
_COMMAND = re.compile(rb"([0-9a-f]{40}) ([0-9a-f]{40}) ([^\0]{1,300})")


class SpoolFullError(StoreError):
    """There is no room for what was sent; nothing of it is kept."""

    code = "storage_full"
    status: ClassVar[int] = 507


@contextmanager
def noticing_a_full_disk() -> Iterator[None]:
    """Turn the system's word for a full disk into a refusal.

    Raises:
        SpoolFullError: the disk is full.
    """
    try:
        yield
    except OSError as exc:
        if exc.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise SpoolFullError("The store has no room for this push now. Try again later.") from exc


@dataclass(frozen=True, slots=True)
class Order:
    """What a push wants, before its pack."""

    updates: Sequence[RefUpdate]
    words: frozenset[str]
    """Capabilities the client chose."""

    @property
    def has_pack(self) -> bool:
        """A pack follows: something is made or moved."""
        return any(not update.is_deletion for update in self.updates)


def read_order(body: IO[bytes]) -> Order:
    """Read the commands of a push.

    Raises:
        InvalidError: they are malformed, or one ref is named twice.
    """
    updates: dict[str, RefUpdate] = {}
    words: frozenset[str] = frozenset()
    while not isinstance(said := read_line(body), Mark):
        if said.startswith(b"shallow "):
            continue  # whether history is whole is decided by looking at it
        command, _, chosen = said.partition(b"\0")
        words |= frozenset(chosen.decode("ascii", "replace").split())
        match = _COMMAND.fullmatch(command)
        if match is None:
            raise InvalidError("A command of the push is malformed.")
        name = match[3].decode("utf-8", "replace")
        if name in updates:
            raise InvalidError(f"{name} is named twice.")
        updates[name] = RefUpdate(name, match[1].decode(), match[2].decode())
        if updates[name].old == NOTHING and updates[name].is_deletion:  # git never sends that
            raise InvalidError(f"{name} is to be nothing and was nothing.")
        if len(updates) > MAX_UPDATES:
            raise TooLargeError(f"Push at most {MAX_UPDATES} branches and tags at a time.")
    return Order(list(updates.values()), words)


def carry_out(viewer: Viewer, repo: ModelRepo, order: Order, body: IO[bytes]) -> Iterator[bytes]:
    """Do what a push wants; return the report git shows. ``body`` stands at the pack."""
    try:
        waits = _receive(viewer, repo, order, body)
    except PushRefusedError as refused:
        reasons = {update.name: refused.reason_of(update.name) for update in order.updates}
        return _report(order, "ok", reasons, [refused.message])
    except BadPackError as error:
        reasons = dict.fromkeys((update.name for update in order.updates), "unpacker error")
        return _report(order, error.message, reasons, [error.message])
    except StoreError as error:
        said = _one_line(error.message)
        reasons = dict.fromkeys((update.name for update in order.updates), said)
        return _report(order, "ok", reasons, [f"Refused: {error.message} Nothing was changed."])
    checked = [f"{waits} files are still being checked; until then others cannot get them."]
    return _report(order, "ok", {}, checked if waits else [])


def _receive(viewer: Viewer, repo: ModelRepo, order: Order, body: IO[bytes]) -> int:
    limits = Limits(blob_bytes=settings.ENV.max_regular_file_bytes)
    with noticing_a_full_disk(), tempfile.TemporaryFile(dir=settings.SPOOL_DIR) as scratch:
        pack = body if order.has_pack else io.BytesIO(EMPTY_PACK)
        unpacked = unpack(pack, scratch, limits=limits, bases=lambda oids: read_many(repo.pk, oids))
        return receive_push(viewer, repo, updates=order.updates, unpacked=unpacked)


def _report(
    order: Order, unpacked: str, reasons: dict[str, str], remarks: list[str]
) -> Iterator[bytes]:
    """Yield the status of each ref, on the side band if the client can."""
    lines = [line(f"unpack {_one_line(unpacked)}")]
    for update in order.updates:
        reason = reasons.get(update.name)
        lines.append(
            line(f"ng {update.name} {_one_line(reason)}" if reason else f"ok {update.name}")
        )
    report = b"".join([*lines, FLUSH])
    wants_report = {"report-status", "report-status-v2"} & order.words
    if "side-band-64k" not in order.words:
        yield report if wants_report else b""
        return
    for text in remarks:
        yield remark(text)
    if wants_report:
        yield from on_band(PACK_BAND, [report])
    yield FLUSH


def _one_line(text: str) -> str:
    return " ".join(text.split())[:1000]
