"""Who sells: the one door to what a seller may see of their sales and their money."""

from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext as _

from accounts.models import Namespace, Role, Scope, User
from accounts.viewer import Viewer
from licensing.models import Offer, OrderLine
from store.core.errors import NotFoundError


class SellerNotFoundError(NotFoundError):
    """There is no such seller, or the viewer does not run it: the answer does not tell."""

    code = "seller_not_found"


def sellers_of(viewer: Viewer) -> list[Namespace]:
    """Return the name spaces whose sales the viewer may see, their own first.

    Those are their own and the organizations they are an admin of.

    Args:
        viewer: Who asks; a token needs the scope ``read``.

    Raises:
        UnauthenticatedError, MissingScopeError: see there.
    """
    user = viewer.require(Scope.READ)
    run = [pk for pk, role in viewer.roles.items() if role == Role.ADMIN]
    rows = Namespace.objects.filter(pk__in=run).select_related("user", "organization")
    return sorted(rows, key=lambda row: (row.user_id != user.pk, row.name.lower()))


def seller_for(viewer: Viewer, name: str = "") -> Namespace:
    """Return a seller whose sales the viewer may see.

    Args:
        viewer: Who asks; a token needs the scope ``read``.
        name: Of the name space; empty: the viewer's own.

    Raises:
        SellerNotFoundError: none of this name, or not theirs to see.
    """
    user = viewer.require(Scope.READ)
    wanted = (name or user.username).lower()
    found = next((row for row in sellers_of(viewer) if row.name.lower() == wanted), None)
    if found is None:
        raise _no_such_seller(name)
    return found


def check_runs(viewer: Viewer, seller: Namespace) -> User:
    """Refuse somebody who may not change what a seller sells under; return who they are.

    Args:
        viewer: Who asks; a token needs the scope ``write``.
        seller: Whose affairs.

    Raises:
        SellerNotFoundError: not theirs.
    """
    user = viewer.require(Scope.WRITE)
    if viewer.role_in(seller.pk) != Role.ADMIN:
        raise _no_such_seller(seller.name)
    return user


def _no_such_seller(name: str) -> SellerNotFoundError:
    return SellerNotFoundError(
        _("You run no seller called %(name)s. Admins of a team see its sales.")
        % {"name": name[:96]}
    )


def has_sales(user: User) -> bool:
    """Whether a person, or a team they are an admin of, has offers or sold something. One query."""
    runs = Q(organization__memberships__user=user, organization__memberships__role=Role.ADMIN)
    offers = Offer.objects.filter(namespace=OuterRef("pk"))
    lines = OrderLine.objects.filter(seller=OuterRef("pk"))
    rows = Namespace.objects.filter(Q(user=user) | runs)
    return rows.filter(Exists(offers) | Exists(lines)).exists()
