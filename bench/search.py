"""How long a page of search takes: rows, total and facets together, at 100,000 listings.

Each question is asked twice. *First*: nothing of it is known to the process. *Again*: it was asked
before, and since then a publisher changed a listing. Times are wall times of ``search`` and
``facets`` as the list page calls them, database included, web server and templates not.
"""

import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from bench._live import set_up_django

COUNT = 100_000
EACH = 40
"""Questions of each kind."""
SORTS = (
    "trending",
    "downloads",
    "likes",
    "newest",
    "updated",
    "parameters",
    "size",
    "name",
    "price",
)

Question = Callable[[], object]


def run() -> list[tuple[str, str]]:
    """Measure and return (figure, value) rows."""
    set_up_django()
    from store.boot import hold_engines

    with hold_engines():
        rows = prepare()
        return rows + measure()


def prepare() -> list[tuple[str, str]]:
    """Make the catalogue once."""
    manage = [sys.executable, "manage.py"]
    subprocess.run([*manage, "migrate", "-v0"], check=True)
    from catalog.models import Listing

    if Listing.objects.count() >= COUNT:
        return []
    started = time.monotonic()
    subprocess.run(
        [*manage, "seed_listings", "--count", str(COUNT), "--wipe", "--force"], check=True
    )
    return [(f"making {COUNT} listings", f"{time.monotonic() - started:.0f} s")]


def words() -> dict[str, list[str]]:
    """Words of the catalogue by how many cards have them."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT word, ndoc FROM ts_stat('SELECT words FROM catalog_listingtext"
            " ORDER BY repo_id LIMIT 5000') WHERE word ~ '^[a-z]{3,}$' ORDER BY word"
        )
        shares = [(word, count / 5000) for word, count in cursor.fetchall()]
    bounds = {"common": (0.3, 1.0), "usual": (0.005, 0.1), "rare": (0.0, 0.0005)}
    return {
        name: [word for word, share in shares if low < share <= high]
        for name, (low, high) in bounds.items()
    }


def questions() -> Iterator[tuple[str, list[Question]]]:
    """Yield every kind of question with its examples."""
    from accounts.viewer import VISITOR, Viewer
    from catalog.models import ModelRepo
    from catalog.search.query import SearchQuery
    from catalog.search.run import facets, search

    dice, known = random.Random(3), words()  # noqa: S311
    licenses = ("mit", "apache-2.0", "cc-by-nc-4.0", "other")
    tasks = ("text-generation", "translation", "fill-mask", "summarization")
    languages = ("en", "zh", "fr", "de", "sv")
    styles = ("austen", "poetry", "code", "legal", "haiku")

    def page(viewer: Viewer = VISITOR, cursor: str | None = None, **asked: object) -> Question:
        query = SearchQuery.from_params(asked, strict=True)  # type: ignore[arg-type]

        def ask() -> object:
            return search(viewer, query, limit=20, cursor=cursor), facets(viewer, query)

        return ask

    def many(make: Callable[[], Question]) -> list[Question]:
        return [make() for _ in range(EACH)]

    def word(kind: str) -> str:
        return dice.choice(known[kind])

    yield "no condition, each order", [page(sort=SORTS[n % len(SORTS)]) for n in range(EACH)]
    yield "one word", many(lambda: page(q=word("usual")))
    yield "a word in half of all cards", many(lambda: page(q=word("common")))
    yield "a rare word", many(lambda: page(q=word("rare")))
    yield "two words", many(lambda: page(q=f"{word('usual')} {word('common')}"))
    yield (
        "two facets",
        many(lambda: page(task=dice.choice(tasks), license=dice.choice(licenses))),
    )
    yield (
        "three facets in another order",
        many(
            lambda: page(
                language=dice.choice(languages),
                format="gguf",
                tag=dice.choice(styles),
                sort=dice.choice(SORTS),
            )
        ),
    )
    yield (
        "a word and a facet",
        many(lambda: page(q=word("usual"), license=dice.choice(licenses))),
    )
    yield (
        "ranges",
        many(
            lambda: page(
                parameters_min=f"{dice.randint(1, 500)}M", size_max=f"{dice.randint(2, 60)}GB"
            )
        ),
    )
    yield (
        "a price, in the order of prices",
        many(
            lambda: page(
                price_max=str(dice.randint(4, 200)),
                sort=dice.choice(("price", "price_high")),
                task=dice.choice(tasks),
            )
        ),
    )
    yield (
        "the far end of an order",
        many(lambda: page(format="pickle", sort=dice.choice(("parameters", "name")))),
    )
    deep = {
        sort: cursor_at(SearchQuery(sort=sort), depth=30_000) for sort in ("downloads", "newest")
    }
    yield (
        "page 1,500",
        [page(cursor=deep[sort], sort=sort) for sort in dice.choices(list(deep), k=EACH)],
    )
    owners = [
        repo.namespace.user
        for repo in ModelRepo.objects.filter(is_private=True).select_related("namespace__user")[
            :EACH
        ]
    ]
    yield (
        "signed in, with private models",
        [page(Viewer(user=owner), q=word("usual")) for owner in owners],
    )
    yield (
        "the hub's search= (a part of names)",
        many(lambda: page(search=dice.choice(styles)[: dice.randint(3, 5)], sort="downloads")),
    )


def cursor_at(query: object, *, depth: int) -> str | None:
    """Page through ``depth`` rows; return where that is."""
    from accounts.viewer import VISITOR
    from catalog.search.run import search

    cursor = None
    for _ in range(depth // 1000):
        cursor = search(VISITOR, query, limit=1000, cursor=cursor).next_cursor  # type: ignore[arg-type]
    return cursor


def touch_a_listing(dice: random.Random, ids: list[int]) -> None:
    """Do to the catalogue what a commit does."""
    from catalog.models import Listing
    from catalog.search.documents import refresh_search

    chosen = dice.choice(ids)
    Listing.objects.filter(pk=chosen).update(summary=f"Changed {dice.random()}.")
    refresh_search([chosen])


def took_ms(ask: Question) -> float:
    """Time one question."""
    started = time.perf_counter()
    ask()
    return (time.perf_counter() - started) * 1000


def percentiles(times: list[float]) -> str:
    """Three figures in one line."""
    ordered = sorted(times)
    p95, p99 = (ordered[min(int(len(ordered) * share), len(ordered) - 1)] for share in (0.95, 0.99))
    return f"{statistics.median(ordered):6.1f} {p95:6.1f} {p99:6.1f}"


def measure() -> list[tuple[str, str]]:
    """Ask everything; return the rows of the table."""
    import psutil

    from accounts.viewer import VISITOR
    from catalog.models import Listing
    from catalog.search.index import current_index
    from catalog.search.query import SearchQuery
    from catalog.search.run import search, suggest

    process = psutil.Process()
    before = process.memory_info().rss
    loading = took_ms(current_index)
    grown = (process.memory_info().rss - before) / 1e6
    for sort in SORTS:  # a warm-up: pages of the tables come into memory
        search(VISITOR, SearchQuery(sort=sort), limit=1000)
    dice = random.Random(5)  # noqa: S311
    ids = list(Listing.objects.values_list("pk", flat=True)[:1000])
    rows = [
        ("a process that starts reads the catalogue in", f"{loading:.0f} ms"),
        ("… and grows by", f"{grown:.0f} MB"),
        ("milliseconds, first and again:", "   p50    p95    p99 |    p50    p95    p99"),
    ]
    all_first: list[float] = []
    all_again: list[float] = []
    for kind, asked in questions():
        first, again = [], []
        for ask in dice.sample(asked, len(asked)):
            current_index().forget_answers()
            first.append(took_ms(ask))
            touch_a_listing(dice, ids)
            again.append(took_ms(ask))
        rows.append((kind, f"{percentiles(first)} | {percentiles(again)}"))
        all_first += first
        all_again += again
    rows.append(
        ("all of these (p95 < 100)", f"{percentiles(all_first)} | {percentiles(all_again)}")
    )
    typed = [text[:n] for text in ("austen-gpt2", "poetry-llama", "wehaku") for n in range(1, 9)]
    times = [took_ms(lambda text=text: suggest(VISITOR, text)) for text in typed]  # type: ignore[misc]
    rows.append(("completing a name", percentiles(times)))
    return rows
