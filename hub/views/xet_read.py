"""Downloads from the Xet service: recipes, pieces of xorbs, and what need not be sent."""

import re
from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from accounts.viewer import Viewer
from catalog.content.dedup import find_chunks
from catalog.content.recipes import Recipe
from catalog.content.reconstruction import (
    JointPlan,
    Plan,
    PlannedTerm,
    RangeError,
    plan,
    plan_together,
)
from catalog.content.xet.hashes import from_hex, to_hex
from hub.answers import hub_view
from hub.xet_callers import XetCaller, not_here, service_url, xet_view
from licensing.delivery.policy import RecipeNotFoundError, authorize_recipe
from licensing.delivery.respond import note
from licensing.delivery.xorbs import Linker, bearer_of, send_xorb, xorb_link
from store.core.bodies import read_json_list
from store.core.errors import InvalidError

MAX_FILES = 1000
"""Recipes one batch may ask for."""
_RANGE = re.compile(r"bytes=(\d{1,20})-(\d{0,20})")


@xet_view("GET", scope="read")
def reconstruction_v1(request: HttpRequest, caller: XetCaller, file: str) -> HttpResponseBase:
    """Tell how to make a file, or a part of it, of pieces of xorbs (older shape)."""
    found = _plan(request, caller, file)
    body = {
        "offset_into_first_range": found.skip_bytes,
        "terms": _terms(found.terms),
        "fetch_info": _fetch_info(_linker(request, caller), found),
    }
    return JsonResponse(body)


@xet_view("GET", scope="read")
def reconstruction_v2(request: HttpRequest, caller: XetCaller, file: str) -> HttpResponseBase:
    """Tell how to make a file, or a part of it, of pieces of xorbs."""
    found = _plan(request, caller, file)
    link = _linker(request, caller)
    body = {
        "offset_into_first_range": found.skip_bytes,
        "terms": _terms(found.terms),
        "xorbs": {
            to_hex(name): [
                {
                    # one range a link: nothing but exactly these bytes is ever granted
                    "url": link(name, found.blobs[name], fetch),
                    "ranges": [
                        {
                            "chunks": {"start": fetch.start, "end": fetch.end},
                            "bytes": {"start": fetch.first, "end": fetch.last},
                        }
                    ],
                }
                for fetch in fetches
            ]
            for name, fetches in found.fetches.items()
        },
    }
    return JsonResponse(body)


@xet_view("GET", "POST", scope="read")
def batch(request: HttpRequest, caller: XetCaller) -> HttpResponseBase:
    """Tell how to make several whole files; unknown ones are left out."""
    if request.method == "GET":
        asked: list[Any] = request.GET.getlist("file_id")
    else:
        items = read_json_list(request)
        asked = [each.get("hash") if isinstance(each, dict) else None for each in items]
    names = [name for name in asked if isinstance(name, str)]
    if len(asked) > MAX_FILES or len(names) < len(asked):
        raise InvalidError(f"Ask for up to {MAX_FILES} files, each by its hash.")
    recipes: dict[str, Recipe] = {}
    for name in dict.fromkeys(names):
        try:
            recipe, _ = authorize_recipe(caller.viewer, caller.repo, from_hex(name))
        except RecipeNotFoundError:
            continue
        recipes[name] = recipe
    found = plan_together(recipes.values())
    info = _fetch_info(_linker(request, caller), found)
    files = {name: _terms(terms) for name, terms in zip(recipes, found.terms, strict=True)}
    return JsonResponse({"files": files, "fetch_info": info})


@xet_view("HEAD", scope="read")
def file_size(request: HttpRequest, caller: XetCaller, file: str) -> HttpResponseBase:
    """Tell how long a file is."""
    recipe, _ = authorize_recipe(caller.viewer, caller.repo, from_hex(file))
    answer = HttpResponse(content_type="application/octet-stream")
    answer["Content-Length"] = str(recipe.size_bytes)
    return answer


@xet_view("GET", scope="read")
def chunk_hashes(request: HttpRequest, caller: XetCaller, file: str) -> HttpResponseBase:
    """Keep raw chunk hashes to ourselves: they are what proves possession."""
    return JsonResponse({"error": "This store does not tell chunk hashes."}, status=501)


@xet_view("GET", scope="read")
def chunk(request: HttpRequest, caller: XetCaller, chunk: str, prefix: str) -> HttpResponseBase:
    """Tell where chunks of a file lie that holds the asked one, if the caller may read it."""
    answer = find_chunks(caller.viewer, chunk)
    if answer is None:
        return not_here("This chunk is not known.")
    return HttpResponse(answer, content_type="application/octet-stream")


@hub_view("GET")
def data(request: HttpRequest, viewer: Viewer, xorb: str, generation: str = "") -> HttpResponseBase:
    """Send a piece of a xorb; the link is the proof."""
    return send_xorb(request, xorb)


def _plan(request: HttpRequest, caller: XetCaller, file: str) -> Plan:
    recipe, delivery = authorize_recipe(caller.viewer, caller.repo, from_hex(file))
    first, last = _asked(request)
    found = plan(recipe, first, last)
    if delivery is not None and (last is None or last + 1 >= recipe.size_bytes):
        note(request, caller.viewer, delivery)
    return found


def _asked(request: HttpRequest) -> tuple[int, int | None]:
    header = request.headers.get("Range", "")
    match = _RANGE.fullmatch(header.strip())
    if match is None:
        return 0, None
    first, last = int(match[1]), int(match[2]) if match[2] else None
    if last is not None and last < first:
        raise RangeError("The range ends before it begins.")
    return first, last


def _terms(terms: list[PlannedTerm]) -> list[dict[str, Any]]:
    return [
        {
            "hash": to_hex(term.xorb),
            "unpacked_length": term.unpacked_bytes,
            "range": {"start": term.start, "end": term.end},
        }
        for term in terms
    ]


def _linker(request: HttpRequest, caller: XetCaller) -> Linker:
    """Return what makes links for this caller."""
    return partial(xorb_link, service_url(request), bearer=bearer_of(caller.viewer, caller.repo))


def _fetch_info(link: Linker, found: Plan | JointPlan) -> dict[str, list[dict[str, Any]]]:
    return {
        to_hex(name): [
            {
                "range": {"start": fetch.start, "end": fetch.end},
                "url": link(name, found.blobs[name], fetch),
                "url_range": {"start": fetch.first, "end": fetch.last},
            }
            for fetch in fetches
        ]
        for name, fetches in found.fetches.items()
    }
