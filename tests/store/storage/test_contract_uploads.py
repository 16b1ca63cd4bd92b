"""What every storage promises for uploads in parts, sent through the app or by signed links."""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest

from store.storage import (
    BlobStore,
    Digest,
    DigestMismatchError,
    PartListError,
    PartNumberError,
    SizeMismatchError,
    UploadNotFoundError,
    UploadPlan,
)
from tests.store.storage.lab import MIB, digest_of, noise, put, read
from tests.store.storage.ways import DATA, PART, Way, begin, nothing_visible, part_of

OVER = (UploadNotFoundError, PartListError)
"""In one piece on S3 there is no trace of an upload before its bytes: only they are missing."""


@pytest.mark.parametrize("size_bytes", [0, 1, PART - 1, PART, PART + 1, 3 * PART, 3 * PART + 1])
def test_uploads_in_parts(way: Way, size_bytes: int) -> None:
    data = noise(size_bytes)
    plan = begin(way, data)

    parts = way.send_all(plan, data)
    assert nothing_visible(way)
    way.store.complete(plan, parts)

    assert len(parts) == max(1, -(-size_bytes // PART))
    assert read(way.store, plan.digest) == data


def test_parts_come_and_are_listed_in_any_order(way: Way) -> None:
    plan = begin(way)

    tags = [(n, way.send(plan, n, part_of(plan, n, DATA))) for n in (3, 1, 2)]
    way.store.complete(plan, tags)

    assert read(way.store, plan.digest) == DATA


def test_completes_without_a_list(way: Way) -> None:
    plan = begin(way)
    way.send_all(plan, DATA)

    way.store.complete(plan)

    assert read(way.store, plan.digest) == DATA


def test_the_plan_survives_a_restart_as_four_plain_values(way: Way) -> None:
    plan = begin(way)
    way.send_all(plan, DATA)
    assert len(plan.id) <= 1024
    kept = UploadPlan(plan.id, Digest(str(plan.digest)), plan.size_bytes, plan.part_size_bytes)

    way.store.complete(kept)

    assert read(way.store, plan.digest) == DATA


def test_sending_a_part_again_gives_the_same_tag_and_harms_nothing(way: Way) -> None:
    plan = begin(way)
    parts = way.send_all(plan, DATA)

    again = way.send(plan, 2, part_of(plan, 2, DATA))
    way.store.complete(plan, parts)

    assert again == parts[1][1]
    assert read(way.store, plan.digest) == DATA


def test_a_wrong_part_can_be_replaced(way: Way) -> None:
    plan = begin(way)
    wrong = way.send(plan, 1, noise(PART, seed=9))
    parts = way.send_all(plan, DATA)

    with pytest.raises(PartListError) as caught:
        way.store.complete(plan, [(1, wrong), *parts[1:]])
    assert caught.value.extra == {"missing": [], "changed": [1], "repeated": []}
    assert nothing_visible(way)
    way.store.complete(plan, parts)

    assert read(way.store, plan.digest) == DATA


def test_resumes_after_a_refused_completion(way: Way) -> None:
    plan = begin(way)
    first = way.send(plan, 1, part_of(plan, 1, DATA))
    third = way.send(plan, 3, part_of(plan, 3, DATA))

    for listed in ([(1, first), (3, third)], None):
        with pytest.raises(PartListError) as caught:
            way.store.complete(plan, listed)
        assert caught.value.extra["missing"] == [2]
        assert nothing_visible(way)
    second = way.send(plan, 2, part_of(plan, 2, DATA))
    way.store.complete(plan, [(1, first), (2, second), (3, third)])

    assert read(way.store, plan.digest) == DATA


def test_refuses_lists_that_do_not_fit_and_stays_open(way: Way) -> None:
    plan = begin(way)
    parts = way.send_all(plan, DATA)
    (_, one), (_, two), _ = parts
    cases: list[tuple[list[tuple[int, str]], dict[str, list[int]]]] = [
        (parts[:2], {"missing": [3]}),
        ([], {"missing": [1, 2, 3]}),
        ([*parts, parts[0]], {"repeated": [1]}),
        ([*parts, (4, "x")], {"changed": [4]}),
        ([*parts, (0, "x")], {"changed": [0]}),
        ([*parts, (-1, "x")], {"changed": [-1]}),
        ([*parts[:2], (3, "x")], {"changed": [3]}),
        ([*parts[:2], (3, "")], {"changed": [3]}),
        ([(1, two), (2, one), parts[2]], {"changed": [1, 2]}),
        ([(10**9, "x")], {"missing": [1, 2, 3], "changed": [10**9]}),
    ]

    for listed, facts in cases:
        with pytest.raises(PartListError) as caught:
            way.store.complete(plan, listed)
        assert caught.value.extra == {"missing": [], "changed": [], "repeated": []} | facts
        assert nothing_visible(way)
    way.store.complete(plan, parts)

    assert read(way.store, plan.digest) == DATA


def test_refuses_the_tag_of_another_upload(way: Way) -> None:
    other = begin(way, noise(len(DATA), seed=1))
    foreign = way.send_all(other, noise(len(DATA), seed=1))
    plan = begin(way)
    way.send_all(plan, DATA)

    with pytest.raises(PartListError):
        way.store.complete(plan, foreign)

    assert nothing_visible(way)


@pytest.mark.parametrize("swap", [(0, 1), (0, 0), (1, 1)], ids=["swapped", "first", "second"])
def test_refuses_a_whole_with_another_digest_and_ends(way: Way, swap: tuple[int, int]) -> None:
    halves = noise(PART), noise(PART, seed=1)
    data = b"".join(halves)
    plan = begin(way, data)
    parts = [(n + 1, way.send(plan, n + 1, halves[1 - swap[n]])) for n in (0, 1)]
    if swap == (0, 1):  # both parts arrived, each in the other's place
        assert parts[0][1] != parts[1][1]

    with pytest.raises(DigestMismatchError):
        way.store.complete(plan, parts)

    assert nothing_visible(way)
    with pytest.raises(OVER):
        way.store.complete(plan, parts)
    assert way.store.sweep(older_than_s=-60) == 0


def test_refuses_one_wrong_piece_and_keeps_nothing(way: Way) -> None:
    plan = begin(way, b"promised")
    way.send(plan, 1, b"provided")

    with pytest.raises(DigestMismatchError):
        way.store.complete(plan)

    assert nothing_visible(way)
    assert way.store.sweep(older_than_s=-60) == 0


def test_nobody_gains_a_stored_digest_by_an_upload_of_nothing(way: Way) -> None:
    put(way.store, DATA)
    put(way.store, b"small")

    for data in (DATA, b"small"):
        plan = begin(way, data)
        with pytest.raises(PartListError):
            way.store.complete(plan)
        with pytest.raises(PartListError):
            way.store.complete(plan, [])
        way.store.abort(plan)
        with pytest.raises(OVER):
            way.store.complete(plan)

    assert len(list(way.store.blobs())) == 2


def test_completing_twice_succeeds_twice(way: Way) -> None:
    for data in (DATA, b"small"):
        plan = begin(way, data)
        parts = way.send_all(plan, data)

        way.store.complete(plan, parts)
        way.store.complete(plan, parts)
        way.store.complete(plan)

        assert read(way.store, plan.digest) == data


def test_a_finished_upload_takes_no_more_parts(way: Way) -> None:
    plan = begin(way)
    way.store.complete(plan, way.send_all(plan, DATA))

    with pytest.raises(UploadNotFoundError):
        way.store.put_part(plan, 1, io.BytesIO(noise(PART, seed=3)))

    assert read(way.store, plan.digest) == DATA


def test_abort_frees_the_space_and_can_be_repeated(way: Way) -> None:
    plan = begin(way)
    way.send_all(plan, DATA)

    way.store.abort(plan)
    way.store.abort(plan)

    assert nothing_visible(way)
    assert way.store.sweep(older_than_s=-60) == 0
    with pytest.raises(UploadNotFoundError):
        way.store.complete(plan)
    with pytest.raises(UploadNotFoundError):
        way.store.put_part(plan, 1, io.BytesIO(part_of(plan, 1, DATA)))


def test_aborting_a_finished_upload_leaves_the_blob(way: Way) -> None:
    plan = begin(way)
    way.store.complete(plan, way.send_all(plan, DATA))

    way.store.abort(plan)

    assert read(way.store, plan.digest) == DATA


@pytest.mark.parametrize("number", [0, -1, 4, 10_000, 10_001])
def test_refuses_a_part_number_that_the_upload_has_not(way: Way, number: int) -> None:
    plan = begin(way)

    with pytest.raises(PartNumberError) as caught:
        way.store.put_part(plan, number, io.BytesIO(b""))
    assert caught.value.extra == {"number": number, "part_count": 3}
    with pytest.raises(PartNumberError):
        way.store.part_url(plan, number, expires_s=60)

    with pytest.raises(PartListError) as missing:
        way.store.complete(plan)
    assert missing.value.extra["missing"] == [1, 2, 3]


@pytest.mark.parametrize(("number", "size_bytes"), [(1, PART - 1), (1, PART + 1), (3, 6), (3, 8)])
def test_the_app_refuses_a_part_of_another_size(store: BlobStore, number, size_bytes) -> None:
    way = Way(store, by_link=False)
    plan = begin(way)
    parts = way.send_all(plan, DATA)

    with pytest.raises(SizeMismatchError):
        store.put_part(plan, number, io.BytesIO(noise(size_bytes)))
    store.complete(plan, parts)

    assert read(store, plan.digest) == DATA


FORGED: list[Callable[[str], str]] = [
    lambda _: "",
    lambda _: "..",
    lambda id_: "../" + id_,
    lambda id_: id_ + "/../../sha256",
    lambda id_: id_.upper() + "A",
    lambda id_: id_[1:],
    lambda id_: "f" * 32 + id_[32:],
    lambda id_: id_ + "\n",
]


def test_a_forged_upload_id_reaches_nothing(way: Way) -> None:
    plan = begin(way)
    parts = way.send_all(plan, DATA)

    for forge in FORGED:
        forged = replace(plan, id=forge(plan.id))
        with pytest.raises(OVER):
            way.store.complete(forged, parts)
        with pytest.raises(UploadNotFoundError):
            way.store.put_part(forged, 1, io.BytesIO(part_of(plan, 1, DATA)))
        way.store.abort(forged)
        assert nothing_visible(way)
    way.store.complete(plan, parts)

    assert read(way.store, plan.digest) == DATA


def test_parallel_completions_make_one_blob(way: Way) -> None:
    for data in (DATA, b"small"):
        plan = begin(way, data)
        parts = way.send_all(plan, data)
        together = Barrier(4)

        def complete(_: int, plan=plan, parts=parts, together=together) -> None:
            together.wait(timeout=30)
            way.store.complete(plan, parts)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(complete, range(4)))

        assert read(way.store, plan.digest) == data
    assert len(list(way.store.blobs())) == 2


def test_parallel_uploads_of_one_digest_make_one_blob(way: Way) -> None:
    plans = [begin(way) for _ in range(3)]
    wrong = begin(way)

    def run(plan: UploadPlan) -> None:
        way.store.complete(plan, way.send_all(plan, DATA))

    def lie() -> None:
        parts = way.send_all(wrong, noise(len(DATA), seed=5))
        with pytest.raises(DigestMismatchError):
            way.store.complete(wrong, parts)

    with ThreadPoolExecutor(4) as pool:
        jobs = [*(pool.submit(run, plan) for plan in plans), pool.submit(lie)]
        for job in jobs:
            job.result()

    assert len({plan.id for plan in plans}) == 3
    assert read(way.store, digest_of(DATA)) == DATA
    assert len(list(way.store.blobs())) == 1


def test_sweep_ends_idle_uploads_and_spares_fresh_ones(way: Way) -> None:
    plan = begin(way)
    way.send_all(plan, DATA)

    assert way.store.sweep(older_than_s=3600) == 0
    way.store.complete(plan)
    idle = begin(way, noise(2 * PART, seed=2))
    way.send(idle, 1, noise(PART, seed=2))

    assert way.store.sweep(older_than_s=-60) == 2  # the idle one, the sign of the finished one
    with pytest.raises(UploadNotFoundError):
        way.store.complete(idle)
    assert way.store.sweep(older_than_s=-60) == 0
    assert read(way.store, plan.digest) == DATA


def test_a_huge_file_gets_larger_parts_instead_of_too_many(store: BlobStore) -> None:
    plan = store.start(digest_of(b""), 50 * 1024**3, part_size_bytes=PART)

    assert plan.part_size_bytes == 6 * MIB
    assert plan.part_count == 8534
    assert plan.size_of(8534) == 50 * 1024**3 - 8533 * 6 * MIB
    with pytest.raises(PartListError) as caught:
        store.complete(plan)
    assert caught.value.extra["missing"] == list(range(1, 21))
    store.abort(plan)


def test_refuses_sizes_that_make_no_sense(store: BlobStore) -> None:
    for size_bytes, part_bytes in ((-1, PART), (1, 0), (1, -5), (10_001 * 5 * 1024**3, PART)):
        with pytest.raises(ValueError, match="no parts of"):
            store.start(digest_of(b""), size_bytes, part_size_bytes=part_bytes)

    assert store.sweep(older_than_s=-60) == 0
