"""The page about the license API tells the truth: its commands run, its codes are all there are."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pytest_django.live_server_helper import LiveServer

from licensing.services import activations
from licensing.services.validating import Code
from store.core.errors import StoreError
from tests.licensing.license_api.holding import hold

PAGE = (Path(__file__).resolve().parents[3] / "docs/license-api.md").read_text()
COMMANDS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


def test_every_code_is_explained_and_no_other() -> None:
    table = PAGE.split("## Seats")[0]
    told = [
        word
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for word in re.findall(r"`([A-Z_]+)`", row)
    ]

    assert sorted(told) == sorted(Code)


def test_every_refusal_of_a_seat_is_explained() -> None:
    table = PAGE.split("## Seats")[1].split("## Offline")[0]
    told = set(re.findall(r"`([a-z_]+)`", " ".join(re.findall(r"^\| \d.*", table, re.MULTILINE))))
    ours = {
        one.code
        for one in vars(activations).values()
        if isinstance(one, type)
        and issubclass(one, StoreError)
        and one.__module__ == activations.__name__
    }

    assert ours - {"seat_held"} <= told


@pytest.mark.django_db(transaction=True)
def test_the_printed_commands_do_what_they_say(live_server: LiveServer) -> None:
    held = hold(seats=1)
    environment = {
        "STORE": live_server.url,
        "KEY": held.key,
        "MODEL": "maria/haiku-gpt",
        "MACHINE": "m1",
        "PATH": "/usr/bin:/bin",
    }

    def run(command: str) -> Any:
        done = subprocess.run(
            ["bash", "-c", command], env=environment, capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    validate, activate, heartbeat, deactivate, checkout = COMMANDS
    assert run(validate)["code"] == "NO_MACHINE"
    assert run(activate)["label"] == "build server"
    assert run(validate)["code"] == "VALID"
    assert run(heartbeat)["ended_at"] is None
    assert run(deactivate)["ended_at"] is not None
    assert run(checkout)["file"]["format"] == "gpt-store-license/1"
    assert run(validate)["code"] == "VALID"
