"""Telling a client which chunks it need not send: only of content it may read anyway.

A client asks for about one chunk in a thousand, so an answer names all xorbs of a file that
uses the one it asked for, not just that one, or it would leave holes (measured: 23 % of a changed
file sent with one xorb in each answer, under 10 % with all).

What a caller may read is what a reconstruction would give them: files that are committed and served
where they may read, and what they sent themselves. A xorb may hold chunks of other files, too; an
answer has nothing at their places that anybody could recognize.
"""

import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import cache
from itertools import chain

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Length
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.viewer import Viewer
from catalog.access import open_repos
from catalog.content.recipes import Recipe, merged
from catalog.content.tables import KnownXorb, known_xorbs
from catalog.content.xet.hashes import from_hex
from catalog.content.xet.shards import Shown, dedup_answer
from catalog.models import (
    DedupChunk,
    FileScan,
    GitObject,
    Grant,
    RepoLfsObject,
    XetFile,
    XetFileXorb,
    Xorb,
)

LIFE = timedelta(days=7)
"""How long a client may use an answer; garbage collection waits much longer."""
_MAX_FILES = 4
_MAX_XORBS = 64
_MAX_CHUNKS = 200_000
"""10 MB of answer."""
_MAX_RECIPES = 400
"""Recipes that are looked at: to find the chunk, and to see what of a xorb is readable."""
_MAX_RECIPE_BYTES = 32 * 1024**2
"""Of those beside the first: 700,000 terms, what one shard has room for."""
_TOUCH_AFTER = timedelta(hours=12)
Runs = dict[bytes, list[tuple[int, int]]]
"""Chunks ``[start, end)`` by xorb."""


def find_chunks(viewer: Viewer, name: str) -> bytes | None:
    """Return the answer to a client that has a chunk, as a shard; ``None``: nothing to tell.

    Args:
        viewer: Only files they may read are told of, and only the chunks these are made of.
        name: The chunk's hash as text.

    Raises:
        XetFormatError: it is no hash.
    """
    chunk = from_hex(name)
    hits = Xorb.objects.filter(
        pk__in=DedupChunk.objects.filter(hash=chunk).values("xorb"), condemned_at=None
    )
    matched = {bytes(found) for found in hits.values_list("hash", flat=True)}
    if not matched:
        return None
    recipes = _recipes_with(chunk, matched, _told_files(viewer))
    xorbs = list(_bounded(_siblings(recipes, matched)))
    if not xorbs:
        return None
    _touch(xorbs)
    runs = _readable_runs(viewer, xorbs, recipes)
    now_s = int(time.time())
    return dedup_answer(
        [Shown(known.table, runs[known.table.hash]) for known in xorbs],
        key=_site_key("chunk"),
        blind_key=_site_key("blind"),
        created_s=now_s,
        expires_s=now_s + int(LIFE.total_seconds()),
    )


def _told_files(viewer: Viewer) -> QuerySet[XetFile]:
    """Return the recipes whose content ``viewer`` may be told of.

    Registering makes a file its repository's before anybody has committed or judged it: until then
    it is told to who sent it, and to those who may write there.
    """
    pointers = GitObject.objects.filter(
        repo=OuterRef(OuterRef("repo")), lfs_sha256=OuterRef(OuterRef("lfs_object_id"))
    )
    scans = FileScan.objects.filter(
        repo=OuterRef("repo"), blob_oid__in=pointers.values("oid"), is_proposed=False
    )
    good = Q(verdict__in=FileScan.SERVED)
    may = Exists(scans.filter(good)) & ~Exists(scans.exclude(good))
    rows = RepoLfsObject.objects.filter(lfs_object__xet_file=OuterRef("pk"))
    rows = rows.filter(repo__in=open_repos(viewer))
    if viewer.user is not None:
        held = Grant.objects.in_force().held_by(viewer.person_roles)
        held = held.filter(granted__repo=OuterRef("repo"))
        every = Q(updates=Grant.Updates.ALL)  # others may not reach the revision that has it
        may &= ~Exists(held.exclude(every)) | Exists(held.filter(every))
        written = [pk for pk in viewer.roles if viewer.can_write(pk)]
        may |= Q(created_by=viewer.user) | Q(repo__namespace_id__in=written)
    return XetFile.objects.filter(Exists(rows.filter(may)))  # recipes are long: compare no rows


def _recipes_with(chunk: bytes, matched: set[bytes], files: QuerySet[XetFile]) -> list[Recipe]:
    """Return recipes that have the chunk itself, not just others of a xorb; newest first."""

    @cache
    def places(xorb: bytes) -> list[int]:
        known = known_xorbs([xorb]).get(xorb)
        rows = known.table.chunks if known else ()
        return [place for place, row in enumerate(rows) if row.hash == chunk]

    def has_it(recipe: Recipe) -> bool:
        terms = (term for term in recipe.terms if term.xorb in matched)
        return any(term.start <= place < term.end for term in terms for place in places(term.xorb))

    found: list[Recipe] = []
    for recipe in _recipes(_using(files, Q(xorb__hash__in=matched))):
        if has_it(recipe):
            found.append(recipe)
        if len(found) == _MAX_FILES:
            break
    return found


def _using(files: QuerySet[XetFile], xorbs: Q) -> QuerySet[XetFile]:
    return files.filter(Exists(XetFileXorb.objects.filter(xorbs, file=OuterRef("pk"))))


def _recipes(files: QuerySet[XetFile]) -> Iterator[Recipe]:
    """Yield recipes, newest first, a few of them at most and few long ones."""
    sizes = files.order_by("-id").values_list("pk", Length("terms"))[:_MAX_RECIPES]
    left = _MAX_RECIPE_BYTES
    for count, (pk, size_bytes) in enumerate(list(sizes)):
        left -= size_bytes
        if left < 0 and count:
            return
        for terms in XetFile.objects.filter(pk=pk).values_list("terms", flat=True):
            yield Recipe.from_bytes(bytes(terms))


def _siblings(recipes: Iterable[Recipe], matched: set[bytes]) -> Iterator[bytes]:
    """Yield the xorbs of these recipes, each from a matched one on."""
    for recipe in recipes:
        names = recipe.xorbs
        first = next((place for place, found in enumerate(names) if found in matched), 0)
        yield from names[first:]
        yield from names[:first]


def _readable_runs(viewer: Viewer, xorbs: list[KnownXorb], recipes: list[Recipe]) -> Runs:
    """Return which chunks of the xorbs belong to files that ``viewer`` may be told of.

    Args:
        viewer: Who asks.
        xorbs: Those of ``recipes``.
        recipes: Files that are told of anyway; others are looked for only to fill what they leave.
    """
    runs: Runs = {known.table.hash: [] for known in xorbs}
    whole = {known.table.hash: [(0, len(known.table.chunks))] for known in xorbs}
    ids = [known.id for known in xorbs]
    others = _recipes(_using(_told_files(viewer), Q(xorb__in=ids)))
    for recipe in chain(recipes, others):
        for term in recipe.terms:
            if term.xorb in runs:
                runs[term.xorb].append((term.start, term.end))
        runs = {name: merged(found) for name, found in runs.items()}
        if runs == whole:
            break
    return runs


def _bounded(names: Iterator[bytes]) -> Iterator[KnownXorb]:
    chunks = 0
    for count, name in enumerate(dict.fromkeys(names)):
        known = known_xorbs([name]).get(name)
        if known is None:
            continue
        chunks += len(known.table.chunks)
        if count == _MAX_XORBS or chunks > _MAX_CHUNKS:
            return
        yield known


def _touch(xorbs: list[KnownXorb]) -> None:
    """Remember that a client relies on these xorbs."""
    now = timezone.now()
    Xorb.objects.filter(
        pk__in=[known.id for known in xorbs], touched_at__lt=now - _TOUCH_AFTER
    ).update(touched_at=now, condemned_at=None)


def _site_key(purpose: str) -> bytes:
    """Return a key for answers: one a site, so that clients keep one table."""
    return salted_hmac(
        "catalog.content.dedup", purpose, secret=settings.SECRET_KEY, algorithm="sha256"
    ).digest()
