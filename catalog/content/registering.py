"""Writing down what a shard proves: recipes, and which digest each makes.

A client says which sha256 its file has, and that decides what an LFS pointer resolves to. So it
is worked out again from the content: at once up to a bound, while the client waits, and by a job
above it. Until then such a file is a claim, good in its own repository alone.
"""

import hashlib
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import Namespace, User
from catalog.content.ownership import claim, grant, owned_size, owned_sizes
from catalog.content.proving import ProvenFile, ProvenShard, UnknownXorbError
from catalog.content.quotas import charged_for, check_room, expect_room
from catalog.content.reading import cooked, warmed
from catalog.content.recipes import Recipe, merged
from catalog.content.tables import forget
from catalog.content.unpacked import forget_raw
from catalog.content.xet.errors import XetFormatError, XetProofError
from catalog.content.xet.hashes import to_hex
from catalog.content.xet.xorbs import size_between
from catalog.models import (
    DedupChunk,
    LfsObject,
    ModelRepo,
    XetFile,
    XetFileXorb,
    Xorb,
)

_TOLD_EVERY_BYTES = 32 * 1024**2
_TOLD_EVERY_S = 5.0
"""Whichever comes first. Clients, and proxies between, give up on a silence of a minute or more."""


@dataclass
class Registration:
    """One shard on its way in. Use ``verify`` to its end, then ``write``."""

    repo: ModelRepo
    user: User
    shard: ProvenShard
    _digests: dict[bytes, str] = field(default_factory=dict)
    """The sha256 by file, of those that were worked out or known."""
    _ids: dict[bytes, int] = field(default_factory=dict)
    """The rows of the xorbs, once they are held."""
    _new: list[Recipe] = field(default_factory=list)
    """The recipes that were not here before."""

    @cached_property
    def charged_to(self) -> Namespace:
        """Whose room the files take."""
        return charged_for(self.repo, self.user)

    def check_room(self) -> None:
        """Refuse what does not fit, before any content is read.

        Raises:
            StorageQuotaError: there is no room for the files.
        """
        expect_room(self.charged_to, self._new_bytes())

    def verify(self) -> Iterator[tuple[int, int]]:
        """Work out every digest that is due now.

        Yields:
            How many bytes were read, and how many there are, at least every 32 MiB and 5 s.

        Raises:
            XetProofError: a file has another sha256 than the client says.
            XetFormatError: a file is too large to be hashed now, and the client says no sha256.
        """
        due = self._due()
        total = sum(file.recipe.size_bytes for file in due)
        done = 0
        for file in due:
            for read in self._hash(file, warmed(file.recipe)):
                yield done + read, total
            if file.sha256 not in {None, self._digests[file.hash]}:  # is somebody called a liar?
                for _ in self._hash(file, cooked(file.recipe, 0, file.recipe.size_bytes)):
                    yield done, total
            self._check(file)
            done += file.recipe.size_bytes
        yield done, total
        for name in {name for file in due for name in file.recipe.xorbs}:
            forget_raw(name)

    def _hash(self, file: ProvenFile, pieces: Iterable[bytes | memoryview]) -> Iterator[int]:
        """Work out the sha256 of a file; yield now and then how many bytes were read."""
        digest, done, told, told_s = hashlib.sha256(), 0, 0, time.monotonic()
        for piece in pieces:
            digest.update(piece)
            done += len(piece)
            now_s = time.monotonic()
            if done - told >= _TOLD_EVERY_BYTES or now_s - told_s >= _TOLD_EVERY_S:
                told, told_s = done, now_s
                yield done
        self._digests[file.hash] = digest.hexdigest()

    def _due(self) -> list[ProvenFile]:
        """Return the files to read now: those not seen before, while they are small together."""
        files = {file.hash: file for file in self.shard.files}
        known = LfsObject.objects.filter(xet_file__hash__in=files)
        for name, sha256 in known.values_list("xet_file__hash", "sha256"):
            self._digests[bytes(name)] = sha256
        for file in self.shard.files:
            self._check(file)
        due, left = [], settings.ENV.xet_verify_at_once_bytes
        for file in sorted(files.values(), key=lambda file: file.recipe.size_bytes):
            if file.hash in self._digests:
                continue
            left -= file.recipe.size_bytes
            if left >= 0:
                due.append(file)
            elif file.sha256 is None:
                raise XetFormatError("A file this large has to come with its sha256.")
        return due

    def _check(self, file: ProvenFile) -> None:
        known = self._digests.get(file.hash)
        if known is not None and file.sha256 not in {None, known}:
            raise XetProofError(
                "A file does not have the sha256 it is announced with. Upload it again.",
                announced=file.sha256 or "",
                actual=known,
            )

    @transaction.atomic
    def write(self) -> bool:
        """Write everything down; all of it or nothing. Safe to repeat.

        Returns:
            Whether anything is new.

        Raises:
            UnknownXorbError: a xorb was collected since it was looked at.
            StorageQuotaError: the room was used up meanwhile.
        """
        check_room(self.charged_to, self._new_bytes())
        self._hold_xorbs()
        self._new.clear()
        is_new = [self._write_file(file) for file in self.shard.files]
        self._mark_used()
        firsts = {(file.first_chunk, file.recipe.terms[0].xorb) for file in self.shard.files}
        DedupChunk.objects.bulk_create(
            (
                DedupChunk(hash=chunk, xorb_id=self._ids[xorb])
                for chunk, xorb in sorted(self.shard.indexed | firsts)
            ),
            ignore_conflicts=True,
            batch_size=5000,
        )
        return any(is_new)

    def _hold_xorbs(self) -> None:
        """Keep the xorbs from being collected, from now on."""
        rows = Xorb.objects.filter(hash__in=self.shard.raw_ends)
        held = rows.select_for_update().order_by("pk").values_list("hash", "pk")
        self._ids = {bytes(name): pk for name, pk in held}
        for name in self.shard.raw_ends:
            if name not in self._ids:
                forget(name)
                raise UnknownXorbError(
                    "A xorb this shard names has just been collected. Upload again.",
                    xorb=to_hex(name),
                )
        rows.update(touched_at=timezone.now(), condemned_at=None)

    def _mark_used(self) -> None:
        """Stop charging for xorbs of which new recipes need most: from now on, files are charged.

        Xorbs nobody needs, or hardly, stay charged to who sent them: otherwise a file of one chunk
        would pay for a whole xorb, and one file packed in many ways for all of them.
        """
        needed: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
        for recipe in self._new:
            for term in recipe.terms:
                needed[term.xorb].append((term.start, term.end))
        used = [name for name, runs in needed.items() if self._is_mostly(name, runs)]
        Xorb.objects.filter(hash__in=used, is_used=False).update(is_used=True)

    def _is_mostly(self, xorb: bytes, runs: list[tuple[int, int]]) -> bool:
        ends = self.shard.raw_ends[xorb]
        needed = sum(size_between(ends, *run) for run in merged(runs))
        return 2 * needed >= ends[-1]

    def _write_file(self, file: ProvenFile) -> bool:
        row, is_new = self._hold_file(file)
        if is_new:
            self._new.append(file.recipe)
            XetFileXorb.objects.bulk_create(
                XetFileXorb(file=row, xorb_id=self._ids[name]) for name in file.recipe.xorbs
            )
        sha256 = self._digests.get(file.hash)
        if sha256 is not None:
            return self._own(row, sha256) or is_new
        sha256 = file.sha256 or ""
        made = claim(self.repo, sha256, row, by=self.user, charged_to=self.charged_to)
        return made or is_new

    @staticmethod
    def _hold_file(file: ProvenFile) -> tuple[XetFile, bool]:
        """Return the recipe's row and whether it is new; it cannot be collected from now on."""
        while True:
            row, is_new = XetFile.objects.get_or_create(
                hash=file.hash,
                defaults={"size_bytes": file.recipe.size_bytes, "terms": file.recipe.to_bytes()},
            )
            held = XetFile.objects.filter(pk=row.pk).update(touched_at=timezone.now())
            if is_new or held:
                return row, is_new

    def _own(self, row: XetFile, sha256: str) -> bool:
        is_new = owned_size(self.repo, sha256, by=self.user) is None
        grant(
            self.repo,
            sha256,
            row.size_bytes,
            by=self.user,
            charged_to=self.charged_to,
            xet_file=row,
        )
        return is_new

    def _new_bytes(self) -> int:
        """Return the size of what the repository does not own yet, each content once.

        Nothing is believed that is not proven: what is announced as a file the repository owns,
        and is not of its size, counts like everything else.
        """
        sizes = {
            (file.hash, file.sha256 or self._digests.get(file.hash, "")): file.recipe.size_bytes
            for file in self.shard.files
        }
        owned = owned_sizes(self.repo, {sha256 for _, sha256 in sizes}, by=self.user)
        return sum(
            size_bytes
            for (_, sha256), size_bytes in sizes.items()
            if owned.get(sha256) != size_bytes
        )
