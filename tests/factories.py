"""Things tests start from, made through the store's own services."""

from accounts.models import Organization, Role, User
from accounts.services.people import create_organization, create_user, set_member
from accounts.viewer import Viewer
from catalog.models import ModelRepo
from catalog.services.repos import NewRepo, create_repo

PASSWORD = "correct horse battery 9"


def make_user(name: str, *, is_staff: bool = False) -> User:
    """A person called ``name`` with the password ``PASSWORD``."""
    return create_user(
        username=name, email=f"{name}@example.org", password=PASSWORD, is_staff=is_staff
    )


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
