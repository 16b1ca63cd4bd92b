"""Xorbs that strangers send: what is not exactly right leaves nothing."""

import io
import tracemalloc
from collections.abc import Callable
from typing import Any

import lz4.frame
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.models import Namespace, User
from catalog.content.quotas import usage_of
from catalog.content.xet.errors import XetFormatError
from catalog.content.xet.hashes import merkle_root, to_hex
from catalog.content.xet.packing import pack
from catalog.content.xet.xorbs import MAX_BODY_BYTES
from catalog.content.xorbs import receive_xorb
from catalog.models import Xorb
from tests.catalog.content.xet.making import entries, noise, record
from tests.hub.xet.calling import OCTETS, XetClient, leave_room, made, stored
from tests.threads import at_once

WEIGHTS = made()
FRAME = lz4.frame.compress(b"a" * 1000)
BIG = 128 * 1024
BOMB = lz4.frame.compress(bytes(32 * 1024**2))


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


MALFORMED: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "half a header": lambda: WEIGHTS.xorb[:5],
    "cut by a byte": lambda: WEIGHTS.xorb[:-1],
    "cut in a header": lambda: WEIGHTS.xorb + WEIGHTS.xorb[:7],
    "a byte too many": lambda: WEIGHTS.xorb + b"\0",
    "text behind it": lambda: WEIGHTS.xorb + b"and so on and so on",
    "only a footer": lambda: b"XETBLOB\1" + bytes(100),
    "half the mark of a footer": lambda: WEIGHTS.xorb + b"XETBLO",
    "another version": lambda: b"\1" + WEIGHTS.xorb[1:],
    "an unknown scheme": lambda: record(b"abc", scheme=3, raw=3),
    "an empty chunk": lambda: record(b"", raw=0),
    "a chunk too large": lambda: record(noise(BIG + 1), raw=BIG + 1),
    "a payload too large": lambda: record(bytes(2 * BIG + 1), scheme=1, raw=3),
    "a promise of more": lambda: record(b"abc", raw=4),
    "a promise of less": lambda: record(b"abc", raw=2),
    "no frame": lambda: record(noise(500), scheme=1, raw=1000),
    "an empty frame": lambda: record(b"", scheme=1, raw=1000),
    "half a frame": lambda: record(FRAME[:-5], scheme=1, raw=1000),
    "a frame and more": lambda: record(FRAME + b"x", scheme=1, raw=1000),
    "two frames": lambda: record(FRAME + FRAME, scheme=1, raw=2000),
    "a frame of more": lambda: record(FRAME, scheme=1, raw=999),
    "a frame of less": lambda: record(FRAME, scheme=1, raw=1001),
    "a skippable frame": lambda: record(b"\x50\x2a\x4d\x18\4\0\0\0abcd", scheme=1, raw=4),
    "a bomb": lambda: record(BOMB[: 2 * BIG], scheme=1, raw=BIG),
    "a grouped bomb": lambda: record(BOMB[: 2 * BIG], scheme=2, raw=BIG),
    "too many chunks": lambda: record(b"a", raw=1) * 8193,
    "a chunk less": lambda: WEIGHTS.xorb[: -len(pack(WEIGHTS.chunks[-1]))],
    "a chunk twice": lambda: WEIGHTS.xorb + pack(WEIGHTS.chunks[-1]),
    "other content": lambda: made(seed=9).xorb,
    "a bit in the content": lambda: flipped(WEIGHTS.xorb, 100),
    "a bit in the last byte": lambda: flipped(WEIGHTS.xorb, len(WEIGHTS.xorb) - 1),
}


def test_a_refused_xorb_is_read_to_its_end(mine: XetClient) -> None:
    """Or clients that still send see a broken connection, not the refusal."""
    before, body = stored(), io.BytesIO(b"\1" + bytes(3 * 1024**2))

    with pytest.raises(XetFormatError):
        receive_xorb(WEIGHTS.name, body, charged_to=Namespace.objects.earliest("pk"))

    assert (body.read(), stored()) == (b"", before)


@pytest.mark.parametrize("way", MALFORMED)
def test_malformed_xorbs(mine: XetClient, way: str) -> None:
    before = stored()

    answer = mine.send_xorb(WEIGHTS, MALFORMED[way]())

    assert answer.status_code == 400, answer.content
    assert answer.json()["code"] in {"malformed_xet", "xet_hash_mismatch"}
    assert answer["X-Error-Message"] == answer.json()["error"]
    assert stored() == before


def test_a_hash_of_other_content_harms_nobody(mine: XetClient, bobs: XetClient) -> None:
    mine.publish({"a.bin": WEIGHTS})
    before = stored()

    for data in (made(seed=9).xorb, flipped(WEIGHTS.xorb, 100), b""):
        answer = bobs.send_xorb(WEIGHTS, data)
        assert answer.json() == {"was_inserted": False}  # it is here; what came is not looked at

    assert stored() == before
    assert mine.fetch(mine.get(f"/v2/reconstructions/{WEIGHTS.file}").json()) == WEIGHTS.content


@hypothesis_settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(data=st.data())
def test_any_damage_is_refused(mine: XetClient, data: st.DataObject) -> None:
    content = made(20_000, seed=3)
    way = data.draw(st.sampled_from(["flip", "cut", "junk"]))
    if way == "flip":
        place = data.draw(st.integers(0, len(content.xorb) - 1))
        body = bytearray(content.xorb)
        body[place] ^= data.draw(st.integers(1, 255))
    elif way == "cut":
        body = bytearray(content.xorb[: data.draw(st.integers(0, len(content.xorb) - 1))])
    else:
        body = bytearray(data.draw(st.binary(min_size=1, max_size=60)))
    before = stored()

    answer = mine.send_xorb(content, bytes(body))

    assert answer.status_code == 400
    assert stored() == before


@hypothesis_settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(payload=st.binary(max_size=80), scheme=st.integers(0, 4), raw=st.integers(0, 200))
def test_any_frame_is_read_or_refused(
    mine: XetClient, payload: bytes, scheme: int, raw: int
) -> None:
    head = b"\x04\x22\x4d\x18"

    for data in (payload, head + payload):
        answer = mine.send_xorb(WEIGHTS, record(data, scheme=scheme, raw=raw))
        assert answer.status_code == 400


def test_a_bomb_takes_no_memory(mine: XetClient) -> None:
    body = record(BOMB[: 2 * BIG], scheme=1, raw=BIG)
    mine.send_xorb(WEIGHTS, b"")

    tracemalloc.start()
    answer = mine.send_xorb(WEIGHTS, body * 3)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert answer.status_code == 400
    assert peak_bytes < 8 * 1024**2


@pytest.mark.parametrize("count", [1, 8192])
def test_the_fewest_and_the_most_chunks(mine: XetClient, count: int) -> None:
    chunks = [number.to_bytes(2, "little") for number in range(count)]
    name = to_hex(merkle_root(entries(chunks)))
    body = b"".join(record(chunk, raw=2) for chunk in chunks)

    answer = mine.post(f"/v1/xorbs/default/{name}", body)

    assert answer.json() == {"was_inserted": True}
    assert Xorb.objects.get().stored_bytes == len(body)


def test_the_largest_xorb(mine: XetClient) -> None:
    chunks = [bytes(BIG)] * 512
    name = to_hex(merkle_root(entries(chunks)))
    body = b"".join(map(pack, chunks))

    answer = mine.post(f"/v1/xorbs/default/{name}", body)

    assert answer.json() == {"was_inserted": True}
    assert Xorb.objects.get().raw_bytes == 64 * 1024**2


def announce(caller: XetClient, **environ: Any) -> Any:
    path = f"/xet/v1/xorbs/default/{WEIGHTS.name}"
    return caller.client.generic(
        "POST", path, WEIGHTS.xorb, OCTETS, headers=caller.write, **environ
    )


@pytest.mark.parametrize("length", ["", "x", "-1"])
def test_no_length(mine: XetClient, length: str) -> None:
    before = stored()

    answer = announce(mine, CONTENT_LENGTH=length)

    assert answer.status_code == 411
    assert stored() == before


def test_too_long_a_body(mine: XetClient) -> None:
    before = stored()

    answer = announce(mine, CONTENT_LENGTH=str(MAX_BODY_BYTES + 1))

    assert answer.status_code == 413
    assert stored() == before


def test_a_body_that_is_shorter_than_it_says(mine: XetClient) -> None:
    before = stored()

    answer = announce(mine, CONTENT_LENGTH=str(len(WEIGHTS.xorb) // 2))

    assert answer.status_code == 400
    assert stored() == before


def test_no_room(mine: XetClient, alice: User) -> None:
    leave_room(alice, 1000)
    before = stored()

    answer = mine.send_xorb(WEIGHTS)

    assert answer.status_code == 403
    assert answer.json()["code"] == "storage_quota"
    assert stored() == before


def test_no_room_takes_nothing_from_others(mine: XetClient, bobs: XetClient, bob: User) -> None:
    """The same bytes, on their way in for one who has room and one who has not."""
    mine.send_xorb(WEIGHTS)
    Xorb.objects.update(hash=b"0" * 32)  # as if it came between look and write
    leave_room(bob, 1000)
    before = stored()

    assert bobs.send_xorb(WEIGHTS).status_code == 403

    assert stored() == before


def test_who_sends_is_charged_until_a_recipe_uses_it(mine: XetClient, alice: User) -> None:
    namespace = Namespace.objects.get(user=alice)
    empty = usage_of(namespace).used_bytes

    mine.send_xorb(WEIGHTS)
    sent = usage_of(namespace).used_bytes - empty
    mine.send_shard(WEIGHTS.shard())
    registered = usage_of(namespace).used_bytes - empty

    assert sent == len(WEIGHTS.xorb)
    assert registered == len(WEIGHTS.content)


@pytest.mark.django_db(transaction=True)
def test_the_same_xorb_from_everybody_at_once(mine: XetClient) -> None:
    headers = mine.write
    from django.test import Client

    def send(number: int) -> Any:
        path = f"/xet/v1/xorbs/default/{WEIGHTS.name}"
        return Client().generic("POST", path, WEIGHTS.xorb, OCTETS, headers=headers)

    answers = at_once(send, 6)

    assert [answer.status_code for answer in answers] == [200] * 6
    assert sum(answer.json()["was_inserted"] for answer in answers) == 1
    assert Xorb.objects.count() == 1
    assert len(stored()["blobs"]) == 1


def test_lost_bytes_are_healed_by_sending_them_again(mine: XetClient, settings) -> None:
    mine.publish({"a.bin": WEIGHTS})
    for path in settings.BLOB_DIR.rglob("*"):
        if path.is_file():
            path.unlink()
    repacked = b"".join(record(chunk, raw=len(chunk)) for chunk in WEIGHTS.chunks)
    repacked = (
        record(lz4.frame.compress(WEIGHTS.chunks[0]), scheme=1, raw=len(WEIGHTS.chunks[0]))
        + (repacked[8 + len(WEIGHTS.chunks[0]) :])
    )
    assert repacked != WEIGHTS.xorb

    answer = mine.send_xorb(WEIGHTS, repacked)

    assert answer.status_code == 200
    assert mine.fetch(mine.get(f"/v2/reconstructions/{WEIGHTS.file}").json()) == WEIGHTS.content
