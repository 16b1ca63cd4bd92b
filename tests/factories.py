"""Things tests start from, made through the store's own services."""

import base64
import hmac
import struct
import time

from accounts.models import Organization, Role, User
from accounts.services.people import create_organization, create_user, set_member
from accounts.services.two_factor import add_authenticator, enrolment_of, has_two_factor
from accounts.viewer import Viewer
from catalog.models import ModelRepo
from catalog.services.repos import NewRepo, create_repo

PASSWORD = "correct horse battery 9"


def make_user(name: str, *, is_staff: bool = False) -> User:
    """A person called ``name`` with the password ``PASSWORD``."""
    return create_user(
        username=name, email=f"{name}@example.org", password=PASSWORD, is_staff=is_staff
    )


def enrol(user: User) -> tuple[str, list[str]]:
    """Turn two-factor authentication on; return the app's secret and the recovery codes.

    The code of this moment is used by it: ``code_of(secret, 1)`` is the first that opens.
    """
    enrolment = enrolment_of(user)
    codes = add_authenticator(user, sealed=enrolment.sealed, code=code_of(enrolment.secret))
    return enrolment.secret, codes


def proved_viewer(user: User) -> Viewer:
    """``user`` in a browser, having passed two factors: staff without them are people like all."""
    if not has_two_factor(user):
        enrol(user)
    return Viewer(user=user, gave_second_factor=True)


def code_of(secret: str, steps: int = 0) -> str:
    """What an authenticator app shows ``steps`` times 30 seconds from now (RFC 6238)."""
    counter = struct.pack(">Q", int(time.time()) // 30 + steps)
    digest = hmac.new(base64.b32decode(secret), counter, "sha1").digest()
    at = digest[-1] & 15
    number = int.from_bytes(digest[at : at + 4], "big") & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"


def make_org(name: str, **members: str) -> Organization:
    """An organization; ``make_org("acme", alice="admin", bob="read")``."""
    organization = create_organization(name=name, creator=None)
    for member, role in members.items():
        user = User.objects.get(username=member)
        set_member(organization, user, Role(role), actor=None)
    return organization


def make_repo(
    owner: User,
    name: str = "tiny",
    *,
    files: dict[str, bytes] | None = None,
    is_private: bool = False,
    namespace: str | None = None,
) -> ModelRepo:
    """A repository of ``owner`` whose initial commit has ``files``."""
    new = NewRepo(name=name, namespace=namespace, is_private=is_private, files=files)
    return create_repo(Viewer(user=owner), new)


def add_files(
    owner: User, repo: ModelRepo, files: dict[str, bytes], *, revision: str = "main"
) -> str:
    """Commit ``files`` through the publishing door, large ones as LFS; return the commit id."""
    import tempfile
    from pathlib import Path

    from catalog.services.folders import LocalFile, publish_files

    with tempfile.TemporaryDirectory() as folder:
        local = []
        for number, (path, content) in enumerate(files.items()):
            source = Path(folder) / str(number)
            source.write_bytes(content)
            local.append(LocalFile(source, path))
        published = publish_files(
            Viewer(user=owner), repo, local, title="add files", revision=revision
        )
    return published.commit.oid


def safetensors(*, seed: int = 0, size: int = 64) -> bytes:
    """A small valid safetensors file."""
    import numpy as np
    from safetensors.numpy import save

    rng = np.random.default_rng(seed)
    return save({"weight": rng.random((size, size), dtype=np.float32)})
