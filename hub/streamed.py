"""JSON of any length, told piece by piece as it is worked out."""

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse

from store.core.pieces import gathered

_SENT_BYTES = 64 * 1024
_AT_ONCE_BYTES = 1024**2
"""Up to so much an answer is put together first: it has a length, and failures have a status."""
_TYPE = "application/json"


class Pairs:
    """The names and values of an object that are worked out one after the other."""

    def __init__(self, pairs: Iterable[tuple[str, Any]]) -> None:
        self.pairs = pairs


def json_answer(value: Any) -> HttpResponseBase:
    """Answer with JSON; iterators in ``value`` become lists, ``Pairs`` objects."""
    blocks = gathered((text.encode() for text in _spelled(value)), _SENT_BYTES)
    first: list[bytes] = []
    for block in blocks:
        first.append(block)
        if len(first) * _SENT_BYTES > _AT_ONCE_BYTES:
            return StreamingHttpResponse(chain(first, blocks), content_type=_TYPE)
    return HttpResponse(b"".join(first), content_type=_TYPE)


def _spelled(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = Pairs(value.items())
    if isinstance(value, Pairs):
        yield from _joined("{}", (_pair(*pair) for pair in value.pairs))
    elif isinstance(value, Iterator):
        yield from _joined("[]", (_spelled(each) for each in value))
    else:
        yield json.dumps(value)


def _pair(name: str, value: Any) -> Iterator[str]:
    yield f"{json.dumps(name)}: "
    yield from _spelled(value)


def _joined(signs: str, parts: Iterable[Iterator[str]]) -> Iterator[str]:
    yield signs[0]
    for count, part in enumerate(parts):
        if count:
            yield ", "
        yield from part
    yield signs[1]
