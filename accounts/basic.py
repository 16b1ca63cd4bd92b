"""How git and git-lfs prove who asks: a name and a password in each request (``Basic``).

The password is best a token (with any name before it, or as the name alone). Where git comes, and
only there, it may also be the account's own: limited as signing in is.
"""

import base64
import binascii
import re

from django.http import HttpRequest

from accounts.services.signing_in import sign_in_once
from accounts.services.tokens import PREFIX, authenticate
from accounts.viewer import Viewer
from store.core.errors import BadCredentialsError

CHALLENGE = 'Basic realm="GPT Store", charset="UTF-8"'
"""Without it git does not ask a person for a name and a password."""
BEARER = 'Bearer realm="Authentication required", charset="UTF-8"'

_GIT = re.compile(
    r"/[^/]+/[^/]+/(?:info/refs|info/lfs/.+|git-upload-pack|git-receive-pack)$|/[^/]+/info/refs$"
)


def is_for_git(request: HttpRequest) -> bool:
    """Whether git or git-lfs is meant to call this address."""
    return bool(_GIT.match(request.path_info))


def challenge_for(request: HttpRequest) -> str:
    """Return the ``WWW-Authenticate`` of an answer with status 401."""
    return CHALLENGE if is_for_git(request) else BEARER


def viewer_by_basic(request: HttpRequest, value: str, *, address: str) -> Viewer:
    """Return who the value of a ``Basic`` header stands for.

    Raises:
        BadCredentialsError: it cannot be read, or is wrong.
        RateLimitedError: too many passwords were tried.
    """
    try:
        name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as exc:
        raise BadCredentialsError from exc
    if password.startswith(PREFIX) or not password or not is_for_git(request):
        return authenticate(password or name, address=address)
    if name.startswith(PREFIX):  # as in https://hf_…:x-oauth-basic@host/
        return authenticate(name, address=address)
    return Viewer(user=sign_in_once(name=name, password=password, address=address), address=address)
