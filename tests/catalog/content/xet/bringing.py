"""Content on its way through the whole Xet upload, without a client in between."""

import hashlib
import io
from collections.abc import Sequence

from accounts.models import User
from catalog.content.proving import prove
from catalog.content.quotas import charged_for
from catalog.content.registering import Registration
from catalog.content.xet.hashes import to_hex
from catalog.content.xorbs import receive_xorb
from catalog.models import ModelRepo
from tests.catalog.content.xet import making


def send(repo: ModelRepo, user: User, chunks: Sequence[bytes]) -> bytes:
    """Upload a xorb of these chunks; return its hash."""
    body = making.xorb(chunks)
    name = making.table_of(body).hash
    receive_xorb(to_hex(name), io.BytesIO(body), charged_to=charged_for(repo, user))
    return name


def register(repo: ModelRepo, user: User, *files: bytes, xorbs: Sequence[bytes] = ()) -> bool:
    """Upload a shard of these file blocks."""
    registration = Registration(repo, user, prove(making.shard(files, xorbs)))
    registration.check_room()
    for _ in registration.verify():
        pass
    return registration.write()


def bring(repo: ModelRepo, user: User, content: bytes) -> str:
    """Upload a file as one xorb and a shard; return its sha256."""
    chunks = making.chunked(content)
    name = send(repo, user, chunks)
    block = making.file_block(chunks, [(name, 0, len(chunks))], content)
    register(repo, user, block, xorbs=[making.xorb_block(chunks)])
    return hashlib.sha256(content).hexdigest()
