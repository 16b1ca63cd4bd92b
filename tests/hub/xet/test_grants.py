"""Uploads by a grant: ask, send, confirm."""

import json
import re
import time

import pytest
import time_machine
from django.core import signing

from accounts.models import User
from tests.hub.xet.calling import OCTETS, XetClient, body_of, leave_room, made, path_of, stored

WEIGHTS, OTHER = made(), made(seed=2)


def ask(caller: XetClient, length: object = None, name: str = WEIGHTS.name, **more):
    size = len(WEIGHTS.xorb) if length is None else length
    body = {"length": size, "checksum": {"algo": "crc64nvme", "value": "1"}} | more
    return caller.post(f"/v1/xorb-grants/default/{name}", json.dumps(body).encode())


def put(caller: XetClient, answer, data: bytes = WEIGHTS.xorb, **more):
    grant = answer.json()
    path = path_of(grant["url"])
    return caller.client.generic(
        grant["method"], path, data, OCTETS, headers=grant["headers"], **more
    )


def finish(caller: XetClient, answer, name: str = WEIGHTS.name):
    return caller.post(f"/v1/xorb-commits/default/{name}/grant/{answer.json()['id']}")


@pytest.mark.parametrize("base", ["/xet", "/xet/3"])
def test_a_xorb_comes_by_a_grant(mine: XetClient, base: str, settings) -> None:
    mine.base = base
    if base != "/xet":
        settings.ENV = settings.ENV.model_copy(update={"xet_generation": 3})

    granted = ask(mine)
    sent = put(mine, granted)
    done = finish(mine, granted)
    again = finish(mine, granted)
    known = ask(mine)

    assert granted.status_code == 201
    assert sorted(granted.json()) == ["headers", "id", "method", "url"]
    assert granted.json()["method"] == "PUT"
    assert granted.json()["id"] not in {"", ".", ".."}
    assert granted.json()["url"].startswith(f"http://testserver{base}/")
    assert [answer.status_code for answer in (sent, done, again)] == [200, 200, 200]
    assert (known.status_code, known.content) == (200, b"")
    assert mine.send_shard(WEIGHTS.shard()).json() == {"result": 1}
    assert mine.commit({"a.bin": WEIGHTS}).status_code == 200
    assert body_of(mine.resolve("a.bin")) == WEIGHTS.content


def test_confirming_without_sending(mine: XetClient) -> None:
    before = stored()

    answer = finish(mine, ask(mine))

    assert answer.status_code == 404
    assert answer.json()["code"] == "nothing_sent"
    assert stored() == before


@pytest.mark.parametrize("name", ["a", "..%2f..%2fetc", "0" * 32, "a" * 300])
def test_confirming_what_was_never_granted(mine: XetClient, name: str) -> None:
    before = stored()

    answer = mine.post(f"/v1/xorb-commits/default/{WEIGHTS.name}/grant/{name}")

    assert answer.status_code == 404
    assert stored() == before


def test_a_grant_is_for_one_xorb(mine: XetClient) -> None:
    before = stored()
    granted = ask(mine, len(OTHER.xorb))

    sent = put(mine, granted, OTHER.xorb)

    assert sent.status_code == 400
    assert sent.json()["code"] == "xet_hash_mismatch"
    assert finish(mine, granted).status_code == 404
    assert finish(mine, granted, OTHER.name).status_code == 404
    assert stored() == before


def damaged() -> dict[str, bytes]:
    middle = len(WEIGHTS.xorb) // 2
    flipped = bytes([WEIGHTS.xorb[middle] ^ 1])
    return {
        "cut": WEIGHTS.xorb[:-1],
        "longer": WEIGHTS.xorb + b"\0",
        "a bit": WEIGHTS.xorb[:middle] + flipped + WEIGHTS.xorb[middle + 1 :],
        "zeros": bytes(len(WEIGHTS.xorb)),
    }


@pytest.mark.parametrize("way", damaged())
def test_wrong_bytes_by_a_grant(mine: XetClient, way: str) -> None:
    before = stored()
    granted = ask(mine)

    sent = put(mine, granted, damaged()[way])

    assert sent.status_code == 400
    assert stored() == before
    assert put(mine, granted).status_code == 200  # the grant is still good
    assert finish(mine, granted).status_code == 200


def test_whoever_was_to_pay_is_gone(mine: XetClient) -> None:
    said = {"xorb": WEIGHTS.name, "payer": 0, "length": len(WEIGHTS.xorb)}
    proof = signing.dumps(said, salt="hub.xet.grant")
    before = stored()

    answer = mine.client.generic("PUT", f"/xet/v1/xorb-uploads/{proof}", WEIGHTS.xorb, OCTETS)

    assert answer.status_code == 403
    assert "Ask for a new grant" in answer.json()["error"]
    assert stored() == before


def test_a_grant_ends(mine: XetClient) -> None:
    granted = ask(mine)
    before = stored()

    with time_machine.travel(time.time() + 3605, tick=False):
        sent = put(mine, granted)

    assert sent.status_code == 403
    assert stored() == before


def test_forged_grants(mine: XetClient) -> None:
    path = path_of(ask(mine).json()["url"])
    before = stored()
    other = mine.write["Authorization"].partition(" ")[2]  # signed, for something else

    for forged in (path[:-1], path + "a", re.sub(r"[^/]+$", other, path)):
        answer = mine.client.generic("PUT", forged, WEIGHTS.xorb, OCTETS)
        assert answer.status_code == 403, forged

    assert stored() == before


@pytest.mark.parametrize("length", [0, -1, "5", 5.0, True, [], {}])
def test_grants_for_no_length(mine: XetClient, length: object) -> None:
    assert ask(mine, length).status_code == 400


def test_grants_for_too_much(mine: XetClient) -> None:
    assert ask(mine, 66 * 1024**2).status_code == 201
    assert ask(mine, 66 * 1024**2 + 1).status_code == 413


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"{}"])
def test_grants_that_say_nothing(mine: XetClient, body: bytes) -> None:
    assert mine.post(f"/v1/xorb-grants/default/{WEIGHTS.name}", body).status_code == 400


def test_no_grant_without_room(mine: XetClient, alice: User) -> None:
    leave_room(alice, 1000)
    before = stored()

    answer = ask(mine)

    assert answer.status_code == 403
    assert answer.json()["code"] == "storage_quota"
    assert stored() == before


def test_the_room_that_went_since_the_grant(mine: XetClient, alice: User) -> None:
    granted = ask(mine)
    leave_room(alice, 1000)
    before = stored()

    sent = put(mine, granted)

    assert sent.status_code == 403
    assert stored() == before
