"""The page about webhooks tells the truth."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import time_machine

from accounts.models import User
from accounts.viewer import Viewer
from catalog.services.webhooks import signing
from catalog.services.webhooks.replaying import send_test
from tests.catalog.webhooks.conftest import hook
from tests.receivers import Receiver

PAGE = (Path(__file__).resolve().parents[3] / "docs/webhooks.md").read_text()


def test_the_printed_check_takes_what_is_ours_and_nothing_else(
    alice: User, receiver: Callable[..., Receiver], run_jobs: Callable[[], Any]
) -> None:
    [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 12
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - our own page
    is_genuine = names["is_genuine"]
    got = receiver()
    webhook = hook(alice, got.url)
    send_test(Viewer(user=alice), webhook)
    run_jobs()

    [request] = got.requests
    [key] = signing.secrets_of(webhook).keys
    assert is_genuine(key, request.headers, request.body)
    assert not is_genuine(signing.new_key(), request.headers, request.body)
    assert not is_genuine(key, request.headers, request.body + b" ")
    assert not is_genuine(key, request.headers | {"webhook-id": "msg_x"}, request.body)
    sent_at = int(request.headers["webhook-timestamp"])
    for late in (-301, 302):
        with time_machine.travel(sent_at + late):
            assert not is_genuine(key, request.headers, request.body)
