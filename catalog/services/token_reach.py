"""Turning what people write about a fine-grained token into places, and back into words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from accounts.models import AccessToken, Namespace, Organization, Permission
from accounts.services.tokens import NewReach
from accounts.viewer import Viewer
from catalog.access import RepoMovedError, RepoNotFoundError, repo_for
from catalog.models import ModelRepo
from store.core.errors import InvalidError

_ORDER = list(Permission)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A place by its name, and what a token is to do there."""

    name: str
    """``namespace`` or ``namespace/name``."""
    permissions: frozenset[Permission]


@dataclass(frozen=True, slots=True)
class Place:
    """A place a token reaches, for pages and programs."""

    kind: str
    """``user``, ``org`` or ``model``."""
    public_id: str
    name: str
    permissions: list[Permission]


class BadPlaceError(InvalidError):
    """A token cannot list this place; ``extra["name"]`` says which."""

    code = "bad_place"


def read_reach(
    viewer: Viewer,
    wanted: Iterable[Wanted],
    *,
    everywhere: frozenset[Permission] = frozenset(),
    has_gated: bool = False,
) -> NewReach:
    """Return what ``wanted`` means. Places without a permission are left out.

    Args:
        viewer: Whose token it will be, with a session or a token that reaches everything.
        wanted: The places.
        everywhere: What it may do at every repository the person sees.
        has_gated: It reads public gated models that are open to the person.

    Raises:
        BadPlaceError: the person does not belong to the name space, or does not see the model.
    """
    namespaces: dict[int, frozenset[Permission]] = {}
    repos: dict[str, frozenset[Permission]] = {}
    for each in wanted:
        if not each.permissions:
            continue
        if "/" in each.name:
            public_id = _repo(viewer, each.name).public_id
            repos[public_id] = repos.get(public_id, frozenset()) | each.permissions
        else:
            pk = _namespace(viewer, each.name)
            namespaces[pk] = namespaces.get(pk, frozenset()) | each.permissions
    return NewReach(namespaces, repos, everywhere, has_gated=has_gated)


def places_of(token: AccessToken) -> list[Place]:
    """Return the places ``token`` lists that its owner still has part in, in order of names.

    Three queries.
    """
    owner = Viewer(user=token.user)
    grants = list(token.grants.select_related("namespace__user", "namespace__organization"))
    listed = [grant.repo_id for grant in grants if grant.repo_id]
    rows = ModelRepo.objects.visible_to(owner).filter(public_id__in=listed)
    repos = {repo.public_id: repo for repo in rows.select_related("namespace")}
    places = []
    for grant in grants:
        permissions = sorted((Permission(each) for each in grant.permissions), key=_ORDER.index)
        if grant.namespace is not None:
            holder = grant.namespace.owner
            if holder is not None and owner.role_in(grant.namespace.pk) is not None:
                kind = "org" if isinstance(holder, Organization) else "user"
                place = Place(kind, holder.public_id, grant.namespace.name, permissions)
                places.append(place)
        elif grant.repo_id in repos:
            repo = repos[grant.repo_id]
            places.append(Place("model", repo.public_id, repo.full_name, permissions))
    return sorted(places, key=lambda place: (place.kind == "model", place.name.lower()))


def own_namespaces(viewer: Viewer) -> Sequence[Namespace]:
    """Return the name spaces a token of ``viewer`` can list: their own, then their teams'."""
    rows = Namespace.objects.filter(pk__in=viewer.person_roles)
    return list(rows.order_by("organization", "name").select_related("user", "organization"))


def _namespace(viewer: Viewer, name: str) -> int:
    found = Namespace.objects.filter(pk__in=viewer.person_roles, name__iexact=name).first()
    if found is None:
        raise BadPlaceError(
            _("You do not belong to %(name)s.") % {"name": name[:42]}, name=name[:140]
        )
    return found.pk


def _repo(viewer: Viewer, name: str) -> ModelRepo:
    namespace, _slash, rest = name.partition("/")
    try:
        return repo_for(viewer, namespace, rest)
    except RepoMovedError as moved:
        return moved.repo
    except RepoNotFoundError as error:
        raise BadPlaceError(
            _("There is no model %(name)s that you can see.") % {"name": name[:140]},
            name=name[:140],
        ) from error
