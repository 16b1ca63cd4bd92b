"""``manage.py import_model``: copy a repository from another hub."""

import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError

from accounts.models import User
from accounts.viewer import Viewer
from catalog.access import RepoMovedError, RepoNotFoundError, repo_for
from catalog.models import ModelRepo
from catalog.services.folders import files_of, publish_files
from catalog.services.repos import NewRepo, create_repo
from store.core.errors import StoreError


class Command(BaseCommand):
    """Fetches one revision with the hub's own client and publishes it here as one commit."""

    help = (
        "Copy one revision of a model from any hub by id. Run again, it brings the copy up to date:"
        " what the source has deleted goes here too."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", help="namespace/name at the source")
        parser.add_argument("--endpoint", default="https://huggingface.co")
        parser.add_argument("--revision", default="main")
        parser.add_argument("--token", default=None, help="for private models of the source")
        parser.add_argument("--as", dest="user", help="who publishes it; default: first staff")
        parser.add_argument("--to", help="namespace/name here; default: the publisher's, same name")
        parser.add_argument("--private", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        if urlsplit(options["endpoint"]).scheme not in {"http", "https"}:
            raise CommandError("--endpoint is the http or https address of a hub.")
        user = self._publisher(options["user"])
        viewer = Viewer(user=user)
        name = options["id"].rpartition("/")[2]
        namespace, _, target = (options["to"] or f"{user.username}/{name}").rpartition("/")
        try:
            with tempfile.TemporaryDirectory(prefix="import-", dir=_spool()) as folder:
                sha = self._fetch(options, folder)
                repo = self._repo(viewer, namespace, target, is_private=options["private"])
                published = publish_files(
                    viewer,
                    repo,
                    files_of(Path(folder)),
                    title=f"Import {options['id']}",
                    message=f"From {options['endpoint']} at {sha}.",
                    is_mirror=True,
                )
        except StoreError as error:
            raise CommandError(error.message) from error
        except RepositoryNotFoundError as error:
            raise CommandError(f"{options['endpoint']} has no model {options['id']}.") from error
        except (HfHubHTTPError, HFValidationError, httpx2.HTTPError, OSError) as error:
            raise CommandError(
                f"Fetching from {options['endpoint']} failed: {error} Nothing was published."
            ) from error
        self.stdout.write(f"{repo.full_name} is at {published.commit.oid}.")

    def _fetch(self, options: dict[str, Any], folder: str) -> str:
        """Download the revision into ``folder`` and return its commit id."""
        common = {"revision": options["revision"], "token": options["token"] or False}
        info = HfApi(endpoint=options["endpoint"]).model_info(options["id"], **common)
        snapshot_download(
            options["id"],
            endpoint=options["endpoint"],
            local_dir=folder,
            revision=info.sha,
            token=options["token"] or False,
        )
        return str(info.sha)

    def _publisher(self, name: str | None) -> User:
        people = User.objects.filter(is_active=True)
        found = people.filter(username__iexact=name) if name else people.filter(is_staff=True)
        user = found.order_by("pk").first()
        if user is None:
            raise CommandError("Say who publishes it: --as NAME (see adduser).")
        return user

    def _repo(self, viewer: Viewer, namespace: str, name: str, *, is_private: bool) -> ModelRepo:
        try:
            return repo_for(viewer, namespace, name, to="write")
        except RepoMovedError as moved:
            return moved.repo
        except RepoNotFoundError:
            return create_repo(viewer, NewRepo(name, namespace, is_private))


def _spool() -> Path:
    """Return the folder for files that are on their way, on the disk they will stay on."""
    folder: Path = settings.SPOOL_DIR
    folder.mkdir(parents=True, exist_ok=True)
    return folder
