"""The sets every process keeps are always those of the database: committed, no more, no less."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from pyroaring import BitMap

from accounts.models import Namespace, User
from accounts.viewer import VISITOR, Viewer
from catalog.models import Listing, ListingChange, ListingText, ModelRepo
from catalog.search import index as index_module
from catalog.search import matching
from catalog.search.documents import refresh_search
from catalog.search.index import FacetIndex, current_index
from catalog.search.query import SearchQuery
from catalog.search.run import facets, search
from tests.catalog.search.shelf import Made, put

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("publishers")]


def contents(index: FacetIndex) -> dict[str, dict[str, set[int]]]:
    """Everything an index knows."""
    found: dict[str, dict[str, set[int]]] = {}
    for sets in (index._ground, index._overlay):
        for name, values in sets.items():
            for value in values:
                if ids := set(index.set_of(name, value)):
                    found.setdefault(name, {})[value] = ids
    return found


def read_anew() -> FacetIndex:
    index = FacetIndex()
    index.reload()
    return index


def fresh() -> dict[str, dict[str, set[int]]]:
    return contents(read_anew())


def total(text: str = "", viewer: Viewer = VISITOR) -> int:
    return search(viewer, SearchQuery(text=text), limit=1).total


@contextmanager
def elsewhere() -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """Another connection, as another process has it: ``call(something)`` runs on it."""
    asked: list[Callable[[], Any] | None] = []
    answers: list[Any] = []
    turn, done = threading.Semaphore(0), threading.Semaphore(0)

    def work() -> None:
        while turn.acquire(timeout=60) and (what := asked.pop()) is not None:
            try:
                answers.append(what())
            except Exception as error:  # noqa: BLE001 - handed to the asker
                answers.append(error)
            done.release()
        connections.close_all()

    def call(what: Callable[[], Any]) -> Any:
        asked.append(what)
        turn.release()
        assert done.acquire(timeout=60)
        answer = answers.pop()
        if isinstance(answer, Exception):
            raise answer
        return answer

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield call
    finally:
        asked.append(None)
        turn.release()
        thread.join(timeout=60)
        assert not thread.is_alive()


@pytest.mark.parametrize("merge_from", [1, 7, 10**6])
def test_after_every_kind_of_change_sets_and_counts_equal_those_read_anew(
    merge_from: int, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "MERGE_FROM", merge_from)
    questions = [
        (viewer, query)
        for viewer in (VISITOR, Viewer(user=alice))
        for query in (SearchQuery(), SearchQuery(language=("en",), author="ALICE"))
    ]
    dice = random.Random(7)
    spaces = list(Namespace.objects.values_list("pk", flat=True))
    made = put(*(Made(name=f"n{n}", task="translation") for n in range(6)))
    ids = [each.repo_id for each in made]
    current_index()

    def listings(**columns: Any) -> None:
        Listing.objects.filter(pk=dice.choice(ids)).update(**columns)

    def repos(**columns: Any) -> None:
        ModelRepo.objects.filter(pk=dice.choice(ids)).update(**columns)

    changes: list[Callable[[], object]] = [
        lambda: ids.extend(each.repo_id for each in put(Made(name=f"x{len(ids)}", tag=("new",)))),
        lambda: ModelRepo.objects.filter(pk=dice.choice(ids)).delete(),
        lambda: repos(is_private=dice.random() < 0.5),
        lambda: repos(namespace=dice.choice(spaces), name=f"m{dice.random()}"),
        lambda: repos(gate=dice.choice(["none", "auto"])),
        lambda: listings(languages=dice.sample(["en", "fr", "de"], 2)),
        lambda: listings(parameters=dice.choice([None, 10, 10**7]), weights_bytes=10**9),
        lambda: listings(pipeline_tag=dice.choice(["", "text-generation"]), tags=["a", "b"]),
    ]
    for _ in range(40):
        for _ in range(dice.randint(1, 3)):
            dice.choice(changes)()
        counted = [facets(viewer, query) for viewer, query in questions]
        assert contents(current_index()) == fresh()
        with monkeypatch.context() as patch:
            patch.setattr(matching, "current_index", read_anew)
            assert counted == [facets(viewer, query) for viewer, query in questions]


def test_what_became_private_is_out_of_every_count_at_once() -> None:
    made = put(Made(name="a", task="novel", language=("en",)), Made(name="b", task="novel"))
    assert total() == 2

    ModelRepo.objects.filter(pk=made[0].repo_id).update(is_private=True)

    assert total() == 1
    counted = {facet.name: facet for facet in facets(VISITOR, SearchQuery())}
    assert [(v.value, v.count) for v in counted["task"].values] == [("novel", 1)]
    assert counted["language"].values == []


def test_what_became_private_is_found_by_its_owners_alone(alice: User, bob: User) -> None:
    made = put(Made(owner="team", name="a"))[0]
    viewers = [VISITOR, Viewer(user=alice), Viewer(user=bob)]
    assert [total(viewer=viewer) for viewer in viewers] == [1, 1, 1]

    ModelRepo.objects.filter(pk=made.repo_id).update(is_private=True)

    assert [total(viewer=Viewer(user=v.user)) for v in viewers] == [0, 1, 0]


def test_an_open_transaction_sees_its_own_changes_and_nobody_else_does() -> None:
    put(Made(name="a"))
    assert total() == 1
    with elsewhere() as call:
        with transaction.atomic():
            put(Made(name="b", body="rhyme"))
            assert (total(), total("rhyme")) == (2, 1)
            assert call(lambda: (total(), total("rhyme"))) == (1, 0)
            transaction.set_rollback(True)
        assert (total(), total("rhyme")) == (1, 0)
        assert call(total) == 1
    assert contents(current_index()) == fresh()


def test_a_transaction_that_began_earlier_and_ends_later_is_not_missed() -> None:
    made = put(Made(name="a"), Made(name="b"))
    current_index()
    with elsewhere() as call:
        slow = transaction.atomic()

        def begin() -> None:
            slow.__enter__()
            Listing.objects.filter(pk=made[0].repo_id).update(pipeline_tag="slow")

        call(begin)  # has the lower transaction id
        Listing.objects.filter(pk=made[1].repo_id).update(pipeline_tag="quick")
        assert contents(current_index())["task"] == {"quick": {made[1].repo_id}}

        call(lambda: slow.__exit__(None, None, None))

    assert contents(current_index())["task"] == {
        "quick": {made[1].repo_id},
        "slow": {made[0].repo_id},
    }


def test_one_repository_changed_by_an_older_transaction_after_a_newer_one() -> None:
    made = put(Made(name="a"))[0]
    listing = Listing.objects.filter(pk=made.repo_id)
    current_index()
    with elsewhere() as call:
        old = transaction.atomic()

        def begin() -> None:
            old.__enter__()
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_current_xact_id()")

        call(begin)
        listing.update(pipeline_tag="newer")
        assert contents(current_index())["task"] == {"newer": {made.repo_id}}

        def finish() -> None:
            listing.update(pipeline_tag="older")
            old.__exit__(None, None, None)

        call(finish)

    assert contents(current_index())["task"] == {"older": {made.repo_id}}


def test_counters_are_no_change() -> None:
    made = put(Made(name="a"))[0]
    before = list(ListingChange.objects.values_list("repo_id", "xid"))

    Listing.objects.filter(pk=made.repo_id).update(
        likes=5, downloads=7, downloads_all_time=9, trending=1.5
    )
    ModelRepo.objects.filter(pk=made.repo_id).update(disabled_reason="x")

    assert list(ListingChange.objects.values_list("repo_id", "xid")) == before
    assert Listing.objects.get(pk=made.repo_id).popularity > 5


@pytest.mark.parametrize("column", ["formats", "verdict", "summary", "is_runnable", "head_oid"])
def test_every_other_column_is_a_change(column: str) -> None:
    made = put(Made(name="a"))[0]
    before = ListingChange.objects.get(pk=made.repo_id).xid

    Listing.objects.filter(pk=made.repo_id).update(
        **{column: {"formats": ["gguf"], "is_runnable": True}.get(column, "x")}
    )

    assert ListingChange.objects.get(pk=made.repo_id).xid > before


def test_emptied_tables_are_read_again() -> None:
    put(Made(name="a"))
    assert total() == 1

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE catalog_listing, catalog_listingtext, catalog_listingprice")

    assert total() == 0
    assert contents(current_index()) == {}


def test_after_very_many_changes_everything_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    put(Made(name="a"))
    current_index()
    monkeypatch.setattr(index_module, "RELOAD_FROM", 2)

    put(Made(name="b"), Made(name="c"))

    with CaptureQueriesContext(connection) as asked:
        assert contents(current_index()) == fresh()
    assert "ANY" not in asked[1]["sql"]


def test_nothing_new_costs_one_question() -> None:
    put(Made(name="a"))
    current_index()

    with CaptureQueriesContext(connection) as asked:
        current_index()

    assert len(asked) == 1
    assert "catalog_listingchange" in asked[0]["sql"]


def test_transaction_ids_of_a_restored_backup_are_passed_over() -> None:
    made = put(Made(name="a"))[0]
    current_index()
    ListingChange.objects.filter(pk=made.repo_id).update(xid=2**50)

    for _ in range(2):
        with CaptureQueriesContext(connection) as asked:
            current_index()
        assert len(asked) == 1
    Listing.objects.filter(pk=made.repo_id).update(pipeline_tag="x")
    assert contents(current_index())["task"] == {"x": {made.repo_id}}


def test_words_are_asked_once_and_then_only_of_what_changed() -> None:
    made = put(Made(name="a", body="rhyme"), Made(name="b", body="rhyme"), Made(name="c"))
    query = SearchQuery(text="rhyme", sort="likes")

    def asked() -> list[str]:
        with CaptureQueriesContext(connection) as queries:
            page = search(VISITOR, query, limit=5)
        found.append({row.repo_id for row in page.rows})
        return [each["sql"] for each in queries if "catalog_find" in each["sql"]]

    found: list[set[int]] = []
    first, again = asked(), asked()
    Listing.objects.filter(pk=made[2].repo_id).update(summary="a rhyme")
    ListingText.objects.filter(pk=made[0].repo_id).update(words="other:1")
    refresh_search([made[2].repo_id])
    later = asked()

    assert [len(first), len(again), len(later)] == [1, 0, 1]
    assert "NULL::bigint[]" in first[0]
    changed = sorted(made[n].repo_id for n in (0, 2))
    assert str(changed).replace(" ", "") in later[0].replace(" ", "").replace("{", "[").replace(
        "}", "]"
    )
    ids = [each.repo_id for each in made]
    assert found == [set(ids[:2]), set(ids[:2]), {ids[1], ids[2]}]


def test_an_answer_that_was_overtaken_by_a_change_is_not_kept() -> None:
    put(Made(name="a", body="rhyme"))
    index = current_index()

    def find(_among: object) -> BitMap:
        put(Made(name="b", body="rhyme"))
        current_index()  # another thread comes by
        return BitMap()

    index.remember("question", find)

    assert total("rhyme") == 2
    assert index.remember("question", lambda _among: index.visible([])) == index.visible([])


def test_only_so_many_answers_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "MEMO_MOST", 2)
    put(Made(name="a"))
    index = current_index()
    asked: list[str] = []

    def ask(key: str) -> BitMap:
        asked.append(key)
        return BitMap([1])

    for key in ("x", "y", "x", "z", "x", "y"):
        assert index.remember(key, lambda _among, key=key: ask(key)) == BitMap([1])
    index.forget_answers()
    index.remember("y", lambda _among: ask("y"))

    assert asked == ["x", "y", "z", "y", "y"]


def test_threads_search_while_listings_come_and_go() -> None:
    made = put(*(Made(name=f"n{n}", task="novel") for n in range(20)))
    failures: list[BaseException] = []
    stop = threading.Event()

    def look() -> None:
        try:
            while not stop.is_set():
                page = search(VISITOR, SearchQuery(task=("novel",)), limit=50)
                assert len({row.repo_id for row in page.rows}) == len(page.rows)
                for facet in facets(VISITOR, SearchQuery()):
                    assert all(value.count <= 20 for value in facet.values)
        except BaseException as error:  # noqa: BLE001 - reported below
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for each in made:
        Listing.objects.filter(pk=each.repo_id).update(pipeline_tag="other")
    stop.set()
    for thread in threads:
        thread.join(timeout=60)

    assert not failures
    assert contents(current_index()) == fresh()
