"""Which pieces make a part of a file: exactly the bytes that were asked for, in runs apart."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from catalog.content import reconstruction
from catalog.content import tables as tables_module
from catalog.content.reading import cooked
from catalog.content.recipes import Recipe, merged
from catalog.content.reconstruction import Plan, PlannedFetch, RangeError, plan
from catalog.content.tables import KnownXorb, known_xorbs
from catalog.content.xet.shards import Term
from catalog.models import XetFile, Xorb
from tests.catalog.content.xet.making import file_block, noise, shard, table_of, xorb
from tests.hub.xet.calling import Made, XetClient, body_of, made, path_of, records, repack

SIZES = [1, 3, 8, 20, 5, 1, 40, 7]
PACKED = {}
TABLES = {}
for number in range(3):
    pieces = [noise(size, seed=100 * number + at) for at, size in enumerate(SIZES)]
    data = xorb(pieces)
    table = table_of(data)
    PACKED[table.hash], TABLES[table.hash] = data, table
KNOWN = {name: KnownXorb(1, "0" * 64, table) for name, table in TABLES.items()}
NAMES = sorted(KNOWN)


def term(name: bytes, start: int, end: int) -> Term:
    return Term(name, TABLES[name].raw_size(start, end), start, end)


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """Terms that repeat, overlap and touch in every way."""
    terms = []
    for _ in range(draw(st.integers(1, 8))):
        start = draw(st.integers(0, len(SIZES) - 1))
        end = draw(st.integers(start + 1, len(SIZES)))
        terms.append(term(draw(st.sampled_from(NAMES)), start, end))
    return Recipe(terms)


def content(recipe: Recipe) -> bytes:
    parts = []
    for each in recipe.terms:
        raw = list(records(PACKED[each.xorb]))
        parts += raw[each.start : each.end]
    return b"".join(parts)


def runs_of(found: Plan) -> dict[bytes, list[PlannedFetch]]:
    return {xorb.name: xorb.runs for xorb in found.xorbs()}


def put_together(found: Plan) -> bytes:
    """Fetch the runs and join the chunks, as clients do."""
    chunks: dict[tuple[bytes, int], bytes] = {}
    runs = runs_of(found)
    for name, fetches in runs.items():
        for fetch in fetches:
            run = list(records(PACKED[name][fetch.first : fetch.last + 1]))
            assert len(run) == fetch.end - fetch.start
            chunks |= {(name, fetch.start + at): raw for at, raw in enumerate(run)}
    parts = []
    for each in found.parts[0]:
        inside = [f for f in runs[each.xorb] if f.start <= each.start <= each.end <= f.end]
        assert len(inside) == 1
        part = b"".join(chunks[each.xorb, at] for at in range(each.start, each.end))
        assert len(part) == each.unpacked_bytes
        parts.append(part)
    return b"".join(parts)[found.parts[0].skip_bytes :]


@pytest.fixture(autouse=True)
def tables(monkeypatch: pytest.MonkeyPatch) -> None:
    def known(names: Any) -> dict[bytes, KnownXorb]:
        names = set(names)
        return {n: KNOWN[n] for n in names if n in KNOWN} | known_xorbs(names - set(KNOWN))

    for module in (tables_module, reconstruction):
        monkeypatch.setattr(module, "known_xorbs", known)


@hypothesis_settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(recipe=recipes(), data=st.data())
@pytest.mark.django_db
def test_any_part_of_any_file(recipe: Recipe, data: st.DataObject) -> None:
    whole = content(recipe)
    assert recipe.size_bytes == len(whole)
    first = data.draw(st.integers(0, len(whole) - 1))
    last = data.draw(st.one_of(st.none(), st.integers(first, 2 * len(whole)), st.just(2**64)))

    found = plan(recipe, first, last)

    wanted = whole[first : None if last is None else last + 1]
    assert put_together(found)[: len(wanted)] == wanted
    (part,) = found.parts
    tail = sum(each.unpacked_bytes for each in part) - part.skip_bytes - len(wanted)
    assert tail >= 0
    assert tail < max(SIZES)  # no chunk that is not needed
    assert part.skip_bytes < max(SIZES)
    for fetches in runs_of(found).values():
        for one, next_one in pairwise(fetches):
            assert one.end < next_one.start
            assert one.last + 1 < next_one.first
    again = plan(recipe, first, last)
    assert list(again.parts[0]) == list(found.parts[0])
    assert list(again.xorbs()) == list(found.xorbs())


@hypothesis_settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(recipe=recipes(), beyond=st.integers(0, 2**70))
@pytest.mark.django_db
def test_no_part_begins_behind_the_end(recipe: Recipe, beyond: int) -> None:
    first = recipe.size_bytes + beyond

    for last in (None, first, first + 5):
        with pytest.raises(RangeError):
            plan(recipe, first, last)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)).map(lambda r: (r[0], r[0] + r[1])))
)
def test_runs_are_joined(spans: list[tuple[int, int]]) -> None:
    runs = merged(spans)

    assert {n for a, b in runs for n in range(a, b)} == {n for a, b in spans for n in range(a, b)}
    assert all(one[1] < two[0] for one, two in pairwise(runs))


@given(recipe=recipes())
def test_a_recipe_goes_through_the_database_unchanged(recipe: Recipe) -> None:
    assert list(Recipe.from_bytes(recipe.to_bytes()).terms) == list(recipe.terms)


WEIGHTS, OTHER = made(), made(seed=2)


def mixed(caller: XetClient) -> Made:
    """Publish a file of pieces of two xorbs, some of them twice."""
    for each in (WEIGHTS, OTHER):
        caller.send_xorb(each)
    pieces = [(WEIGHTS, 1, 3), (OTHER, 0, 2), (WEIGHTS, 1, 3), (WEIGHTS, 0, 4), (OTHER, 1, 2)]
    chunks = [chunk for each, start, end in pieces for chunk in each.chunks[start:end]]
    file = Made(b"".join(chunks))
    file.__dict__["chunks"] = chunks
    terms = [(each.raw_name, start, end) for each, start, end in pieces]
    answer = caller.send_shard(shard([file_block(chunks, terms, file.content)]))
    assert answer.json() == {"result": 1}
    assert caller.commit({"a.bin": file}).status_code == 200
    return file


@hypothesis_settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(data=st.data())
def test_what_the_service_answers(mine: XetClient, data: st.DataObject) -> None:
    if not Xorb.objects.exists():
        mine.__dict__["file"] = mixed(mine)
    file: Made = mine.__dict__["file"]
    size = len(file.content)
    first = data.draw(st.integers(0, size - 1))
    last = data.draw(st.integers(first, size + 1000))

    body = mine.get(f"/v2/reconstructions/{file.file}", Range=f"bytes={first}-{last}").json()

    wanted = file.content[first : last + 1]
    assert mine.fetch(body)[: len(wanted)] == wanted


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        (None, 0, None),
        ("bytes=0-", 0, None),
        ("bytes=5-", 5, None),
        ("bytes=0-0", 0, 0),
        ("bytes=0-9999999999999999999", 0, None),
        ("bytes=7-18446744073709551615", 7, None),
    ],
)
def test_ranges(
    mine: XetClient, version: str, asked: str | None, first: int, last: int | None
) -> None:
    file = mixed(mine)
    headers = {"Range": asked} if asked else {}

    body = mine.get(f"/{version}/reconstructions/{file.file}", **headers).json()

    size = sum(item["unpacked_length"] for item in body["terms"]) - body["offset_into_first_range"]
    wanted = file.content[first : None if last is None else last + 1]
    assert len(wanted) <= size < len(wanted) + 131072
    if version == "v2":
        assert mine.fetch(body)[: len(wanted)] == wanted


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_ranges_behind_the_end(mine: XetClient, version: str) -> None:
    mine.publish({"a.bin": WEIGHTS})
    size = len(WEIGHTS.content)

    for asked in (f"{size}-", f"{size}-{size + 5}", "9" * 19 + "-", "5-4"):
        answer = mine.get(f"/{version}/reconstructions/{WEIGHTS.file}", Range=f"bytes={asked}")
        assert (answer.status_code, answer["Content-Range"]) == (416, f"bytes */{size}"), asked


@pytest.mark.parametrize("asked", ["bytes=-5", "bytes=a-b", "lines=1-2", "", "bytes=1-2,4-5"])
def test_ranges_nobody_sends_are_ignored(mine: XetClient, asked: str) -> None:
    mine.publish({"a.bin": WEIGHTS})

    body = mine.get(f"/v2/reconstructions/{WEIGHTS.file}", Range=asked).json()

    assert mine.fetch(body) == WEIGHTS.content


def test_the_same_question_has_the_same_answer(mine: XetClient) -> None:
    file = mixed(mine)

    def shape() -> Any:
        body = mine.get(f"/v2/reconstructions/{file.file}", Range="bytes=40000-300000").json()
        for blocks in body["xorbs"].values():
            for block in blocks:
                block["url"] = path_of(block["url"]).partition("?")[0]
        return body

    assert shape() == shape()


def test_a_xorb_that_is_lost(mine: XetClient, settings) -> None:
    """Nobody is sent to bytes that are not there, and nobody is told of another file."""
    mine.publish({"a.bin": WEIGHTS})
    for path in settings.BLOB_DIR.rglob("*"):
        if path.is_file():
            path.unlink()

    found = mine.get(f"/v2/reconstructions/{WEIGHTS.file}")

    if found.status_code == 200:
        ((block,),) = found.json()["xorbs"].values()
        got = mine.client.get(path_of(block["url"]), headers={"Range": "bytes=0-10"})
        assert got.status_code == 403
    else:
        assert found.status_code == 500


def test_another_process_packed_a_xorb_anew(mine: XetClient) -> None:
    """What this process remembers of it is out of date then."""
    mine.publish({"a.bin": WEIGHTS})
    assert mine.fetch(mine.get(f"/v2/reconstructions/{WEIGHTS.file}").json()) == WEIGHTS.content
    repack(WEIGHTS)

    recipe = mine.get(f"/v2/reconstructions/{WEIGHTS.file}").json()

    assert mine.fetch(recipe) == WEIGHTS.content
    assert body_of(mine.resolve("a.bin")) == WEIGHTS.content


def test_reading_goes_on_where_a_xorb_is_packed_anew(mine: XetClient) -> None:
    mine.publish({"a.bin": WEIGHTS})
    recipe = Recipe.from_bytes(bytes(XetFile.objects.get().terms))
    assert b"".join(cooked(recipe, 0, recipe.size_bytes)) == WEIGHTS.content
    repack(WEIGHTS)

    assert b"".join(cooked(recipe, 5, 1000)) == WEIGHTS.content[5:1005]
