"""What is kept and shown of single tokens: how likely each was, and what else could have come."""

from typing import Any

from inference.box.echo_messages import EchoToken
from inference.box.protocol import TokenEvent

Told = dict[str, Any]
"""``id``, ``token`` (what it says by itself), ``text`` (what it added to the answer, maybe later
tokens' too or nothing yet), ``logprob``, and ``top``: a list of ``id``, ``token``, ``logprob``,
likeliest first."""
_DIGITS = 5


def told_back(token: EchoToken) -> Told:
    """Return what is kept of a prompt's token: its scores to the last digit, as sums are made."""
    top = [
        {"id": other.token_id, "token": other.text, "logprob": other.logprob} for other in token.top
    ]
    return {
        "id": token.token_id,
        "token": token.token,
        "text": token.text,
        "logprob": token.logprob,
        "top": top,
    }


def told(event: TokenEvent) -> Told | None:
    """Return what is kept of a token; ``None`` where probabilities were not asked for."""
    if event.logprob is None:
        return None
    top = [
        {"id": other.token_id, "token": other.text, "logprob": round(other.logprob, _DIGITS)}
        for other in event.top
    ]
    return {
        "id": event.token_id,
        "token": event.token,
        "text": event.text,
        "logprob": round(event.logprob, _DIGITS),
        "top": top,
    }
