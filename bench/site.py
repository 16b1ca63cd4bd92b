"""How the site feels: start, pages over 100,000 listings, memory of a web process.

Pages are fetched by a plain HTTP client over loopback, one at a time; the time is that from the
request to the last byte, so it holds everything the server does. Bytes are those on the wire,
compressed, with every style sheet, script, font and picture of the site that the page names.
"""

import random
import re
import statistics
import time
from urllib.parse import urljoin

import requests

from bench._live import Live, live, set_up_django
from bench.search import COUNT, prepare

EACH = 100
"""Pages of each kind."""
ASSET = re.compile(r'(?:href|src)="(/static/[^"]+\.(?:css|js|woff2|svg|png|webp|ico))"')
IMPORTED = re.compile(r'(?:import|from)\s*\(?"([^"]+\.js)"|url\("?([^")]+)"?\)')


def run() -> list[tuple[str, str]]:
    """Measure and return (figure, value) rows."""
    rows = _catalogue()
    with live():  # the first start migrates, loads the demo, collects the static files
        pass
    with live() as store:
        rows.append(("second start until /readyz answers (< 10 s)", f"{store.ready_s:.1f} s"))
        rows += pages(store)
        rows += memory(store)
    return rows


def _catalogue() -> list[tuple[str, str]]:
    set_up_django()
    from store.boot import hold_engines

    with hold_engines():
        return prepare()


def pages(store: Live) -> list[tuple[str, str]]:
    """Fetch pages of each kind."""
    http = requests.Session()
    http.headers["Accept"] = "text/html"
    dice = random.Random(11)  # noqa: S311
    names = _names(http, store.url)
    shelf = "/models?" if http.get(f"{store.url}/models", timeout=60).ok else "/?"
    kinds = {
        "home page": ["/"] * EACH,
        "list page": [f"{shelf}sort={s}" for s in dice.choices(["trending", "likes"], k=EACH)],
        "list page, a word and a facet": [f"{shelf}q=model&license=mit"] * EACH,
        "listing page (< 100 ms, < 100 kB)": [f"/{n}" for n in dice.choices(names, k=EACH)],
        "files of a listing": [f"/{n}/tree/main" for n in dice.choices(names, k=EACH)],
    }
    rows = []
    for kind, paths in kinds.items():
        times = sorted(_took_ms(http, store.url + path) for path in paths)
        whole = _transferred_kb(store.url, paths[0])
        text = f"p50 {statistics.median(times):.0f} ms, p95 {times[int(len(times) * 0.95)]:.0f} ms"
        rows.append((f"{kind} over {COUNT:,} listings", f"{text}, {whole:.0f} kB in all"))
    return rows


def _names(http: requests.Session, url: str) -> list[str]:
    rows = http.get(f"{url}/api/models?limit=100&sort=trendingScore", timeout=60).json()
    found = [row["id"] for row in rows]
    return [name for name in found if http.get(f"{url}/{name}/tree/main", timeout=60).ok]


def _took_ms(http: requests.Session, url: str) -> float:
    started = time.perf_counter()
    answer = http.get(url, timeout=60)
    answer.raise_for_status()
    return (time.perf_counter() - started) * 1000


def _transferred_kb(url: str, path: str) -> float:
    """Bytes of a page and of all it needs, for a browser that has nothing yet."""
    page = url + path
    waiting, sizes = [page], {}
    while waiting:
        address = waiting.pop()
        if address in sizes or not address.startswith(url):
            continue
        with requests.get(
            address, headers={"Accept-Encoding": "br, gzip"}, stream=True, timeout=60
        ) as answer:
            sizes[address] = len(answer.raw.read(decode_content=False))
        if address.endswith((".css", ".js")) or address == page:
            text = requests.get(address, timeout=60).text
            found = ASSET.findall(text) if address == page else IMPORTED.findall(text)
            names = (name if isinstance(name, str) else name[0] or name[1] for name in found)
            waiting += [urljoin(address, name) for name in names if not name.startswith("data:")]
    return sum(sizes.values()) / 1e3


def memory(store: Live) -> list[tuple[str, str]]:
    """What a web process holds after all these pages."""
    resident = [worker.memory_info().rss / 1e6 for worker in store.web_workers()]
    own = [worker.memory_full_info().uss / 1e6 for worker in store.web_workers()]
    return [
        (
            f"a web process after them, with {COUNT:,} listings in its index (< 200 MB)",
            f"{max(resident):.0f} MB resident, {max(own):.0f} MB of them its own",
        )
    ]
