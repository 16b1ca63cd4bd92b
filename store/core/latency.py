"""Times every web request, by the template of its route."""

import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from store.core.histograms import HTTP_SECONDS

NO_ROUTE = "none"
"""Of an address that leads nowhere, or was answered before it was looked up."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class LatencyMiddleware:
    """Counts how long a request takes until it is answered; of a stream, until it begins."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        began = time.perf_counter()
        response = self.get_response(request)
        match = request.resolver_match
        method = request.method if request.method in _METHODS else "other"
        HTTP_SECONDS.observe(
            (match.route if match else NO_ROUTE, str(method), f"{response.status_code // 100}xx"),
            time.perf_counter() - began,
        )
        return response
