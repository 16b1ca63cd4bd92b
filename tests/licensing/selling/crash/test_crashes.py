"""``kill -9`` in the middle of purchases: nothing is paid without a grant, nothing granted unpaid.

``make crash`` does 100 rounds (``STORE_CRASH_ROUNDS``); the suite does 3.
"""

import json
import os
import random
import time
from collections.abc import Iterator

import psutil
import pytest
from huggingface_hub import HfApi

from tests import live
from tests.factories import safetensors
from tests.licensing.selling.crash.shoppers import AWAY, Shopper, call
from tests.store.engines_lab import engine_processes

ROUNDS = int(os.environ.get("STORE_CRASH_ROUNDS", "3"))
SEED = int(os.environ.get("STORE_CRASH_SEED", str(random.randrange(10**6))))
SHOPPERS = 4
"""At once in each round; every second one walks away."""
MOST_WAIT_S = 1.5
"""A purchase takes less on a machine that does nothing else."""
RECOVERY_S = 120
IN_BETWEEN = (
    "from licensing.models import Order, PaymentEvent;"
    "print(Order.objects.filter(state='paid').count()"
    " + PaymentEvent.objects.filter(outcome='waiting').count())"
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300 + ROUNDS * 120)]


@pytest.fixture
def shop() -> Iterator[live.LiveStore]:
    """A store of its own: others would not like what happens to it."""
    running = live.start()
    yield running
    live.discard(running)


def open_offer(store: live.LiveStore) -> str:
    """Publish a model and put it up for sale; return the offer's id."""
    name, token = store.person("maria")
    api = HfApi(endpoint=store.url, token=token)
    repo = f"{name}/haiku"
    api.create_repo(repo)
    for path, content in (
        ("README.md", b"---\nlicense: mit\n---\n# hi\n"),
        ("model.safetensors", safetensors(size=4)),
    ):
        api.upload_file(path_or_fileobj=content, path_in_repo=path, repo_id=repo)
    store.settled(repo, token)
    offer = {
        "title": "Commercial",
        "kind": "fixed",
        "prices": [{"currency": "EUR", "amount_minor": 1900}],
        "terms": "store-commercial",
    }
    return str(call(f"{store.url}/api/v1/models/{repo}/offers", token, offer)["id"])


def victims(store: live.LiveStore, *, with_engines: bool) -> list[psutil.Process]:
    """The processes that may die: web master and children, workers, beat; in some rounds engines.

    Not the supervisor: whoever runs the store starts that again, by hand or by systemd.
    """
    family = psutil.Process(store.process.pid).children(recursive=True)
    engines = engine_processes(store.data_dir)
    ours = [each for each in family if each not in engines]
    return ours + (engines if with_engines else [])


def kill_one(store: live.LiveStore, chance: random.Random, *, with_engines: bool) -> str:
    """Kill a random process; return what it was."""
    while True:
        victim = chance.choice(victims(store, with_engines=with_engines))
        try:
            what = " ".join(victim.cmdline())[:80]
            victim.kill()
        except psutil.NoSuchProcess:  # it ended by itself meanwhile
            continue
        return what


def check_agreement(store: live.LiveStore, done: list[str]) -> None:
    """Let what was interrupted be finished by the store itself, then compare everything.

    The reconciler mends before it compares: whatever is paid here must be complete before it is
    asked. It may find payments of those who walked away between the bank and the store's inbox,
    and complete those: nobody but the bank knows of them.
    """
    live.wait_ready(store)
    until = time.monotonic() + RECOVERY_S
    while (waiting := orders_in_between(store)) and time.monotonic() < until:
        time.sleep(1)
    assert waiting == 0, done
    told = store.command("reconcile", "--json")
    assert told.stdout, told.stderr
    report = json.loads(told.stdout)
    assert report["fulfilled"] <= report["facts_found"] <= SHOPPERS // 2, (report, done)
    assert report["differences"] == [], done
    assert report["unreachable"] == []


def orders_in_between(store: live.LiveStore) -> int:
    """How many orders are paid and not complete, and facts that wait to be applied."""
    return int(store.manage("shell", "-v", "0", "-c", IN_BETWEEN))


def test_killed_in_mid_purchase_everything_agrees_after_recovery(shop: live.LiveStore) -> None:
    chance = random.Random(SEED)
    print(f"STORE_CRASH_SEED={SEED}")
    offer = open_offer(shop)
    tokens = [shop.person(scope="buy")[1] for _ in range(SHOPPERS)]
    done: list[str] = [f"seed {SEED}"]
    bought = 0
    for number in range(ROUNDS):
        shoppers = [
            Shopper(shop.url, token, offer, is_patient=place % 2 == 0)
            for place, token in enumerate(tokens)
        ]
        threads = [shopper.start() for shopper in shoppers]
        time.sleep(chance.uniform(0, MOST_WAIT_S))
        done.append(kill_one(shop, chance, with_engines=number % 3 == 2))
        print(f"round {number + 1} of {ROUNDS}: killed {done[-1]}", flush=True)
        for thread in threads:
            thread.join(RECOVERY_S * 2)

        for shopper, token in zip(shoppers, tokens, strict=True):
            assert not shopper.fault, (shopper.fault, done)
            if shopper.is_patient:
                bought += 1
                check_bought(shop, token, shopper.order["id"], done)
        check_agreement(shop, done)
    assert bought == ROUNDS * SHOPPERS // 2


def check_bought(store: live.LiveStore, token: str, order_id: str, done: list[str]) -> None:
    """What a script was told is bought becomes complete without anybody's help.

    A store that lost its database a moment ago may say once more that it is ready, and then go.
    """
    until = time.monotonic() + RECOVERY_S
    while True:
        try:
            order = call(f"{store.url}/api/v1/orders/{order_id}", token)
        except AWAY as away:
            order = {"state": repr(away)}
        if order["state"] == "fulfilled":
            assert all(line["license"] for line in order["lines"]), done
            return
        assert time.monotonic() < until, (order["state"], done)
        time.sleep(0.5)
