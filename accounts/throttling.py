"""How many requests one caller may make: the hub's three buckets, and two for APIs of our own.

A caller is an account, wherever it calls from, or else an address. Every answer of the programs'
buckets says how much is left (``RateLimit``, ``RateLimit-Policy``: the IETF draft's fields, in the
form ``huggingface_hub`` reads), so a client can wait exactly long enough instead of guessing.
"""

import ipaddress
import logging
import re
from collections.abc import Callable
from functools import cache

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from accounts.viewer import Viewer
from store.core.errors import RateLimitedError
from store.core.ratelimit import Standing, Window, hit_if_counting
from store.core.web import client_address, error_page

logger = logging.getLogger(__name__)

Handler = Callable[[HttpRequest], HttpResponseBase]

API, RESOLVERS, PAGES = "api", "resolvers", "pages"
LICENSES = "licenses"
"""What programs ask with a license key in their hands."""
COMPLETIONS = "completions"
"""The OpenAI-compatible API."""
XET = "xet"
"""The Xet service, which knows its callers by tokens of its own."""
REFUSED = "refused-tokens"
SIGN_INS = "sign-ins"
"""Passwords tried through ``Basic``, counted as on the page."""
SHARED = 10
"""Visitors behind an unknown proxy may ask so many times as often as one, together."""
REFUSED_MOST = 300
"""Dead or forged tokens one address may send in a window, whatever it calls."""
HEADERS_OF = frozenset({API, RESOLVERS, LICENSES, COMPLETIONS})

_UNCOUNTED = re.compile(
    r"/(?:static/|healthz$|readyz$|metrics$|api/lfs/|xet/|v1/telemetry$"
    r"|gateways/[^/]+/events$)"
)
"""``api/lfs``: links whose signature was counted when it was made. ``xet`` counts by itself.
``gateways``: payment services send what they have at once, and sign it."""
_RESOLVERS = re.compile(
    r"/[^/]+(?:/[^/]+)?/(?:resolve|raw|archive)/|/[^/]+/[^/]+/info/lfs/objects/[0-9a-f]{64}$"
    r"|/api/resolve-cache/"
    r"|/[^/]+(?:/[^/]+)?/(?:info/refs|git-upload-pack|git-receive-pack)$"
)
_LICENSES = re.compile(r"/api/v1/licenses/(?:validate|activate|heartbeat|deactivate|checkout)$")
_API = re.compile(r"/api/|/oauth/(?:device|token|userinfo)$|/[^/]+/[^/]+/info/lfs/")


def bucket_of(path: str) -> str | None:
    """Return the bucket a path is counted in; ``None``: in none."""
    if _UNCOUNTED.match(path):
        return None
    if path.startswith("/v1/"):
        return COMPLETIONS
    if _RESOLVERS.match(path):
        return RESOLVERS
    if not _API.match(path):
        return PAGES
    return LICENSES if _LICENSES.match(path) else API


def caller_key(request: HttpRequest) -> str:
    """Return whose requests are counted together."""
    is_known = "Authorization" in request.headers or settings.SESSION_COOKIE_NAME in request.COOKIES
    viewer: Viewer | None = request.viewer if is_known else None  # type: ignore[attr-defined]
    return key_of(request, viewer)


def key_of(request: HttpRequest, viewer: Viewer | None) -> str:
    """Return what the requests of ``viewer`` are counted by.

    A visitor behind a proxy nobody told us of (``STORE_TRUSTED_PROXIES``) has the proxy's address,
    which is everybody's: they share ``SHARED`` times the room. Anybody can send that header, so it
    must not switch counting off.
    """
    if viewer is not None and viewer.user is not None:
        return f"user:{viewer.user.pk}"
    if "X-Forwarded-For" in request.headers and not settings.ENV.trusted_proxies:
        _warn_of_proxy()
        return f"shared:{_network(client_address(request))}"
    return f"address:{_network(client_address(request))}"


@cache
def _warn_of_proxy() -> None:
    """Say it once in the life of a process."""
    logger.warning(
        "X-Forwarded-For came and STORE_TRUSTED_PROXIES is 0: behind a proxy, all visitors share"
        " one limit; set how many proxies of yours stand in front"
    )


def _network(address: str) -> str:
    """Return the address; of IPv6 the /64, which is what one customer gets."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    return str(ipaddress.ip_network((found, 64), strict=False))


class RateLimitMiddleware:
    """Counts each request before anything is done for it; needs ``ViewerMiddleware`` before it."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        bucket = None if request.method == "OPTIONS" else bucket_of(request.path_info)
        if bucket is None or settings.ENV.rate_limits == "off":
            return self.get_response(request)
        try:
            standing = count_request(bucket, caller_key(request))
        except RateLimitedError as error:
            return refusal(request, error, bucket)
        answer = self.get_response(request)
        if standing is not None and bucket in HEADERS_OF and "RateLimit" not in answer:
            _tell(answer, standing)
        return answer


def count_refused_token(request: HttpRequest) -> None:
    """Count a token that is not valid.

    Raises:
        RateLimitedError: too many came from this address.
    """
    window = Window(REFUSED, REFUSED_MOST, settings.ENV.rate_window_s)
    hit_if_counting(window, f"address:{_network(client_address(request))}")


def refusal(request: HttpRequest, error: RateLimitedError, bucket: str) -> HttpResponseBase:
    """Answer a request too many, in the shape of the door it came to."""
    answer = error_page(request, error)
    answer["X-Error-Message"] = error.message
    window = Window(bucket, int(str(error.extra["quota"])), settings.ENV.rate_window_s)
    _tell(answer, Standing(window, 0, error.retry_after_s))
    if bucket in HEADERS_OF:  # programs in other sites' pages must be able to read it, too
        answer["Access-Control-Allow-Origin"] = "*"
    return answer


def count_request(bucket: str, key: str) -> Standing | None:
    """Count a request in a bucket under what ``key_of`` says; ``None``: it was not counted.

    Raises:
        RateLimitedError: the bucket is empty for this key.
    """
    kind = "user" if key.startswith("user:") else "visitor"
    quota: int = getattr(settings.ENV, f"{kind}_{bucket}_requests")
    if key.startswith("shared:"):
        quota *= SHARED
    window = Window(bucket, quota, settings.ENV.rate_window_s)
    return hit_if_counting(window, key) if quota else None


def _tell(answer: HttpResponseBase, standing: Standing) -> None:
    for name, value in standing.headers().items():
        answer[name] = value
