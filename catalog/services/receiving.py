"""A push: many commits and refs at once, by the same rules as a commit of any other door.

What can be decided without a lock (is the pack whole, are the files allowed, what did each commit
change) is decided first; then one transaction writes objects, commits and refs, and everything
that follows from them. Either the whole push happens or nothing of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import OperationalError, transaction
from django.utils import timezone
from psycopg.errors import DeadlockDetected, LockNotAvailable

from accounts.models import Role
from accounts.viewer import Viewer
from catalog.access import RepoNotFoundError, check_may
from catalog.content.ownership import owned_sizes
from catalog.content.quotas import charge_git
from catalog.history.changes import tree_changes
from catalog.history.commits import Written
from catalog.history.errors import BadRefNameError, RefExistsError
from catalog.history.graph import Graph, Oid, load_graph
from catalog.history.objects import EMPTY_TREE, ObjectStore, kinds_of, read_many
from catalog.history.pushed import PlannedCommit, plan_commits, save_commits, without_known
from catalog.history.refs import (
    CONVERTS,
    HEADS,
    PULLS,
    TAGS,
    check_ref_name,
    drop_ref,
    place_ref,
)
from catalog.history.strict import TagFacts, read_tag
from catalog.history.unpacking import Unpacked
from catalog.history.verifying import Verified, path_of, pointers, verify
from catalog.models import Commit, FileScan, GitObject, ModelRepo, Ref, RepoEvent
from catalog.services.authors import naming
from catalog.services.events import emit
from catalog.services.indexing import MAIN, index_revision
from catalog.services.locks import check_unlocked
from catalog.services.publishing import NotOwnedError
from catalog.services.scanning import JUDGED_AT_ONCE, await_verdicts, judge_paths
from store.core.errors import TooLargeError, TransientError, UnprocessableError

NOTHING = "0" * 40
"""What git writes for "no such ref"."""
MAX_UPDATES = 1000
JUDGED_COMMITS = 20
"""Commits of one push whose files are judged while the client waits."""
_MAX_TAG_CHAIN = 8
_OTHERS = "refused together with the rest of this push"
Kind = GitObject.Kind


class PushRefusedError(UnprocessableError):
    """Some refs cannot move as the push wants it; nothing was written.

    Args:
        reasons: Why, by ref.
    """

    code = "push_refused"

    def __init__(self, reasons: Mapping[str, str]) -> None:
        super().__init__("The push was refused; nothing was changed.", reasons=dict(reasons))
        self.reasons = reasons

    def reason_of(self, ref_name: str) -> str:
        """Return what to tell about one ref."""
        return self.reasons.get(ref_name, _OTHERS)


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """One ref that is to be made, moved or deleted."""

    name: str
    old: str
    """What the client saw there: an id, or ``NOTHING``."""
    new: str
    """What it wants there: an id, or ``NOTHING``."""

    @property
    def is_deletion(self) -> bool:
        """Take the ref away."""
        return self.new == NOTHING


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a ref is to lead."""

    oid: str
    commit_oid: str


def receive_push(
    viewer: Viewer, repo: ModelRepo, *, updates: Sequence[RefUpdate], unpacked: Unpacked
) -> int:
    """Do what a push asks for, all of it or nothing.

    Args:
        viewer: Who pushes. Commits may be by others; the event says who pushed.
        repo: Through ``catalog.access``.
        updates: What is to happen to which refs.
        unpacked: The new objects.

    Returns:
        How many files are still being checked.

    Raises:
        ForbiddenError, MissingScopeError: not the viewer's to change.
        PushRefusedError: a ref cannot move so; says why for each.
        BadObjectError, BadPackError, MissingBaseError, PackTooLargeError: see ``verify``.
        BadPathError: a path cannot be stored.
        LockedError: somebody else has locked a file that changes.
        NotOwnedError: a git-lfs pointer names content that was not uploaded here.
        StorageQuotaError: the owner has no room for it.
        TransientError: others write for too long.
    """
    check_may(viewer, repo, to="write")
    if len(updates) > MAX_UPDATES:
        raise TooLargeError(f"Push at most {MAX_UPDATES} branches and tags at a time.")
    _refuse({update.name: _name_fault(update) for update in updates})
    tips = [bytes.fromhex(update.new) for update in updates if not update.is_deletion]
    verified = verify(repo.pk, unpacked, tips)
    _check_pointers(viewer, repo, unpacked, verified)
    graph = load_graph(repo.pk)
    graph.parents.update(verified.commits.parents)
    graph.trees.update(verified.commits.trees)
    targets = _targets(repo, updates, unpacked, verified, graph)
    planned = plan_commits(repo, unpacked, verified.commits, graph, author_of=naming(viewer, repo))
    own = [each for each in planned if not each.is_merge]  # a merge brings what others changed
    check_unlocked(viewer, repo, (path for each in own for path in each.paths))
    plan = _Plan(updates, targets, unpacked, verified, graph, planned)
    try:
        return _write(viewer, repo, plan)
    except OperationalError as exc:
        if not isinstance(exc.__cause__, LockNotAvailable | DeadlockDetected):
            raise
        raise TransientError("Somebody else writes here just now. Push again.") from exc


@dataclass(frozen=True, slots=True)
class _Plan:
    updates: Sequence[RefUpdate]
    targets: Mapping[str, _Target]
    unpacked: Unpacked
    verified: Verified
    graph: Graph
    planned: list[PlannedCommit]


@transaction.atomic
def _write(viewer: Viewer, repo: ModelRepo, plan: _Plan) -> int:
    names = sorted(update.name for update in plan.updates)  # in one order: no two pushes embrace
    rows = Ref.objects.select_for_update().filter(repo=repo, name__in=names).order_by("name")
    there = {ref.name: ref for ref in rows}
    old = {name: (ref.oid, ref.commit_oid) for name, ref in there.items()}
    _refuse(
        {
            update.name: _move_fault(viewer, repo, update, there.get(update.name), plan)
            for update in plan.updates
        }
    )
    _lock_repo(repo)  # after the refs, as a commit does it: nobody waits in a circle
    written_bytes = _write_objects(repo, plan)
    fresh = without_known(repo, plan.planned)
    save_commits(fresh)
    _move_refs(repo, plan, there)
    charge_git(repo, written_bytes)
    _judge(repo, fresh)
    if any(update.name.startswith(HEADS) for update in plan.updates):
        ModelRepo.objects.filter(pk=repo.pk).update(updated_at=timezone.now())
    _index(repo, plan, old)
    emit(
        RepoEvent.Scope.CONTENT,
        RepoEvent.Action.UPDATE,
        repo=repo,
        actor=viewer.user,
        updated_refs=[
            {
                "ref": update.name,
                "old": old[update.name][1] if update.name in old else None,
                "new": None if update.is_deletion else plan.targets[update.name].commit_oid,
            }
            for update in plan.updates
        ],
    )
    return FileScan.objects.filter(repo=repo, verdict=FileScan.Verdict.PENDING).count()


def _lock_repo(repo: ModelRepo) -> None:
    """Let one push at a time write: two may bring the same commits for different branches."""
    locked = ModelRepo.objects.select_for_update(no_key=True).filter(pk=repo.pk)
    if locked.first() is None:
        raise RepoNotFoundError("The repository was deleted meanwhile.")


def _write_objects(repo: ModelRepo, plan: _Plan) -> int:
    store = ObjectStore(repo.pk)
    for oid in plan.unpacked:
        store.add_raw(oid.hex(), plan.unpacked.kind(oid), plan.unpacked.data(oid))
    if plan.verified.needs_empty_tree:
        store.add_raw(EMPTY_TREE, Kind.TREE, b"")
    store.flush()
    return store.written_bytes


def _move_refs(repo: ModelRepo, plan: _Plan, there: Mapping[str, Ref]) -> None:
    """Move the locked refs; deletions first, so that ``a/b`` may replace ``a``."""
    for update in sorted(plan.updates, key=lambda update: not update.is_deletion):
        if update.is_deletion:
            drop_ref(repo, update.name)
            continue
        target = plan.targets[update.name]
        try:
            place_ref(
                repo,
                update.name,
                there.get(update.name),
                oid=target.oid,
                commit_oid=target.commit_oid,
            )
        except RefExistsError as exc:
            raise PushRefusedError({update.name: exc.message}) from exc


def _judge(repo: ModelRepo, fresh: Sequence[PlannedCommit]) -> None:
    """Judge what the newest commits changed; the rest of a long history is the job's."""
    await_verdicts(repo, (file for each in fresh for file in each.files))
    left = JUDGED_AT_ONCE
    for each in fresh[: -JUDGED_COMMITS - 1 : -1]:
        paths = [path for path, _oid in each.files[:left]]
        judge_paths(repo, each.row.oid, paths)
        left -= len(paths)


def _index(repo: ModelRepo, plan: _Plan, old: Mapping[str, tuple[str, str]]) -> None:
    """Let verdicts and, for the default branch, the listing follow each branch."""
    main = Ref.objects.get(repo=repo, name=MAIN).commit_oid
    for update in plan.updates:
        if update.is_deletion or not update.name.startswith(HEADS):
            continue
        commit_oid = plan.targets[update.name].commit_oid
        before = bytes.fromhex(old[update.name][1] if update.name in old else main)
        after = bytes.fromhex(commit_oid)
        store = ObjectStore(repo.pk)
        trees = plan.graph.trees
        changes = list(tree_changes(store, trees[before].hex(), trees[after].hex()))
        commit = Commit.objects.get(repo=repo, oid=commit_oid)
        index_revision(repo, Written(commit, changes, 0), ref_name=update.name)


def _refuse(faults: Mapping[str, str]) -> None:
    reasons = {name: fault for name, fault in faults.items() if fault}
    if reasons:
        raise PushRefusedError(reasons)


def _name_fault(update: RefUpdate) -> str:
    """Say why a ref of this name cannot be pushed at all; empty: it can."""
    name = update.name
    if name.startswith(PULLS):
        return "pull requests are changed on their page or by the hub client, not by git"
    if name.startswith(CONVERTS):
        return "conversions are made by the store"
    if not name.startswith((HEADS, TAGS)):
        return "only branches (refs/heads/) and tags (refs/tags/) can be pushed"
    if name == MAIN and update.is_deletion:
        return "the default branch cannot be deleted"
    try:
        check_ref_name(name.split("/", 2)[2])
    except BadRefNameError as exc:
        return exc.message
    return ""


def _move_fault(
    viewer: Viewer, repo: ModelRepo, update: RefUpdate, there: Ref | None, plan: _Plan
) -> str:
    """Say why a locked ref cannot move so; empty: it can."""
    if (there.oid if there else NOTHING) != update.old:
        return "it has moved since you last fetched; fetch first, then push again"
    if there is None or update.is_deletion:
        return ""
    target = bytes.fromhex(plan.targets[update.name].commit_oid)
    is_branch = update.name.startswith(HEADS)
    if is_branch and plan.graph.is_ancestor(bytes.fromhex(there.commit_oid), target):
        return ""
    if viewer.role_at(repo.namespace_id, repo.public_id) == Role.ADMIN:
        return ""
    return f"only owners may force-push; {repo.full_name} would lose commits from it"


def _targets(
    repo: ModelRepo,
    updates: Sequence[RefUpdate],
    unpacked: Unpacked,
    verified: Verified,
    graph: Graph,
) -> dict[str, _Target]:
    """Return where each ref is to lead.

    Raises:
        PushRefusedError: to something that is no commit, or nowhere.
    """
    targets, faults = {}, {}
    for update in updates:
        if update.is_deletion:
            continue
        commit = _peeled(repo, bytes.fromhex(update.new), unpacked, verified, graph)
        if commit is None:
            faults[update.name] = "it does not lead to a commit of this repository or this push"
        elif commit.hex() != update.new and update.name.startswith(HEADS):
            faults[update.name] = "a branch leads to a commit, not to a tag"
        else:
            targets[update.name] = _Target(update.new, commit.hex())
    _refuse(faults)
    return targets


def _peeled(
    repo: ModelRepo, oid: Oid, unpacked: Unpacked, verified: Verified, graph: Graph
) -> Oid | None:
    """Follow annotated tags to their commit."""
    for _step in range(_MAX_TAG_CHAIN):
        if oid in graph:
            return oid
        tag = verified.tags.get(oid)
        if tag is None and oid not in unpacked:
            tag = _stored_tag(repo, oid)
        if tag is None:
            return None
        oid = tag.target
    return None


def _stored_tag(repo: ModelRepo, oid: Oid) -> TagFacts | None:
    if kinds_of(repo.pk, [oid]).get(oid) != Kind.TAG:
        return None
    [(_oid, _kind, data)] = read_many(repo.pk, [oid])
    return read_tag(oid, data)


def _check_pointers(
    viewer: Viewer, repo: ModelRepo, unpacked: Unpacked, verified: Verified
) -> None:
    """Refuse pointers to content this repository does not own: a digest is no key."""
    named = list(pointers(unpacked))
    owned = owned_sizes(repo, {pointer.sha256 for _oid, pointer in named}, by=viewer.user)
    for oid, pointer in named:
        if owned.get(pointer.sha256) != pointer.size_bytes:
            path = path_of(unpacked, verified.commits, oid)
            raise NotOwnedError(
                f"The content of {path} was not uploaded to this repository."
                " Run `git lfs push --all` for this remote first.",
                path=path,
                sha256=pointer.sha256,
            )
