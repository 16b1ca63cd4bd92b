"""A Xet client by hand: it says exactly what a test wants, right or wrong."""

import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import lz4.frame
from django.conf import settings
from django.test import Client

from accounts.models import Namespace, User
from catalog.content.quotas import usage_of
from catalog.content.stores import storage
from catalog.content.xet.hashes import file_hash, merkle_root, to_hex
from catalog.content.xet.packing import HEADER_BYTES, read_header
from catalog.content.xet.xorbs import XorbReader
from catalog.models import (
    DedupChunk,
    LfsObject,
    RepoLfsObject,
    Upload,
    XetClaim,
    XetFile,
    XetFileXorb,
    Xorb,
)
from store.wsgi import decode_path
from tests.catalog.content.xet.making import (
    chunked,
    entries,
    file_block,
    noise,
    record,
    shard,
    table_of,
    unpack,
    xorb,
    xorb_block,
)

REPO = "alice/tiny"
JSON = "application/json"
OCTETS = "application/octet-stream"
ROWS = (DedupChunk, LfsObject, RepoLfsObject, Upload, XetClaim, XetFile, XetFileXorb, Xorb)


@dataclass(frozen=True)
class Made:
    """One content as a client has it: cut, and packed in one xorb."""

    content: bytes = field(repr=False)

    @cached_property
    def chunks(self) -> list[bytes]:
        return chunked(self.content)

    @cached_property
    def xorb(self) -> bytes:
        return xorb(self.chunks)

    @property
    def name(self) -> str:
        """The xorb's."""
        return to_hex(self.raw_name)

    @cached_property
    def raw_name(self) -> bytes:
        return merkle_root(entries(self.chunks))

    @property
    def file(self) -> str:
        """The file's Xet hash."""
        return to_hex(file_hash(entries(self.chunks)))

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def whole(self) -> list[tuple[bytes, int, int]]:
        """The one term that is all of it."""
        return [(self.raw_name, 0, len(self.chunks))]

    def shard(self, *, announced: bytes | None = None) -> bytes:
        """Return the shard for it; ``announced`` has the sha256 the client lies about."""
        said = self.content if announced is None else announced
        return shard([file_block(self.chunks, self.whole, said)], [xorb_block(self.chunks)])


def made(size_bytes: int = 300_000, seed: int = 1) -> Made:
    return Made(noise(size_bytes, seed))


class XetClient:
    """Somebody's client, for one repository.

    Args:
        client: Django's.
        headers: Of the hub; empty for a visitor.
        repo: Whose tokens it asks for.
    """

    def __init__(self, client: Client, headers: dict[str, str], repo: str = REPO) -> None:
        self.client, self.headers, self.repo = client, headers, repo
        self.base = "/xet"

    def ask_token(self, scope: str, rev: str = "main", query: str = "", **more: str) -> Any:
        url = f"/api/models/{self.repo}/xet-{scope}-token/{rev}"
        return self.client.get(  # %2F reaches routing as from gunicorn
            f"/{query}",
            headers=self.headers | more,
            PATH_INFO=decode_path(url),
            RAW_URI=url + query,
        )

    def token(self, scope: str) -> dict[str, str]:
        text = self.ask_token(scope).json()["accessToken"]
        return {"Authorization": f"Bearer {text}"}

    @cached_property
    def write(self) -> dict[str, str]:
        return self.token("write")

    @cached_property
    def read(self) -> dict[str, str]:
        return self.token("read")

    def post(self, path: str, data: bytes = b"", **more: Any) -> Any:
        headers = more.pop("headers") if "headers" in more else self.write
        more.setdefault("CONTENT_LENGTH", str(len(data)))  # Django leaves out that of nothing
        return self.client.generic("POST", self.base + path, data, OCTETS, headers=headers, **more)

    def get(self, path: str, *, headers: dict[str, str] | None = None, **more: str) -> Any:
        return self.client.get(
            self.base + path, headers=(self.read if headers is None else headers) | more
        )

    def send_xorb(self, content: Made, data: bytes | None = None, **more: Any) -> Any:
        body = content.xorb if data is None else data
        return self.post(f"/v1/xorbs/default/{content.name}", body, **more)

    def send_shard(self, data: bytes, **more: Any) -> Any:
        return self.post("/v1/shards", data, **more)

    def upload(self, *contents: Made) -> None:
        """Send everything of ``contents`` as clients do."""
        for content in contents:
            assert self.send_xorb(content).status_code == 200
            answer = self.send_shard(content.shard())
            assert answer.status_code == 200, answer.content

    def commit(self, files: dict[str, Made], *, rev: str = "main", **changes: Any) -> Any:
        """Commit ``files`` by their sha256; ``changes`` go into each line."""
        lines: list[dict[str, Any]] = [{"key": "header", "value": {"summary": "change"}}]
        lines += [
            {
                "key": "lfsFile",
                "value": {
                    "path": path,
                    "algo": "sha256",
                    "oid": content.sha256,
                    "size": len(content.content),
                }
                | changes,
            }
            for path, content in files.items()
        ]
        return self.client.post(
            f"/api/models/{self.repo}/commit/{rev}",
            "\n".join(map(json.dumps, lines)).encode(),
            content_type="application/x-ndjson",
            headers=self.headers,
        )

    def publish(self, files: dict[str, Made]) -> None:
        """Upload and commit."""
        self.upload(*files.values())
        answer = self.commit(files)
        assert answer.status_code == 200, answer.content

    def batch(self, content: Made, transfers: Sequence[str] = ("basic",), **more: Any) -> Any:
        body = {
            "operation": "upload",
            "transfers": list(transfers),
            "objects": [{"oid": content.sha256, "size": len(content.content)}],
        } | more
        return self.client.post(
            f"/{self.repo}.git/info/lfs/objects/batch",
            body,
            content_type=JSON,
            headers=self.headers,
        )

    def resolve(self, path: str, method: str = "GET", **headers: str) -> Any:
        return self.client.generic(
            method, f"/{self.repo}/resolve/main/{path}", headers=self.headers | headers
        )

    def fetch(self, answer: dict[str, Any]) -> bytes:
        """Return what a reconstruction (version 2) describes, as a client would put it together."""
        raw: dict[tuple[str, int], bytes] = {}
        for name, blocks in answer["xorbs"].items():
            for block in blocks:
                (span,) = block["ranges"]
                asked = f"bytes={span['bytes']['start']}-{span['bytes']['end']}"
                got = self.client.get(path_of(block["url"]), headers={"Range": asked})
                assert got.status_code == 206
                found = range(span["chunks"]["start"], span["chunks"]["end"])
                for place, chunk in zip(found, records(body_of(got)), strict=True):
                    raw[name, place] = chunk
        parts = []
        for term in answer["terms"]:
            places = range(term["range"]["start"], term["range"]["end"])
            part = b"".join(raw[term["hash"], place] for place in places)
            assert len(part) == term["unpacked_length"]
            parts.append(part)
        return b"".join(parts)[answer["offset_into_first_range"] :]


def records(data: bytes) -> Iterable[bytes]:
    """Yield the raw chunks of a run of records."""
    while data:
        packed, scheme, size = read_header(data[:HEADER_BYTES])
        yield unpack(scheme, data[HEADER_BYTES : HEADER_BYTES + packed], size)
        data = data[HEADER_BYTES + packed :]


def path_of(url: str) -> str:
    """Return a link of this store without its origin."""
    parts = urlsplit(url)
    assert parts.netloc == "testserver"
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def body_of(answer: Any) -> bytes:
    return b"".join(answer) if answer.streaming else answer.content


def stored() -> dict[str, Any]:
    """Return everything an upload could leave: rows, and files below the blob folder."""
    rows = {model.__name__: model.objects.count() for model in ROWS}
    folder = settings.BLOB_DIR
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return rows | {"blobs": files}


def leave_room(owner: User, room_bytes: int) -> None:
    """Give ``owner`` so much more room than they use now."""
    namespace = Namespace.objects.get(user=owner)
    namespace.storage_quota_bytes = usage_of(namespace).used_bytes + room_bytes
    namespace.save()


def repack(content: Made) -> None:
    """Do as another process does that stores the same xorb packed in another way."""
    framed = [(lz4.frame.compress(chunk), len(chunk)) for chunk in content.chunks]
    data = b"".join(record(frame, scheme=1, raw=size) for frame, size in framed)
    digest, size_bytes = storage().put_unnamed(XorbReader(io.BytesIO(data), None))
    row = Xorb.objects.get(hash=content.raw_name)
    column = next(name for name in ("blob", "sha256") if hasattr(row, name))
    storage().delete(getattr(row, column))
    table = table_of(data).to_bytes()
    Xorb.objects.filter(pk=row.pk).update(
        **{column: digest, "stored_bytes": size_bytes, "table": table}
    )
