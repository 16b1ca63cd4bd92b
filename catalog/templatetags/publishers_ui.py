"""Components of the pages of trusted publishers."""

from django import template

from accounts.models import TrustedPublisher
from accounts.services.identities import issuers

register = template.Library()


@register.simple_tag
def issuer_label(publisher: TrustedPublisher) -> str:
    """Return the name of its service; its address where the site trusts it no more."""
    found = (each.label for each in issuers() if each.url == publisher.issuer)
    return next(found, publisher.issuer)
