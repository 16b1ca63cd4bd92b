"""Who asks, for the lab's pages: a person, or a visitor by the secret of their session."""

import secrets

from django.http import HttpRequest

from accounts.views.guards import viewer_of

_VISITOR = "visitor_key"


def visitor_key(request: HttpRequest, *, make: bool = False) -> str:
    """Return the secret of a visitor's session; empty when there is none and none is wanted."""
    key = request.session.get(_VISITOR, "")
    if not key and make and viewer_of(request).is_visitor:
        key = request.session[_VISITOR] = secrets.token_hex(16)
    return str(key)
