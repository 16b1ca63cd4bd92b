"""``manage.py adduser``: create or update a person."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.models import Scope, User
from accounts.services.people import check_password, create_user
from accounts.services.tokens import create_token
from store.core.errors import StoreError


class Command(BaseCommand):
    """Creates the person, or updates the one of that name."""

    help = "Create or update a user; with --token print just a new token."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--email", required=True)
        parser.add_argument("--password", required=True)
        parser.add_argument("--full-name", default="")
        parser.add_argument("--staff", action="store_true")
        parser.add_argument("--token", metavar="SCOPE", choices=[str(scope) for scope in Scope])

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        try:
            user = self._upsert(options)
            if options["token"]:
                scope = Scope(options["token"])
                _, text = create_token(user, name=f"{scope.value} (adduser)", scopes=[scope])
                self.stdout.write(text)
                return
        except StoreError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"User {user.username} is ready.")

    def _upsert(self, options: dict[str, Any]) -> User:
        user = User.objects.filter(username__iexact=options["name"]).first()
        if user is None:
            return create_user(
                username=options["name"],
                email=options["email"],
                password=options["password"],
                full_name=options["full_name"],
                is_staff=options["staff"],
            )
        user.email = options["email"]
        user.full_name = options["full_name"] or user.full_name
        user.is_staff = user.is_superuser = options["staff"] or user.is_staff
        if not user.check_password(options["password"]):
            check_password(options["password"], user)
            user.set_password(options["password"])
        user.save()
        return user
