"""How many license keys a second the store judges, beside a plain Django view in the same run.

gunicorn runs as ``make run`` starts it. The plain view is ``/healthz``: it goes through the same
middleware and answers a constant. Validations are counted against a limit that is never reached,
as they are on a real site. Client and server share the machine.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil

from bench._load import Load, ask, middle
from bench.delivery import cpu_s, web

ROUNDS = 5
SECONDS = 4.0
CONNECTIONS = 16
UNKNOWN = "GPTS-00000-00000-00000-00000-00000-01"
"""Well-formed; nobody has it."""

_SELL = """
import os, uuid
os.environ["DJANGO_SETTINGS_MODULE"] = "store.settings"
import django; django.setup()
import numpy as np
from safetensors.numpy import save
from accounts.services.people import create_user
from accounts.viewer import Viewer
from catalog.services.repos import NewRepo, create_repo
from licensing.configured import license_key_again
from licensing.models import License, Offer
from licensing.services import activations, checkout, ordering, quotes
from licensing.services.offers import OfferDraft, make_offer
from licensing.services.pricing import Item
word = uuid.uuid4().hex[:8]
def person(name):
    name += word
    return create_user(username=name, email=name + "@example.org", password=uuid.uuid4().hex)
seller, buyer = Viewer(user=person("seller")), Viewer(user=person("buyer"))
weights = save({"weight": np.zeros((8, 8), np.float32)})
card = b"---\\nlicense: mit\\n---\\n# hi\\n"
files = {"README.md": card, "model.safetensors": weights}
repo = create_repo(seller, NewRepo(name="small", files=files))
draft = OfferDraft("Commercial", Offer.Kind.FREE, "store-commercial", seats=3)
offer = make_offer(seller, [repo], draft)
quote, priced = quotes.make_quote(buyer, [Item(offer.public_id)], currency="EUR")
order, _ = ordering.open_order(buyer, quote.public_id, key="k", accepted_terms=priced.terms)
checkout.start(order)
row = License.objects.get(line__order=order)
activations.activate(row, activations.Seat("m1"))
key = license_key_again(row.public_id, rotation=0, digest=row.key_digest)
print(key, repo.full_name)
"""


def run() -> list[tuple[str, str]]:
    """Measure and return (figure, value) rows."""
    from store.engines import hold

    data_dir = Path("var/bench").resolve()
    os.environ["STORE_VISITOR_LICENSES_REQUESTS"] = "1000000000"
    env = os.environ | {"STORE_DATA_DIR": str(data_dir)}
    with hold(data_dir):
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], env=env, check=True)
        done = subprocess.run(
            [sys.executable, "-c", _SELL], env=env, capture_output=True, text=True, check=True
        )
        key, model = done.stdout.split()[-2:]
        with web(data_dir) as (url, server):
            return measure(url, server, key, model)


def measure(url: str, server: psutil.Process, key: str, model: str) -> list[tuple[str, str]]:
    """Ask each question in turn, several rounds."""
    scope = {"fingerprint": "m1", "model": model, "entitlements": ["commercial_use"]}
    questions = {
        "plain view": (f"{url}/healthz", {}, b'"ok"'),
        "validate": (f"{url}/api/v1/licenses/validate", {"key": key}, b'"VALID"'),
        "validate, machine, model and right": (
            f"{url}/api/v1/licenses/validate",
            {"key": key, "scope": scope},
            b'"VALID"',
        ),
        "validate, unknown key": (
            f"{url}/api/v1/licenses/validate",
            {"key": UNKNOWN},
            b'"NOT_FOUND"',
        ),
    }
    found: dict[str, list[Load]] = {name: [] for name in questions}
    spent_s = dict.fromkeys(questions, 0.0)
    for round_ in range(ROUNDS + 1):
        for name, (address, sent, expect) in questions.items():
            body = json.dumps(sent).encode() if sent else b""
            before_s = cpu_s(server)
            load = ask(address, body=body, connections=CONNECTIONS, seconds=SECONDS, expect=expect)
            if round_:  # the first one warms up
                found[name].append(load)
                spent_s[name] += cpu_s(server) - before_s
    return _rows(found, spent_s)


def _rows(found: dict[str, list[Load]], spent_s: dict[str, float]) -> list[tuple[str, str]]:
    middles = {name: middle(loads) for name, loads in found.items()}
    rows = []
    for name, load in middles.items():
        goal = " (≥ 500/s)" if name == "validate" else ""
        answers = sum(len(each.latencies_ms) for each in found[name])
        speed = f"{load.per_s:.0f} requests/s"
        times = f"p50 {load.quantile_ms(0.5):.1f} ms, p95 {load.quantile_ms(0.95):.1f} ms"
        cpu = f"{spent_s[name] / answers * 1000:.2f} ms of CPU in the web server each"
        rows.append((f"{name}, {CONNECTIONS} connections{goal}", f"{speed}, {times}, {cpu}"))
    ratio = middles["validate"].per_s / middles["plain view"].per_s
    return [*rows, ("validate against the plain view", f"{ratio:.2f}")]
