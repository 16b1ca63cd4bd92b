"""``fsck``: reading every stored byte and comparing it with every name it goes by.

Four kinds of things are read: whole objects against their sha256, xorbs against their hash and the
table of their chunks, recipes against their file hash (from the tables) and the content they make
against its sha256, git objects against their ids. What is hurt is traced to the files of
repositories, and to what comments show.

A walk keeps how far it came, so one that is stopped goes on; rows that go while it reads are no
finding. Uploads do not wait for it.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from catalog.content.reading import cooked, read_blocks
from catalog.content.recipes import Recipe
from catalog.content.stores import storage
from catalog.content.tables import spooled_tables
from catalog.content.xet.hashes import MerkleTree, from_hex, to_hex
from catalog.content.xet.xorbs import XorbReader, XorbTable
from catalog.history.pointers import parse_pointer
from catalog.models import (
    Attachment,
    FileScan,
    GitObject,
    LfsObject,
    ModelRepo,
    RepoLfsObject,
    StorageWalk,
    XetClaim,
    XetFile,
    Xorb,
)
from store.core.errors import StoreError
from store.storage import Digest

NAME = "fsck"
STAGES = ("objects", "xorbs", "recipes", "git")
_BATCH = 20
_GIT_BATCH = 500
"""Git objects are many and small."""
_MAX_FINDINGS = 10_000
_KINDS = ("object", "xorb", "recipe", "git")


@dataclass(frozen=True, slots=True)
class Hurt:
    """Something that is not what its name says."""

    kind: str
    """``object``, ``xorb``, ``recipe`` or ``git``."""
    name: str
    """Its digest or hash; of a git object the repository's key, a slash and its id."""
    reason: str

    def to_json(self) -> dict[str, str]:
        """Return everything as plain JSON."""
        return {"kind": self.kind, "name": self.name, "reason": self.reason}


def check_storage(
    *, restart: bool = False, tick: Callable[[StorageWalk], None] = lambda _walk: None
) -> StorageWalk:
    """Walk over everything, from where the last walk was stopped, or anew.

    Args:
        restart: Begin anew.
        tick: Called after every batch, with what was written down; may raise to stop.
    """
    walk = _walk(restart=restart)
    for stage in STAGES[STAGES.index(walk.stage) :]:
        if walk.stage != stage:
            walk.stage, walk.cursor = stage, ""
        for keys, hurt in _batches(stage, walk.cursor):
            walk.cursor = keys[-1]
            walk.counts[stage] = walk.counts.get(stage, 0) + len(keys)
            room = _MAX_FINDINGS - len(walk.findings)
            walk.findings += [each.to_json() for each in hurt][:room]
            walk.save()
            tick(walk)
    walk.stage, walk.cursor, walk.finished_at = "", "", timezone.now()
    walk.save()
    return walk


def _walk(*, restart: bool) -> StorageWalk:
    walk = StorageWalk.objects.filter(name=NAME).first()
    if walk is not None and walk.stage and not restart:
        return walk
    StorageWalk.objects.filter(name=NAME).delete()
    return StorageWalk.objects.create(name=NAME, stage=STAGES[0])


def _batches(stage: str, cursor: str) -> Iterator[tuple[list[str], list[Hurt]]]:
    look: Callable[[str], Hurt | None] = {
        "objects": _object,
        "xorbs": _xorb,
        "recipes": _recipe,
        "git": _git_object,
    }[stage]
    while keys := _keys(stage, cursor):
        yield keys, [hurt for key in keys if (hurt := look(key)) is not None]
        cursor = keys[-1]


def _keys(stage: str, cursor: str) -> list[str]:
    models: dict[str, Any] = {
        "objects": LfsObject,
        "xorbs": Xorb,
        "recipes": XetFile,
        "git": GitObject,
    }
    rows = models[stage].objects
    after = {} if not cursor else {"pk__gt": cursor}
    most = _GIT_BATCH if stage == "git" else _BATCH
    return [
        str(pk) for pk in rows.filter(**after).order_by("pk").values_list("pk", flat=True)[:most]
    ]


def _object(sha256: str) -> Hurt | None:
    """Read a whole object."""
    row = LfsObject.objects.filter(pk=sha256, is_whole=True).first()
    if row is None:
        return None
    digest, size_bytes = hashlib.sha256(), 0
    try:
        for block in read_blocks(storage().open(Digest(sha256)), row.size_bytes + 1):
            digest.update(block)
            size_bytes += len(block)
    except StoreError as error:
        reason = error.message
    else:
        if (digest.hexdigest(), size_bytes) == (sha256, row.size_bytes):
            return None
        reason = f"its {size_bytes} bytes have the sha256 {digest.hexdigest()}"
    still = LfsObject.objects.filter(pk=sha256, is_whole=True).exists()
    return Hurt("object", sha256, reason) if still else None


def _xorb(key: str) -> Hurt | None:
    """Read a xorb, chunk by chunk."""
    row = Xorb.objects.filter(pk=key).first()
    if row is None:
        return None
    name = bytes(row.hash)
    try:
        with storage().open(Digest(row.blob)) as source:
            reader = XorbReader(source, name)
            while reader.read_some():
                pass
    except StoreError as error:
        reason = error.message
    else:
        kept = XorbTable.from_bytes(bytes(row.table))
        if list(reader.table.chunks) == list(kept.chunks):
            return None
        reason = "its chunks are not those of its table"
    still = Xorb.objects.filter(pk=key, blob=row.blob).exists()
    return Hurt("xorb", to_hex(name), reason) if still else None


def _recipe(key: str) -> Hurt | None:
    """Work out a file's hash from its recipe, and from its chunks the sha256 it is known by."""
    row = XetFile.objects.filter(pk=key).first()
    if row is None:
        return None
    name = bytes(row.hash)
    recipe = Recipe.from_bytes(bytes(row.terms))
    try:
        reason = _recipe_fault(row, recipe)
    except StoreError as error:
        reason = error.message
    if not reason or not XetFile.objects.filter(pk=key).exists():
        return None
    return Hurt("recipe", to_hex(name), reason)


def _recipe_fault(row: XetFile, recipe: Recipe) -> str:
    tree = MerkleTree()
    with spooled_tables(recipe.xorbs) as tables:
        for term in recipe.terms:
            if term.xorb not in tables:
                return f"the xorb {to_hex(term.xorb)} is missing"
            for chunk in tables[term.xorb].chunks[term.start : term.end]:
                tree.add(chunk.hash, chunk.size_bytes)
    if tree.file_hash() != bytes(row.hash):
        return "its chunks make another file"
    # Also where the storage has a whole object: clients of Xet are given what the recipe makes.
    for sha256 in row.lfs_objects.values_list("sha256", flat=True):
        digest = hashlib.sha256()
        for piece in cooked(recipe, 0, recipe.size_bytes):
            digest.update(piece)
        if digest.hexdigest() != sha256:
            return f"its content has the sha256 {digest.hexdigest()}, not {sha256}"
    return ""


def _git_object(key: str) -> Hurt | None:
    """Work out a git object's id, and what the row says of it."""
    row = GitObject.objects.filter(pk=key).first()
    if row is None:
        return None
    data = bytes(row.data)
    kind = GitObject.Kind(row.kind)
    head = f"{kind.name.lower()} {len(data)}\0".encode()
    oid = hashlib.sha1(head + data, usedforsecurity=False).hexdigest()
    pointer = parse_pointer(data) if kind == GitObject.Kind.BLOB else None
    named = (pointer.sha256, pointer.size_bytes) if pointer else ("", None)
    if oid != row.oid:
        reason = f"its {len(data)} bytes have the id {oid}"
    elif row.size_bytes != len(data) or (row.lfs_sha256, row.lfs_size_bytes) != named:
        reason = "its row has another size, or names another large file, than its content"
    else:
        return None
    return Hurt("git", f"{row.repo_id}/{row.oid}", reason)


def hurt_files(findings: list[dict[str, str]]) -> Iterator[str]:
    """Yield ``owner/name: path`` of every file that a finding hurts, once each.

    Of history that is hurt the kind and id stand for the path, of what comments show the address.
    """
    names = {kind: {each["name"] for each in findings if each["kind"] == kind} for kind in _KINDS}
    xorbs = [from_hex(name) for name in names["xorb"]]
    recipes = [from_hex(name) for name in names["recipe"]]
    files = XetFile.objects.filter(hash__in=recipes) | XetFile.objects.filter(xorbs__hash__in=xorbs)
    keys = list(files.distinct().values_list("pk", flat=True))
    objects = set(names["object"])
    objects |= set(LfsObject.objects.filter(xet_file__in=keys).values_list("sha256", flat=True))
    owners = RepoLfsObject.objects.filter(lfs_object__in=objects)
    claims = XetClaim.objects.filter(file__in=keys, is_false=False)
    hurt = set(owners.values_list("repo_id", "lfs_object_id"))
    hurt |= set(claims.values_list("repo_id", "sha256"))
    yield from _hurt_large(sorted(hurt))
    yield from _hurt_attachments(objects)
    yield from _hurt_history(sorted(names["git"]))


def _hurt_large(hurt: list[tuple[int, str]]) -> Iterator[str]:
    for repo_id, sha256 in hurt:
        blobs = GitObject.objects.filter(repo=repo_id, lfs_sha256=sha256)
        for path in _paths(repo_id, blobs.values("oid")) or ["(uploaded, not committed)"]:
            yield f"{_name(repo_id)}: {path}"


def _hurt_attachments(objects: set[str]) -> Iterator[str]:
    shown = Attachment.objects.filter(content__in=objects).order_by("pk")
    for each in shown:
        places = set(each.comments.values_list("discussion__repo_id", flat=True))
        for name in sorted(map(_name, places)) or ["(shown nowhere)"]:
            yield f"{name}: {each.get_absolute_url()}"


def _hurt_history(names: list[str]) -> Iterator[str]:
    for name in names:
        key, oid = name.split("/")
        repo_id = int(key)
        rows = GitObject.objects.filter(repo=repo_id, oid=oid).values_list("kind", flat=True)
        for kind in rows:
            whole = [f"({GitObject.Kind(kind).name.lower()} {oid})"]
            for path in _paths(repo_id, [oid]) or whole:
                yield f"{_name(repo_id)}: {path}"


def _paths(repo_id: int, blobs: Any) -> list[str]:
    scans = FileScan.objects.filter(repo=repo_id, blob_oid__in=blobs)
    return sorted(set(scans.values_list("path", flat=True)))


def _name(repo_id: int) -> str:
    return ModelRepo.objects.select_related("namespace").get(pk=repo_id).full_name
