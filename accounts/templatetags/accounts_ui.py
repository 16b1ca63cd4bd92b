"""Components about people."""

from typing import Any, TypedDict

from django import template
from django.utils.translation import gettext_lazy as _

from accounts.models import AuditEvent, Namespace, Organization, User

register = template.Library()

MAX_MEMBERS = 24
"""Members a profile shows."""

_TOLD = {
    "user.create": _("signed up"),
    "user.profile": _("changed the profile"),
    "user.email": _("changed the e-mail address"),
    "user.password": _("changed the password"),
    "user.password_reset": _("set a new password by a mailed link"),
    "two_factor.on": _("turned on two-factor authentication"),
    "two_factor.off": _("turned off two-factor authentication"),
    "two_factor.add": _("added the second factor"),
    "two_factor.remove": _("removed the second factor"),
    "two_factor.recovery": _("used a recovery code"),
    "two_factor.recovery_codes": _("made new recovery codes"),
    "user.delete": _("deleted the account"),
    "session.start": _("signed in"),
    "token.create": _("made the access token"),
    "token.change": _("changed what the access token reaches:"),
    "token.rotate": _("gave another secret to the access token"),
    "access.answer": _("answered a request for access to"),
    "oauth_client.create": _("registered the program"),
    "oauth_client.delete": _("deleted the program"),
    "oauth_session.start": _("let in the program"),
    "oauth_session.end": _("signed out the program"),
    "token.revoke": _("revoked the access token"),
    "publisher.add": _("trusted the CI jobs of"),
    "publisher.remove": _("no longer trusts the CI jobs of"),
    "publisher.exchange": _("gave a token for one hour to a CI job of"),
    "organization.create": _("made the organization"),
    "organization.profile": _("changed the profile of"),
    "organization.member": _("changed the membership of"),
    "organization.delete": _("deleted the organization"),
    "repo.create": _("made the model"),
    "repo.move": _("renamed the model"),
    "repo.settings": _("changed the settings of"),
    "repo.delete": _("deleted the model"),
    "webhook.create": _("made a webhook to"),
    "webhook.update": _("changed the webhook to"),
    "webhook.enable": _("switched on the webhook to"),
    "webhook.disable": _("switched off the webhook to"),
    "webhook.key": _("made a new signing key for the webhook to"),
    "webhook.delete": _("deleted the webhook to"),
    "webhook.stop": _("switched off the failing webhook"),
    "repo.opening": _("said when everybody gets the model"),
    "offer.make": _("made the offer"),
    "offer.change": _("changed the offer"),
    "offer.open": _("put on sale the offer"),
    "offer.close": _("took off sale the offer"),
    "order.open": _("ordered, with the number"),
    "refund.ask": _("asked for a refund of the order"),
    "refund.accept": _("gave the money back for the order"),
    "refund.decline": _("declined a refund of the order"),
    "subscription.cancel": _("ended the subscription of the order"),
    "subscription.resume": _("went on with the subscription of the order"),
    "coupon.make": _("made the coupon"),
    "coupon.end": _("ended the coupon"),
    "seller.profile": _("changed who is on the documents of"),
    "seller.bank": _("changed the bank account for the payouts of"),
    "seller.account": _("opened an account for the payouts of"),
    "license.reveal": _("looked at the key of the license"),
    "license.rotate": _("made a new key for the license"),
    "license.suspend": _("suspended the license"),
    "license.reinstate": _("reinstated the license"),
    "seat.end": _("ended a seat of the license"),
    "seat.transfer": _("handed on a seat of the license"),
}


@register.filter
def told(event: AuditEvent) -> Any:
    """Say what somebody did, in words; an action without words of its own by its name."""
    return _TOLD.get(event.action, event.action)


class ProfileHeader(TypedDict):
    """A person or an organization, introduced."""

    name: str
    owner: User | Organization | None
    members: list[User]
    more_members: int
    is_organization: bool


@register.inclusion_tag("accounts/_profile_header.html")
def profile_header(namespace: Namespace) -> ProfileHeader:
    """Show who is behind a name: picture, names, bio, home page, members.

    One query for an organization's members; another where there are more than fit.
    """
    owner = namespace.owner
    members: list[User] = []
    more = 0
    if isinstance(owner, Organization):
        rows = owner.memberships.select_related("user").order_by("created_at", "pk")
        members = [row.user for row in rows[: MAX_MEMBERS + 1]]
        if len(members) > MAX_MEMBERS:
            members, more = members[:MAX_MEMBERS], rows.count() - MAX_MEMBERS
    return {
        "name": namespace.name,
        "owner": owner,
        "members": members,
        "more_members": more,
        "is_organization": isinstance(owner, Organization),
    }
