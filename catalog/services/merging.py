"""Merging pull requests, and saying beforehand whether that is possible."""

from dataclasses import dataclass, field

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.services.limits import count_comment
from accounts.viewer import Viewer
from catalog.access import check_may
from catalog.content.quotas import adopt_charges, charge_git
from catalog.history import log
from catalog.history.changes import Change, changes_between
from catalog.history.commits import Written, add_commit, move_ref
from catalog.history.graph import load_graph
from catalog.history.merges import Merged, merge_trees
from catalog.history.objects import ObjectStore
from catalog.history.refs import HEADS
from catalog.models import Commit, Discussion, GitObject, ModelRepo, Ref, RepoEvent
from catalog.services.comments import add_comment, check_enabled, check_text, locked
from catalog.services.discussions import MergedError, change_status
from catalog.services.events import emit
from catalog.services.indexing import index_revision
from catalog.services.locks import check_unlocked
from store.core.errors import ConflictError

MAX_NAMED = 200
"""Conflicting files, or commits of a merge, that are named one by one."""


class MergeConflictError(ConflictError):
    """Both sides changed the same files; ``extra["files"]`` names them."""

    code = "merge_conflict"


class NotOpenError(ConflictError):
    """A draft must be published and a closed pull request opened again before it is merged."""

    code = "not_open"


class BaseGoneError(ConflictError):
    """The branch the pull request is for was deleted."""

    code = "base_gone"


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a pull request would change, as it stands."""

    head_oid: str
    """Its last commit."""
    changes: list[Change] = field(default_factory=list)
    """Against the commit it began at."""
    is_base_there: bool = True
    conflicts: list[str] = field(default_factory=list)
    """Files the branch changed otherwise meanwhile. Empty for what is merged."""


def proposal_of(pull: Discussion) -> Proposal:
    """Return what a pull request proposes and whether it fits its branch."""
    repo = pull.repo
    refs = dict(
        Ref.objects.filter(repo=repo, name__in=[pull.ref_name, pull.base_ref]).values_list(
            "name", "commit_oid"
        )
    )
    head_oid = pull.merged_head_oid or refs[pull.ref_name]
    changes = changes_between(repo, pull.base_oid, head_oid)
    if pull.status == Discussion.Status.MERGED:
        return Proposal(head_oid, changes)
    base_oid = refs.get(pull.base_ref)
    if base_oid is None:
        return Proposal(head_oid, changes, is_base_there=False)
    conflicts = _merged(repo, pull, base_oid, head_oid).conflicts if changes else []
    return Proposal(head_oid, changes, conflicts=conflicts)


@transaction.atomic
def merge(viewer: Viewer, pull: Discussion, *, text: str = "") -> Commit:
    """Bring a pull request into its branch, by one commit on it. Nothing is written on refusal.

    Args:
        viewer: Who asks; a writer of the repository.
        pull: The pull request.
        text: Said before it, as a comment; may be empty.

    Raises:
        ForbiddenError: the viewer may not write to the repository.
        MergedError, NotOpenError: it is merged already; a draft or closed.
        BaseGoneError: its branch was deleted.
        MergeConflictError, LockedError: both sides changed a file; somebody else locked one.
        StorageQuotaError: the owner has no room for what it brings.
    """
    repo = pull.repo
    check_may(viewer, repo, to="write")
    check_enabled(repo)
    user, text = viewer.identified(), check_text(text, may_be_empty=True)
    held = locked(pull)
    _check_open(held)
    count_comment(user.pk)
    names = [held.base_ref, held.ref_name]
    rows = Ref.objects.select_for_update().filter(repo=repo, name__in=names).order_by("name")
    refs = {ref.name: ref for ref in rows}  # branches come before pull requests
    if held.base_ref not in refs:
        raise BaseGoneError(
            _("The branch %(name)s is gone.") % {"name": held.base_ref.removeprefix(HEADS)}
        )
    trunk, head_oid = refs[held.base_ref], refs[held.ref_name].commit_oid
    if text:
        add_comment(held, user, text)
    written = _write(repo, held, user, trunk.commit_oid, head_oid)
    check_unlocked(viewer, repo, (change.path for change in written.changes))
    old_oid = trunk.commit_oid
    move_ref(trunk, written.commit.oid)
    adopt_charges(repo, held, _brought(repo, written.changes))
    charge_git(repo, written.new_bytes)
    index_revision(repo, written, ref_name=trunk.name)
    held.merge_oid, held.merged_head_oid = written.commit.oid, head_oid
    Discussion.objects.filter(pk=held.pk).update(merge_oid=held.merge_oid, merged_head_oid=head_oid)
    change_status(held, user, Discussion.Status.MERGED, merge_commit=held.merge_oid)
    emit(
        RepoEvent.Scope.CONTENT,
        RepoEvent.Action.UPDATE,
        repo=repo,
        actor=user,
        updated_refs=[{"ref": trunk.name, "old": old_oid, "new": written.commit.oid}],
    )
    return written.commit


def _check_open(held: Discussion) -> None:
    if not held.is_pull_request:
        raise NotOpenError(_("This is a discussion: there is nothing to merge."))
    if held.status == Discussion.Status.MERGED:
        raise MergedError(_("This pull request is merged already."))
    if held.status == Discussion.Status.DRAFT:
        raise NotOpenError(_("This pull request is a draft. Publish it first."))
    if held.status == Discussion.Status.CLOSED:
        raise NotOpenError(_("This pull request is closed. Open it again first."))


def _write(repo: ModelRepo, held: Discussion, user: User, base_oid: str, head_oid: str) -> Written:
    """Write the merge commit; no ref is moved yet."""
    store = ObjectStore(repo.pk)
    parent = Commit.objects.get(repo=repo, oid=base_oid)
    merged = _merged(repo, held, base_oid, head_oid, store)
    if merged.conflicts:
        raise MergeConflictError(
            _("The branch has other changes of the same files: %(files)s. Solve that first.")
            % {"files": ", ".join(merged.conflicts[:5])},
            files=merged.conflicts[:MAX_NAMED],
        )
    return add_commit(
        store,
        repo,
        tree_oid=merged.tree.write(),
        parent=parent,
        title=f"{held.title} (#{held.number})",
        message=_message(repo, held, head_oid),
        author=user.username,
        merged_oid=head_oid if _is_joined(repo, held, base_oid, head_oid) else "",
    )


def _is_joined(repo: ModelRepo, held: Discussion, base_oid: str, head_oid: str) -> bool:
    """Whether the merge has the proposed commits as a parent.

    Not where the branch's history was given up since (squashed, or pushed over): they would bring
    it back. Their files come in all the same.
    """
    if head_oid == base_oid:
        return False
    began, trunk = bytes.fromhex(held.base_oid), bytes.fromhex(base_oid)
    return load_graph(repo.pk).is_ancestor(began, trunk)


def _merged(
    repo: ModelRepo,
    pull: Discussion,
    base_oid: str,
    head_oid: str,
    store: ObjectStore | None = None,
) -> Merged:
    rows = Commit.objects.filter(repo=repo, oid__in={pull.base_oid, base_oid, head_oid})
    trees = dict(rows.values_list("oid", "tree_oid"))
    return merge_trees(
        store or ObjectStore(repo.pk),
        base_oid=trees[pull.base_oid],
        ours_oid=trees[base_oid],
        theirs_oid=trees[head_oid],
    )


def _message(repo: ModelRepo, held: Discussion, head_oid: str) -> str:
    """Return the body of the merge's commit: what came in, and who wrote it."""
    count = log.count(repo, head_oid) - log.count(repo, held.base_oid)
    commits = log.history(repo, head_oid, limit=min(count, MAX_NAMED)) if count > 0 else []
    lines = [f"- {commit.title} ({commit.oid})" for commit in reversed(commits)]
    authors = [
        f"Co-authored-by: {name} <{name}@users.noreply>"
        for name in dict.fromkeys(commit.author for commit in reversed(commits))
    ]
    return "\n\n".join("\n".join(part) for part in (lines, authors) if part)


def _brought(repo: ModelRepo, changes: list[Change]) -> list[str]:
    """Return the digests of the large files that ``changes`` put on the branch."""
    oids = {change.new.oid for change in changes if change.new is not None}
    blobs = GitObject.objects.filter(repo=repo, oid__in=oids).exclude(lfs_sha256="")
    return list(blobs.values_list("lfs_sha256", flat=True))
