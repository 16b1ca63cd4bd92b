"""Where payment gateways send what happened."""

import logging

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from licensing.gateways.registry import gateway_named
from licensing.services import inbox
from store.core.errors import StoreError, TooLargeError
from store.core.web import json_error

logger = logging.getLogger(__name__)
MAX_BYTES = 256 * 1024
"""Of one message. Stripe's are a few kB; nothing larger is read, let alone parsed."""


@csrf_exempt  # no cookie counts: the signature does
@require_POST
def receive_event(request: HttpRequest, name: str) -> HttpResponse:
    """Keep the facts of a signed message and apply them.

    What is kept is answered 200, even if it fits no order: sending it again would not help. What
    a crash leaves unapplied is applied by a job.
    """
    try:
        gateway = gateway_named(name)
        facts = gateway.read_event(_body(request), request.headers)
        inbox.receive(gateway.name, facts)
    except StoreError as error:
        logger.warning("message for gateway %s refused: %s", name[:24], error.message)
        return JsonResponse(json_error(request, error), status=error.status)
    return JsonResponse({"facts": len(facts)})


def _body(request: HttpRequest) -> bytes:
    """Return the body, read no further than a message may be long.

    Raises:
        TooLargeError: it is longer.
    """
    body = request.read(MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        raise TooLargeError(_("A message has at most 256 kB."), most=MAX_BYTES)
    return body
