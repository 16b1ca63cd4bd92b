"""Tokens that may be generated in a day: reserved before, given back when not used."""

import hashlib
import hmac
import ipaddress
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from accounts.viewer import Viewer
from store.core.errors import RateLimitedError
from store.core.valkey import valkey

_KEEP_S = 2 * 86400
# One step, so that a slot that expired meanwhile does not come back with a negative count.
_GIVE_BACK = "return redis.call('EXISTS', KEYS[1]) == 1 and redis.call('DECRBY', KEYS[1], ARGV[1])"


class QuotaExceededError(RateLimitedError):
    """The tokens of the day are used up; ``extra`` has ``left`` and ``quota``."""

    code = "quota_exceeded"


def asker_of(viewer: Viewer) -> str:
    """Return whom limits count for: the account, or a visitor's network, hashed with our key.

    An IPv6 caller owns a /64, so that is what counts.
    """
    if viewer.user is not None:
        return f"user:{viewer.user.pk}"
    try:
        address = ipaddress.ip_address(viewer.address)
        bits = 32 if address.version == 4 else 64
        network = str(ipaddress.ip_network(f"{address}/{bits}", strict=False))
    except ValueError:
        network = viewer.address
    digest = hmac.new(settings.SECRET_KEY.encode(), network.encode(), hashlib.sha256)
    return f"visitor:{digest.hexdigest()[:32]}"


def quota_of(payer: str) -> int:
    """Return how many new tokens may be had in a day.

    Args:
        payer: ``user:…``, ``visitor:…``, ``organization:…`` or ``license:…``.
    """
    kind = payer.partition(":")[0]
    return int(getattr(settings.ENV, f"{kind}_tokens_per_day"))


def left_of(payer: str, *, now: datetime) -> int | None:
    """Return how many tokens are left today; ``None``: there is no limit."""
    if settings.ENV.rate_limits == "off":
        return None
    used: Any = valkey().get(_slot(payer, now))
    return max(0, quota_of(payer) - int(used or 0))


def reserve(payer: str, tokens: int, *, now: datetime) -> int:
    """Take ``tokens`` from today's, all or none.

    Returns:
        How many were taken: what to hand to ``give_back`` later.

    Raises:
        QuotaExceededError: not so many are left; nothing was taken.
    """
    if settings.ENV.rate_limits == "off":
        return 0
    slot, quota = _slot(payer, now), quota_of(payer)
    pipe = valkey().pipeline()
    pipe.incrby(slot, tokens)
    pipe.expire(slot, _KEEP_S)
    used = int(pipe.execute()[0])
    if used > quota:
        give_back(payer, tokens, day=now)
        raise _exceeded(payer, max(0, quota - (used - tokens)), quota, now)
    return tokens


def give_back(payer: str, tokens: int, *, day: datetime) -> None:
    """Return ``tokens`` that were reserved on ``day`` and not used."""
    if tokens > 0:
        valkey().eval(_GIVE_BACK, 1, _slot(payer, day), str(tokens))


def _exceeded(payer: str, left: int, quota: int, now: datetime) -> QuotaExceededError:
    midnight = (now.astimezone(UTC) + timedelta(days=1)).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    if payer.startswith("organization:"):
        words = _(
            "Your organization has %(left)d of %(quota)d tokens left today. Ask for fewer tokens"
            " or sequences, or come back tomorrow (UTC)."
        )
    elif payer.startswith("license:"):
        words = _(
            "The license has %(left)d of %(quota)d tokens left today. Ask for fewer tokens or"
            " sequences, or come back tomorrow (UTC)."
        )
    else:
        words = _(
            "You have %(left)d of %(quota)d tokens left today. Ask for fewer tokens or sequences,"
            " or come back tomorrow (UTC)."
        )
    return QuotaExceededError(
        words % {"left": left, "quota": quota},
        retry_after_s=max(1, int((midnight - now).total_seconds())),
        left=left,
        quota=quota,
    )


def _slot(payer: str, day: datetime) -> str:
    return f"tokens:{payer}:{day.astimezone(UTC):%Y%m%d}"
