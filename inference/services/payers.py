"""Whose tokens of the day a generation uses.

A person's own, unless they act for an organization they belong to. A license of the model whose
terms allow a hosted service has tokens of its own: those go before the person's, so that a service
built on a bought model does not stop when its developer has played enough.
"""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from accounts.models import Namespace, Organization
from accounts.viewer import Viewer
from catalog.access import grants_in_force
from catalog.models import ModelRepo
from inference.services.quotas import asker_of
from licensing.models import License
from licensing.terms.rights import Allowed
from store.core.errors import NotFoundError


class NotYourOrganizationError(NotFoundError):
    """There is no such organization, or the caller does not belong to it: both look the same."""

    code = "organization_not_found"


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays in tokens."""

    key: str
    """As ``quotas`` counts it: ``user:…``, ``visitor:…``, ``organization:…`` or ``license:…``."""
    organization: Organization | None = None
    license: License | None = None

    def as_kept(self) -> dict[str, Any]:
        """Return the fields of a ``GenerationRun``."""
        return {
            "payer": self.key,
            "organization": self.organization,
            "license": self.license,
        }


def payer_of(
    viewer: Viewer, repo: ModelRepo, organization: str = "", *, has_right: bool = True
) -> Payer:
    """Return whose tokens a generation of ``repo`` uses.

    Args:
        viewer: Who asks.
        repo: The model.
        organization: Name of the organization the viewer acts for; empty: for themselves.
        has_right: Whether they may have the revision; where they try it, no license pays.

    Raises:
        NotYourOrganizationError: they do not belong to it, or their token does not reach it.
    """
    acting_for = _organization(viewer, organization) if organization else None
    found = _hosting_license(viewer, repo, acting_for) if has_right else None
    if found is not None:
        return Payer(f"license:{found.pk}", acting_for, found)
    if acting_for is not None:
        return Payer(f"organization:{acting_for.pk}", acting_for)
    return Payer(asker_of(viewer))


def organizations_of(viewer: Viewer) -> list[str]:
    """Return the organizations a viewer may act for, by name."""
    if len(viewer.roles) < 2:  # a person is in a namespace of their own
        return []
    rows = Namespace.objects.filter(pk__in=viewer.roles, organization__isnull=False)
    return list(rows.order_by("name").values_list("name", flat=True))


def _organization(viewer: Viewer, name: str) -> Organization:
    rows = Namespace.objects.filter(name__iexact=name, organization__isnull=False)
    found = rows.select_related("organization").first()
    if found is None or found.organization is None or viewer.role_in(found.pk) is None:
        raise NotYourOrganizationError(
            _("You do not belong to an organization called %(name)s. Leave it out to use your own.")
            % {"name": name[:42]}
        )
    return found.organization


def _hosting_license(
    viewer: Viewer, repo: ModelRepo, acting_for: Organization | None
) -> License | None:
    """Return the newest license in force that allows a hosted service; an organization's own."""
    if not repo.is_for_sale:
        return None
    grants = [row.grant_id for row in grants_in_force(viewer, repo)]
    rows = License.objects.filter(
        grant__in=grants, suspended_at=None, rights__hosted_service=Allowed.YES.value
    )
    if acting_for is not None:
        rows = rows.filter(holder__organization=acting_for)
    return rows.order_by("-id").first() if grants else None
