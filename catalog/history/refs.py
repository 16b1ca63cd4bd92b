"""Branches, tags and pull request refs, and finding a commit by any of its names."""

import re
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from dulwich.objects import Commit as GitCommit
from dulwich.objects import Tag

from catalog.history.errors import BadRefNameError, RefExistsError, RevisionNotFoundError
from catalog.history.objects import ObjectStore
from catalog.models import Commit, ModelRepo, Ref
from store.core.errors import ForbiddenError

DEFAULT_BRANCH = "main"
HEADS, TAGS, PULLS, CONVERTS = "refs/heads/", "refs/tags/", "refs/pr/", "refs/convert/"

_MIN_PREFIX_CHARS = 5
_PREFIX = re.compile(r"[0-9a-f]{5,40}")
# git check-ref-format(1): no control characters, space, ~ ^ : ? * [ \, no "..", "@{", "//",
# no leading or trailing slash, no component starting with "." or ending with ".lock" or "."
_BAD_REF = re.compile(
    r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^/|/$|(^|/)\.|\.lock(/|$)|\.$|^-|^@$|^$"
)

# names that would hide what a revision means already: a full ref, a commit, HEAD
_TAKEN = re.compile(r"refs/.*|[0-9a-f]{40}|HEAD")


class ProtectedRefError(ForbiddenError):
    """The default branch cannot be deleted."""

    code = "protected_ref"


@dataclass(frozen=True, slots=True)
class Resolved:
    """A revision found: the commit, and the ref it was reached by (``None`` for a commit id)."""

    commit_oid: str
    ref_name: str | None

    @property
    def is_writable(self) -> bool:
        """Commits can be added: branches and pull requests, not tags or ids."""
        return self.ref_name is not None and self.ref_name.startswith((HEADS, PULLS))


def check_ref_name(name: str) -> str:
    """Return ``name`` if git accepts it as the name of a branch or tag, and it means nothing yet.

    Raises:
        BadRefNameError: git does not (git check-ref-format), or it reads as another revision.
    """
    if _TAKEN.fullmatch(name):
        raise BadRefNameError(
            f"Invalid reference for a branch or tag: '{name[:80]}' reads as another revision. "
            "Choose a name that is no commit id and does not begin with refs/."
        )
    if len(name) > 200 or _BAD_REF.search(name):
        raise BadRefNameError(
            f"'{name[:80]}' cannot name a branch or tag: no spaces, no '..', none of ~^:?*[\\."
        )
    return name


def resolve(repo: ModelRepo, revision: str) -> Resolved:
    """Find the commit ``revision`` means: full ref, branch, tag, commit id or its beginning.

    Raises:
        RevisionNotFoundError: nothing, or more than one commit, has this name.
    """
    name = DEFAULT_BRANCH if revision == "HEAD" else revision.replace("\0", "\ufffd")
    candidates = [name] if name.startswith("refs/") else [HEADS + name, TAGS + name]
    refs = {ref.name: ref for ref in Ref.objects.filter(repo=repo, name__in=candidates)}
    for candidate in candidates:
        if candidate in refs:
            return Resolved(refs[candidate].commit_oid, candidate)
    if _PREFIX.fullmatch(name):
        oids = Commit.objects.filter(repo=repo, oid__startswith=name).values_list("oid", flat=True)
        if len(found := list(oids[:2])) == 1:
            return Resolved(found[0], None)
    raise RevisionNotFoundError(f"Invalid rev id: {revision}", revision=revision)


def commit_of(repo: ModelRepo, revision: str) -> Commit:
    """Return the index row of the commit ``revision`` means.

    Raises:
        RevisionNotFoundError: there is none.
    """
    return Commit.objects.get(repo=repo, oid=resolve(repo, revision).commit_oid)


@transaction.atomic
def create_branch(
    repo: ModelRepo,
    name: str,
    *,
    start: str | None = None,
    overwrite: bool = False,
    target_oid: str | None = None,
) -> Ref:
    """Make a branch at ``start`` (default: the default branch), or at the commit ``target_oid``.

    Args:
        repo: The repository.
        name: Without ``refs/heads/``.
        start: Any revision.
        overwrite: Move the branch when it exists. Without a start that is a no-op.
        target_oid: A commit just made, instead of ``start``.

    Raises:
        BadRefNameError: git refuses the name.
        RefExistsError: it is there and ``overwrite`` is off.
        RevisionNotFoundError: there is no such start.
    """
    full = HEADS + check_ref_name(name)
    there = Ref.objects.select_for_update().filter(repo=repo, name=full).first()
    if there is not None:
        if not overwrite:
            raise RefExistsError(f"Reference {full} already exists", ref=full)
        if start is None and target_oid is None:
            return there
    oid = target_oid or resolve(repo, start or DEFAULT_BRANCH).commit_oid
    if there is None:
        return _create(repo, full, oid, oid)
    there.oid = there.commit_oid = oid
    there.save()
    return there


@transaction.atomic
def delete_branch(repo: ModelRepo, name: str) -> None:
    """Take a branch away; its commits stay reachable by id.

    Raises:
        ProtectedRefError: it is the default branch.
        RevisionNotFoundError: there is no such branch.
    """
    if name == DEFAULT_BRANCH:
        raise ProtectedRefError(f"Cannot delete {HEADS}{name}")
    _delete(repo, HEADS + name, name)


@transaction.atomic
def create_tag(
    repo: ModelRepo, name: str, *, revision: str, message: str | None, tagger: str
) -> Ref:
    """Tag the commit ``revision`` means; with a message the tag is an annotated one.

    Raises:
        RevisionNotFoundError: there is no such revision; said first, whatever the name.
        BadRefNameError: git refuses the name.
        RefExistsError: there is such a tag.
    """
    commit_oid = resolve(repo, revision).commit_oid
    full = TAGS + check_ref_name(name)
    if Ref.objects.filter(repo=repo, name=full).exists():
        raise RefExistsError(f"Tag {name} already exists", ref=full)
    oid = commit_oid
    if message:
        store = ObjectStore(repo.pk)
        tag = Tag()
        tag.name = name.encode()
        tag.object = (GitCommit, commit_oid.encode())
        tag.message = message.encode() + b"\n"
        tag.tagger = signature(tagger)
        tag.tag_time, tag.tag_timezone = int(timezone.now().timestamp()), 0
        oid = store.add(tag)
        store.flush()
    return _create(repo, full, oid, commit_oid)


@transaction.atomic
def delete_tag(repo: ModelRepo, name: str) -> None:
    """Take a tag away.

    Raises:
        RevisionNotFoundError: there is no such tag.
    """
    _delete(repo, TAGS + name, name)


def place_ref(repo: ModelRepo, full: str, there: Ref | None, *, oid: str, commit_oid: str) -> None:
    """Make a ref, or move the locked row ``there``.

    Raises:
        RefExistsError: another ref is, or stands, where it would be.
    """
    if there is None:
        _create(repo, full, oid, commit_oid)
        return
    there.oid, there.commit_oid = oid, commit_oid
    there.save()


def drop_ref(repo: ModelRepo, full: str) -> None:
    """Take a ref away; its commits stay reachable by id. There may be none."""
    Ref.objects.filter(repo=repo, name=full).delete()


def signature(name: str) -> bytes:
    """Return git's author line for a user name: no address of a person is ever written."""
    return f"{name} <{name}@users.noreply>".encode()


def _create(repo: ModelRepo, full: str, oid: str, commit_oid: str) -> Ref:
    parts = full.split("/")
    above = ["/".join(parts[:count]) for count in range(3, len(parts))]
    clash = Q(name__in=above) | Q(name__startswith=full + "/")
    if Ref.objects.filter(clash, repo=repo).exists():  # git keeps refs like files and folders
        raise RefExistsError(f"Reference {full} stands in the way of another", ref=full)
    try:
        with transaction.atomic():
            return Ref.objects.create(repo=repo, name=full, oid=oid, commit_oid=commit_oid)
    except IntegrityError as exc:
        raise RefExistsError(f"Reference {full} already exists", ref=full) from exc


def _delete(repo: ModelRepo, full: str, shown: str) -> None:
    deleted, _ = Ref.objects.filter(repo=repo, name=full).delete()
    if not deleted:
        raise RevisionNotFoundError(f"Invalid rev id: {shown}", revision=shown)
