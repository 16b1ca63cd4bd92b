"""``manage.py load_demo``: the demo catalogue, on first start."""

import json
import secrets
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import transaction

from accounts.models import Organization, Role, User
from accounts.services.people import create_organization, create_user, set_member
from accounts.viewer import Viewer
from catalog.models import ModelRepo
from catalog.services.folders import LocalFile, files_of, publish_files
from catalog.services.repos import NewRepo, create_repo
from licensing.gateways.sandbox import Sandbox
from licensing.models import Offer
from licensing.services.offers import NewPrice, OfferDraft, make_offer

PEOPLE = (("ada", "Ada Publisher", False), ("ben", "Ben Visitor", False), ("root-admin", "", True))


class Command(BaseCommand):
    """Makes the demo people, and publishes and offers what ``demo/catalogue.json`` has, once."""

    help = "Load the demo catalogue; does nothing in a store that has people already."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--force", action="store_true", help="add what is missing anyway")

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        folder = Path(settings.BASE_DIR) / "demo"
        if not (folder / "catalogue.json").exists():
            self.stdout.write("This installation has no demo catalogue.")
            return
        if User.objects.exists() and not options["force"]:
            self.stdout.write("The store has people already; nothing was loaded.")
            return
        people: list[dict[str, str]] = []
        for name, full_name, is_staff in PEOPLE:
            if not User.objects.filter(username__iexact=name).exists():
                # One for each store: what every copy of the source shows, strangers would try.
                password = _password()
                create_user(
                    username=name,
                    email=f"{name}@example.org",
                    password=password,
                    full_name=full_name,
                    is_staff=is_staff,
                )
                role = "staff" if is_staff else full_name
                people.append({"name": name, "password": password, "role": role})
        viewer = Viewer(user=User.objects.get(username="ada"))
        for item in json.loads((folder / "catalogue.json").read_text())["models"]:
            self._load(viewer, item, folder)
        if people:
            self._note(people)

    def _note(self, people: list[dict[str, str]]) -> None:
        """Keep the log-ins where the start banner looks for them, readable by the owner only."""
        note = settings.DATA_DIR / "demo-logins.json"
        note.touch(mode=0o600)
        noted = json.loads(note.read_text() or "[]")
        note.write_text(json.dumps([*noted, *people], indent=2))

    def _load(self, viewer: Viewer, item: dict[str, Any], folder: Path) -> None:
        owner, name = item["owner"], item["name"]
        if ModelRepo.objects.all().named(owner, name).exists():
            return
        if not Organization.objects.filter(name__iexact=owner).exists():
            organization = create_organization(
                name=owner, creator=None, full_name=item.get("owner_full_name", "")
            )
            set_member(organization, viewer.signed_in(), Role.ADMIN, actor=None)
            viewer = Viewer(user=viewer.user)  # roles are read once
        repo = create_repo(viewer, NewRepo(name, owner, is_private=False))
        publish_files(viewer, repo, _files(item, folder), title=f"Publish {name}")
        self.stdout.write(f"{repo.full_name} is published.")
        if Sandbox.name not in settings.ENV.gateways:
            return  # nobody shall pay real money for a specimen
        for offer in item.get("offers", []):
            make_offer(viewer, [repo], _draft(offer))


def _password() -> str:
    """Return 64 random bits to type: of hexadecimal digits, and so like nobody's name here."""
    return "-".join(secrets.token_hex(2) for _ in range(4))


def _files(item: dict[str, Any], folder: Path) -> list[LocalFile]:
    """Return the files of a model, its card replaced where the catalogue names another."""
    found = files_of(folder / item["folder"])
    if "card" not in item:
        return found
    card = LocalFile(folder / item["card"], "README.md")
    return [card, *(file for file in found if file.path != card.path)]


def _draft(offer: dict[str, Any]) -> OfferDraft:
    prices = tuple(NewPrice(**price) for price in offer.get("prices", []))
    return OfferDraft(**offer | {"kind": Offer.Kind(offer["kind"]), "prices": prices})
