"""Downloads from the Xet service: recipes, pieces of xorbs, and what need not be sent."""

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from accounts.viewer import Viewer
from catalog.content.dedup import find_chunks
from catalog.content.recipes import Recipe
from catalog.content.reconstruction import (
    Part,
    Plan,
    PlannedXorb,
    plan,
    plan_together,
)
from catalog.content.xet.hashes import from_hex, to_hex
from hub.answers import hub_view
from hub.streamed import Pairs, json_answer
from hub.xet_callers import XetCaller, not_here, service_url, xet_view
from licensing.delivery.policy import RecipeNotFoundError, authorize_recipe
from licensing.delivery.respond import note
from licensing.delivery.xorbs import Linker, bearer_of, send_xorb, xorb_link
from store.core.bodies import read_json_list
from store.core.errors import InvalidError, TooLargeError

MAX_FILES = 1000
"""Recipes one batch may ask for."""
MAX_TERMS = 700_000
"""Terms of the recipes of one batch, unless one alone has more: what a shard has room for."""
_RANGE = re.compile(r"bytes=(\d{1,20})-(\d{0,20})")


@xet_view("GET", scope="read")
def reconstruction_v1(request: HttpRequest, caller: XetCaller, file: str) -> HttpResponseBase:
    """Tell how to make a file, or a part of it, of pieces of xorbs (older shape)."""
    found = _plan(request, caller, file)
    (part,) = found.parts
    return json_answer(
        {
            "offset_into_first_range": part.skip_bytes,
            "terms": _terms(part),
            "fetch_info": _fetch_info(_linker(request, caller), found),
        }
    )


@xet_view("GET", scope="read")
def reconstruction_v2(request: HttpRequest, caller: XetCaller, file: str) -> HttpResponseBase:
    """Tell how to make a file, or a part of it, of pieces of xorbs."""
    found = _plan(request, caller, file)
    (part,) = found.parts
    return json_answer(
        {
            "offset_into_first_range": part.skip_bytes,
            "terms": _terms(part),
            "xorbs": _blocks(_linker(request, caller), found),
        }
    )


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
    recipes = _recipes(caller, names)
    found = plan_together(recipes.values())
    files = ((name, _terms(part)) for name, part in zip(recipes, found.parts, strict=True))
    return json_answer(
        {"files": Pairs(files), "fetch_info": _fetch_info(_linker(request, caller), found)}
    )


def _recipes(caller: XetCaller, names: list[str]) -> dict[str, Recipe]:
    """Return the recipes the caller may have, by name.

    Raises:
        TooLargeError: they are more than one answer tells.
    """
    recipes: dict[str, Recipe] = {}
    terms = 0
    for name in dict.fromkeys(names):
        try:
            recipe, _ = authorize_recipe(caller.viewer, caller.repo, from_hex(name))
        except RecipeNotFoundError:
            continue
        terms += len(recipe.terms)
        if recipes and terms > MAX_TERMS:
            raise TooLargeError(
                f"These files have more than {MAX_TERMS} terms in all. Ask for fewer at a time.",
                max_terms=MAX_TERMS,
            )
        recipes[name] = recipe
    return recipes


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
    return int(match[1]), int(match[2]) if match[2] else None


def _terms(part: Part) -> Iterator[dict[str, Any]]:
    for term in part:
        yield {
            "hash": to_hex(term.xorb),
            "unpacked_length": term.unpacked_bytes,
            "range": {"start": term.start, "end": term.end},
        }


def _linker(request: HttpRequest, caller: XetCaller) -> Linker:
    """Return what makes links for this caller."""
    return partial(xorb_link, service_url(request), bearer=bearer_of(caller.viewer, caller.repo))


def _blocks(link: Linker, found: Plan) -> Pairs:
    """Return what to fetch, as version 2 says it.

    One range a link: nothing but exactly these bytes is ever granted.
    """

    def runs(xorb: PlannedXorb) -> Iterator[dict[str, Any]]:
        for run in xorb.runs:
            chunks = {"start": run.start, "end": run.end}
            span = {"start": run.first, "end": run.last}
            url = link(xorb.name, xorb.blob, run)
            yield {"url": url, "ranges": [{"chunks": chunks, "bytes": span}]}

    return Pairs((to_hex(xorb.name), runs(xorb)) for xorb in found.xorbs())


def _fetch_info(link: Linker, found: Plan) -> Pairs:
    """Return what to fetch, as version 1 says it."""

    def runs(xorb: PlannedXorb) -> Iterator[dict[str, Any]]:
        for run in xorb.runs:
            yield {
                "range": {"start": run.start, "end": run.end},
                "url": link(xorb.name, xorb.blob, run),
                "url_range": {"start": run.first, "end": run.last},
            }

    return Pairs((to_hex(xorb.name), runs(xorb)) for xorb in found.xorbs())
