"""Loaded before Django's settings: gives the tests engines and a data folder of their own.

Every pytest process (and each xdist worker) holds the same embedded engines; each worker has its
own database (pytest-django's suffix) and its own Valkey database.
"""

import os
from pathlib import Path

from store.engines import addresses, hold

ROOT = Path(__file__).resolve().parent.parent
DATA_DIR = ROOT / "var" / "test"

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
OFFSET = sum(os.environ.get("STORE_TEST_DB", "").encode()) % 5 * 2
VALKEY_DB = int(WORKER.removeprefix("gw") or 0) + 1 + OFFSET
"""Below 16, Valkey's default number of databases."""

os.environ["STORE_DATA_DIR"] = str(DATA_DIR)
os.environ["STORE_RATE_LIMITS"] = "off"
os.environ["STORE_EVALUATE_ON_PUBLISH"] = "none"  # tests ask for what they test
os.environ["STORE_SECRET_KEY"] = "tests only"
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # Playwright's own loop runs beside the ORM
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
for name in ("DATABASE_URL", "REDIS_URL", "HF_TOKEN", "HF_ENDPOINT"):
    os.environ.pop(name, None)
os.environ["REDIS_URL"] = f"unix://{addresses(DATA_DIR).valkey_socket}?db={VALKEY_DB}"

HOLD = hold(DATA_DIR, durable=False)
(DATA_DIR / "static").mkdir(exist_ok=True)  # whitenoise warns of a folder that is not there


def pytest_unconfigure() -> None:
    """Let the engines go; the last process out stops them."""
    HOLD.release()
