"""The one door to licenses. Absent and hidden look the same."""

from typing import Literal

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from accounts.models import Role, Scope
from accounts.viewer import Viewer
from licensing.models import License
from store.core.errors import ForbiddenError, NotFoundError

Doing = Literal["see", "prove", "use", "manage", "police"]
_WRITERS = (Role.ADMIN, Role.WRITE)


class LicenseNotFoundError(NotFoundError):
    """There is no such license, or not for this caller."""

    code = "license_not_found"


def no_such_license() -> LicenseNotFoundError:
    """Return the refusal that is the same for absent, hidden, unknown and malformed."""
    return LicenseNotFoundError(_("There is no such license. Copy its key from your library."))


def licenses_of(viewer: Viewer, *, sold: bool = False) -> QuerySet[License]:
    """Return the licenses the viewer and their organizations hold, newest first.

    Args:
        viewer: Who asks; a token needs the scope ``read``.
        sold: Return those they sold instead.

    Raises:
        UnauthenticatedError, MissingScopeError: see there.
    """
    viewer.require(Scope.READ)
    rows = License.objects.select_related("grant", "holder", "seller", "terms", "line")
    if sold:
        selling = [pk for pk, role in viewer.roles.items() if role in _WRITERS]
        return rows.filter(seller_id__in=selling).order_by("-id")
    return rows.filter(holder_id__in=list(viewer.roles)).order_by("-id")


def license_for(viewer: Viewer, public_id: str, *, to: Doing = "see") -> License:
    """Return a license if the viewer may do this with it.

    Args:
        viewer: Who asks.
        public_id: The license's.
        to: ``see`` it (its holder's members, writers of its seller, staff), ``prove`` that one
            has it (members), ``use`` its key and seats (members), ``manage`` key and all seats
            (members who may write), ``police`` it (admins of its seller, staff). From ``use`` on
            a token needs the scope ``write``.

    Raises:
        UnauthenticatedError, MissingScopeError: see there.
        LicenseNotFoundError: absent, or not theirs to see. Never "forbidden", which would tell.
        ForbiddenError: they may see it, but not do this.
    """
    viewer.require(Scope.READ)
    rows = License.objects.select_related("grant", "holder", "seller", "terms", "line__order")
    found = rows.filter(public_id=public_id).first()
    if found is None or not may(viewer, found, to="see"):
        raise no_such_license()
    if to in {"use", "manage", "police"}:
        viewer.require(Scope.WRITE)
    if not may(viewer, found, to=to):
        raise ForbiddenError(_REFUSALS[to]())
    return found


def may(viewer: Viewer, license_: License, *, to: Doing) -> bool:
    """Whether role and place allow it; what a token covers comes on top."""
    holding = viewer.role_in(license_.holder_id)
    selling = viewer.role_in(license_.seller_id)
    if to == "see":
        return holding is not None or selling in _WRITERS or viewer.is_staff
    if to in {"prove", "use"}:
        return holding is not None
    if to == "manage":
        return holding in _WRITERS
    return selling == Role.ADMIN or viewer.is_staff


_REFUSALS = {
    "prove": lambda: _("Only those who hold the license can have its file."),
    "use": lambda: _("Only those who hold the license can use its key and seats."),
    "manage": lambda: _("Only members who may write can change the key and the seats of others."),
    "police": lambda: _("Only admins of the seller and staff can suspend and reinstate it."),
}
