"""The WSGI application, with the raw path kept exact."""

import os
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

from django.core.wsgi import get_wsgi_application

from store.core.routing import ENCODED_SLASH

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "store.settings")

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class RawPath:
    """Rebuilds ``PATH_INFO`` from the request line so that ``%2F`` and ``/`` stay apart."""

    def __init__(self, application: Application) -> None:
        self.application = application

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        raw = environ.get("RAW_URI") or environ.get("REQUEST_URI")
        if raw:
            environ["PATH_INFO"] = decode_path(raw)
        return self.application(environ, start_response)


def decode_path(raw_uri: str) -> str:
    """Return WSGI's latin-1 form of the path in ``raw_uri``, decoded exactly once.

    A genuine U+E000 in the request becomes U+FFFD, which no stored name contains, so it cannot
    pass for a slash.
    """
    path = raw_uri.split("?", 1)[0].split("#", 1)[0]
    if not path.startswith("/"):  # absolute form: scheme://host/path
        path = "/" + path.split("://", 1)[-1].partition("/")[2]
    pieces = path.replace("%2f", "%2F").split("%2F")
    marker = ENCODED_SLASH.encode()
    decoded = [unquote_to_bytes(piece).replace(marker, "\ufffd".encode()) for piece in pieces]
    return marker.join(decoded).decode("latin-1")


application: Application = RawPath(get_wsgi_application())
