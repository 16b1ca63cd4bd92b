"""``manage.py addorg``: create or update an organization."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.models import Organization, Role, User
from accounts.services.people import create_organization, set_member
from store.core.errors import StoreError


class Command(BaseCommand):
    """Creates the organization, or updates the one of that name, and sets members' roles."""

    help = "Create or update an organization: addorg NAME --member USER:ROLE …"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--full-name", default="")
        parser.add_argument("--private-by-default", action="store_true")
        parser.add_argument("--member", action="append", default=[], metavar="USER:ROLE")

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        members = [self._member(text) for text in options["member"]]
        try:
            organization = self._upsert(options)
            # admins first, so that a change of admins never passes through a state without one
            for user, role in sorted(members, key=lambda member: member[1] != Role.ADMIN):
                set_member(organization, user, role, actor=None)
        except StoreError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"Organization {organization.name} is ready.")

    def _member(self, text: str) -> tuple[User, Role]:
        name, _, role = text.partition(":")
        if role not in Role.values:
            raise CommandError(f"--member {text}: write USER:ROLE with a role of {Role.values}.")
        user = User.objects.filter(username__iexact=name).first()
        if user is None:
            raise CommandError(f"--member {text}: there is no user {name}.")
        return user, Role(role)

    def _upsert(self, options: dict[str, Any]) -> Organization:
        organization = Organization.objects.filter(name__iexact=options["name"]).first()
        if organization is None:
            return create_organization(
                name=options["name"],
                creator=None,
                full_name=options["full_name"],
                is_private_by_default=options["private_by_default"],
            )
        organization.full_name = options["full_name"] or organization.full_name
        organization.is_private_by_default = options["private_by_default"]
        organization.save()
        return organization
