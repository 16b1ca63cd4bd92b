"""The ways in which the parts of an upload reach a storage."""

import io
from dataclasses import dataclass

from store.storage import BlobStore, UploadPlan
from tests.store.storage.lab import MIB, digest_of, noise, send

PART = 5 * MIB
"""The least that S3 takes, but for the last part."""
DATA = noise(2 * PART + 7)


@dataclass
class Way:
    """A storage, and one of the ways in which parts reach it."""

    store: BlobStore
    by_link: bool

    def send(self, plan: UploadPlan, number: int, data: bytes) -> str:
        url = self.store.part_url(plan, number, expires_s=300) if self.by_link else None
        if url is None:
            return self.store.put_part(plan, number, io.BytesIO(data))
        status, headers, _ = send("PUT", url, data)
        assert status == 200
        return headers["etag"]  # with its quotes, as a client lists it

    def send_all(self, plan: UploadPlan, data: bytes) -> list[tuple[int, str]]:
        return [(n, self.send(plan, n, part_of(plan, n, data))) for n in numbers(plan)]


def numbers(plan: UploadPlan) -> range:
    return range(1, plan.part_count + 1)


def part_of(plan: UploadPlan, number: int, data: bytes) -> bytes:
    start = (number - 1) * plan.part_size_bytes
    return data[start : start + plan.part_size_bytes]


def begin(way: Way, data: bytes = DATA, part: int = PART) -> UploadPlan:
    return way.store.start(digest_of(data), len(data), part_size_bytes=part)


def nothing_visible(way: Way) -> bool:
    return list(way.store.blobs()) == []
