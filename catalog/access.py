"""The one door to a repository. Absent and hidden look the same."""

from typing import Literal

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from accounts.models import Namespace, Permission, Scope
from accounts.viewer import Viewer
from catalog.models import AccessRequest, Grant, GrantedRepo, ModelRepo, RepoAlias, RepoRedirect
from catalog.models.repo import RepoQuerySet
from store.core.errors import ForbiddenError, NotFoundError, StoreError


class RepoNotFoundError(NotFoundError):
    """The repository is absent or hidden from this viewer."""

    code = "repo_not_found"


class NamespaceNotFoundError(NotFoundError):
    """No person or organization has this name."""

    code = "namespace_not_found"


class RepoMovedError(StoreError):
    """The repository has another id now; ``repo`` is visible to the viewer."""

    code = "moved"
    status = 307

    def __init__(self, repo: ModelRepo) -> None:
        super().__init__(f"This repository is now {repo.full_name}.", full_name=repo.full_name)
        self.repo = repo


class RepoDisabledError(ForbiddenError):
    """Staff took the repository down."""

    code = "repo_disabled"


class GatedRepoError(ForbiddenError):
    """The repository's contents are for people its publisher let in, and this is none of them.

    The message begins as hub clients expect it; their door adds where to ask.
    """

    code = "gated_repo"

    def __init__(self, repo: ModelRepo) -> None:
        super().__init__(
            f"Access to model {repo.full_name} is restricted and you are not in the authorized"
            " list.",
            full_name=repo.full_name,
            gate=repo.gate,
        )


class PurchaseRequiredError(GatedRepoError):
    """The repository's contents are for those who hold a license; the viewer holds none.

    ``licensing`` adds the offers before it reaches anybody.
    """

    code = "purchase_required"

    def __init__(self, repo: ModelRepo, message: str = "", **extra: object) -> None:
        super().__init__(repo)
        self.message = message or f"{self.message} It needs a license."
        self.extra |= extra
        self.repo = repo


Action = Literal["read", "write", "admin", "discuss"]

_PERMISSION_OF: dict[Action, Permission] = {
    "write": Permission.WRITE,
    "admin": Permission.SETTINGS,
    "discuss": Permission.DISCUSS,
}


def repo_for(viewer: Viewer, namespace: str, name: str, *, to: Action = "read") -> ModelRepo:
    """Return ``namespace/name`` if ``viewer`` may ``to`` it. Letters' case does not matter.

    Args:
        viewer: Who asks.
        namespace: A person's or organization's name.
        name: The repository's.
        to: ``read`` what is in it, ``write`` to it, ``admin``: rename, delete, settings, or
            ``discuss`` it, which every person may who sees it.

    Raises:
        RepoNotFoundError: absent or hidden. Never "forbidden", which would confirm it exists.
        RepoMovedError: it has another id now and the viewer may see it.
        ForbiddenError: visible, but not theirs to change.
        MissingScopeError: theirs, but the token was not made for it.
    """
    visible = ModelRepo.objects.visible_to(viewer).select_related("namespace")
    repo = visible.named(namespace, name).first()
    if repo is None:
        moved = RepoRedirect.objects.filter(
            namespace__name__iexact=namespace, name__iexact=name
        ).first()
        target = visible.filter(pk=moved.repo_id).first() if moved else None
        if target is not None:
            raise RepoMovedError(target)
        raise RepoNotFoundError(f"Repository Not Found: there is no model {namespace}/{name}.")
    check_may(viewer, repo, to=to)
    return repo


def check_may(viewer: Viewer, repo: ModelRepo, *, to: Action) -> None:
    """Refuse what ``viewer`` may not do to a repository they can see.

    Raises:
        UnauthenticatedError: nobody is signed in.
        ForbiddenError: the role does not allow it.
        MissingScopeError: the token does not cover it.
    """
    if to == "read":
        return
    viewer.identified()
    if to != "discuss" and not viewer.is_writer(repo.namespace_id):
        raise ForbiddenError(f"You may not change {repo.full_name}. Ask its owner for access.")
    viewer.require_at(_PERMISSION_OF[to], repo.namespace_id, repo.public_id)


def can(viewer: Viewer, repo: ModelRepo, *, to: Action) -> bool:
    """Whether ``check_may`` would let it pass; for showing or hiding buttons."""
    try:
        check_may(viewer, repo, to=to)
    except StoreError:
        return False
    return True


def check_contents(viewer: Viewer, repo: ModelRepo) -> list[GrantedRepo] | None:
    """Refuse the contents of a visible repository: its files, and what a model makes of them.

    Names, sizes, digests, history and the card are not contents. Members of the owner pass, and
    holders of a grant: what they bought survives a gate that closes and a takedown (staff who
    want to end it refund the orders).

    Returns:
        The grants it opens by, which may not reach every revision; ``None``: it needs none.

    Raises:
        RepoDisabledError: it is taken down and the viewer is not staff.
        PurchaseRequiredError: it is sold and the viewer holds no grant.
        GatedRepoError: the viewer has not been let in.
    """
    is_down = bool(repo.disabled_reason) and not viewer.is_staff
    if not is_down and not repo.is_sold and passes_gate(viewer, repo):
        return None
    if held := grants_in_force(viewer, repo):
        return held
    if not is_down and viewer.role_at(repo.namespace_id, repo.public_id) is not None:
        return None
    if is_down:
        raise RepoDisabledError(
            "This repository is disabled. Its page says why.", reason=repo.disabled_reason
        )
    raise PurchaseRequiredError(repo) if repo.is_sold else GatedRepoError(repo)


def may_see_contents(viewer: Viewer, repo: ModelRepo) -> bool:
    """Whether ``check_contents`` would let it pass; for pages that show less without."""
    try:
        check_contents(viewer, repo)
    except StoreError:
        return False
    return True


def grants_in_force(viewer: Viewer, repo: ModelRepo) -> list[GrantedRepo]:
    """Return what opens ``repo`` to ``viewer`` now, newest last: their own grants, their teams'.

    A fine-grained token uses a grant where it lists the model, or reaches gated ones at all. One
    query, a plain one, since every download of a sold model asks it: they are few for one model and
    one person, and sorted out here, which takes a fifth of the time of a condition in SQL.
    """
    if viewer.user is None or not _reaches(viewer, repo):
        return []
    held = GrantedRepo.objects.filter(repo=repo, grant__holder_id__in=list(viewer.person_roles))
    now = timezone.now()
    rows = held.select_related("grant").order_by("pk")
    return [row for row in rows if row.grant.is_in_force(now)]


def passes_gate(viewer: Viewer, repo: ModelRepo) -> bool:
    """Whether the gate is open to ``viewer``: the one place that knows.

    Members of the owner pass whatever their role; everybody else by an accepted request. A
    fine-grained token passes where it lists the repository, or reaches gated ones at all.
    """
    if repo.gate == ModelRepo.Gate.NONE:
        return True
    if viewer.role_at(repo.namespace_id, repo.public_id) is not None:
        return True
    reach = viewer.reach
    if viewer.user is None or not _reaches(viewer, repo):
        return False
    if reach is not None and reach.has_gated and repo.namespace_id in viewer.person_roles:
        return True
    accepted = AccessRequest.objects.filter(status=AccessRequest.Status.ACCEPTED)
    return accepted.filter(repo=repo, user=viewer.user).exists()


def _reaches(viewer: Viewer, repo: ModelRepo) -> bool:
    """Whether the token, if it is fine-grained, is good for what its owner was let into."""
    reach = viewer.reach
    return reach is None or reach.has_gated or _lists(viewer, repo)


def _lists(viewer: Viewer, repo: ModelRepo) -> bool:
    return repo.public_id in viewer.listed_repos


def open_repos(viewer: Viewer) -> RepoQuerySet:
    """Return the repositories whose contents ``viewer`` may have: ``check_contents`` as a query."""
    rows = ModelRepo.objects.visible_to(viewer)
    is_up = Q() if viewer.is_staff else Q(disabled_reason="")
    is_free = Q(is_for_sale=False) | Q(opens_at__lte=timezone.now())
    no_gate = Q(gate=ModelRepo.Gate.NONE)
    if viewer.user is None:
        return rows.filter(is_up & is_free & no_gate)
    reach, members = viewer.reach, list(viewer.person_roles)
    listed = Q(public_id__in=viewer.listed_repos)
    is_mine = Q(namespace_id__in=list(viewer.roles)) | (Q(namespace_id__in=members) & listed)
    asked = AccessRequest.objects.filter(repo=OuterRef("pk"), user=viewer.user)
    was_let_in = Q(Exists(asked.filter(status=AccessRequest.Status.ACCEPTED)))
    held = Grant.objects.in_force().held_by(members).filter(granted__repo=OuterRef("pk"))
    is_bought = Q(Exists(held))
    if reach is not None and reach.has_gated:
        was_let_in |= Q(namespace_id__in=members)
    elif reach is not None:
        was_let_in, is_bought = was_let_in & listed, is_bought & listed
    is_open = is_mine | (is_free & (no_gate | was_let_in))
    return rows.filter((is_up & is_open) | is_bought)


def namespace_for(viewer: Viewer, name: str) -> Namespace:
    """Return the name space of a living person or organization.

    Raises:
        NamespaceNotFoundError: nobody has this name.
    """
    rows = Namespace.objects.select_related("user", "organization")
    found = rows.filter(name__iexact=name).first()
    if found is None or found.owner is None:
        raise NamespaceNotFoundError(f"There is nobody called {name} here.")
    return found


def publishing_namespace(viewer: Viewer, name: str | None) -> Namespace:
    """Return the name space ``viewer`` wants to publish in; ``None`` means their own.

    Raises:
        UnauthenticatedError: nobody is signed in.
        MissingScopeError: the token cannot write, or not there.
        ForbiddenError: it is not theirs, or does not exist: the answer does not tell.
    """
    user = viewer.identified() if viewer.reach is not None else viewer.require(Scope.WRITE)
    rows = Namespace.objects.select_related("user", "organization")
    found = rows.filter(name__iexact=name or user.username).first()
    if found is None or not viewer.is_writer(found.pk):
        raise ForbiddenError(f"You may not publish under {name}. Use your own name or a team's.")
    viewer.require_at(Permission.WRITE, found.pk)
    return found


def canonical_alias(viewer: Viewer, name: str) -> str | None:
    """Return ``namespace/name`` of a single-segment id that staff made.

    ``None``: there is none, or what it leads to is hidden from ``viewer``.
    """
    meant = RepoAlias.objects.filter(name__iexact=name).values("repo")
    found = ModelRepo.objects.visible_to(viewer).filter(pk__in=meant)
    repo = found.select_related("namespace").first()
    return repo.full_name if repo else None
