"""The public keys of the store, for whoever verifies a license."""

import hashlib
import logging

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag
from django.views.decorators.http import require_safe

from licensing.configured import signer
from licensing.documents.errors import KeyFolderError
from licensing.documents.strict import canonical

logger = logging.getLogger(__name__)

MAX_AGE_S = 3600
"""How long anybody may keep the set, in seconds. Earlier keys stay in it, and a new one is in it
for longer than this before it signs (``folder.AHEAD_S``): no set that is kept so long fails."""


@require_safe
def jwks(request: HttpRequest) -> HttpResponseBase:
    """Send the key set (RFC 7517); the same bytes until a key is made, retired or removed."""
    try:
        body = canonical(signer().jwks())
    except KeyFolderError as error:
        logger.error("the key set cannot be sent: %s", error.detail)  # noqa: TRY400  (it says all)
        raise
    etag = quote_etag(hashlib.sha256(body).hexdigest()[:32])
    answer = get_conditional_response(request, etag=etag) or HttpResponse(
        body, content_type="application/jwk-set+json"
    )
    answer["ETag"] = etag
    answer["Cache-Control"] = f"public, max-age={MAX_AGE_S}"
    answer["Access-Control-Allow-Origin"] = "*"
    return answer
