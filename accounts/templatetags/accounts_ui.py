"""Components about people."""

from typing import Any, TypedDict

from django import template

from accounts.models import Namespace, Organization

register = template.Library()


@register.filter
def then_line(text: str, following: str) -> str:
    """Join two lines of a command."""
    return f"{text}\n{following}"


class ProfileHeader(TypedDict):
    """A person or an organization, introduced."""

    namespace: Namespace
    owner: Any
    members: list[Any]
    is_organization: bool


@register.inclusion_tag("accounts/_profile_header.html")
def profile_header(namespace: Namespace) -> ProfileHeader:
    """Show who is behind a name. One query for an organization's members."""
    owner = namespace.owner
    is_organization = isinstance(owner, Organization)
    members: list[Any] = []
    if isinstance(owner, Organization):
        rows = owner.memberships.select_related("user").order_by("user__username")[:50]
        members = [row.user for row in rows]
    return {
        "namespace": namespace,
        "owner": owner,
        "members": members,
        "is_organization": is_organization,
    }
