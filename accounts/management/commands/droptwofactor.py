"""``manage.py droptwofactor``: let somebody in who lost every second factor."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.services.people import find_person
from accounts.services.two_factor import disable
from store.core.errors import StoreError


class Command(BaseCommand):
    """Turns two-factor authentication of one person off; they get a letter about it."""

    help = "Turn off two-factor authentication of a person. Make sure first who asks for it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="user name or e-mail address")

    def handle(self, *args: Any, **options: Any) -> None:
        person = find_person(options["name"])
        if person is None:
            raise CommandError(f"There is nobody called {options['name']} here.")
        try:
            disable(person)
        except StoreError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{person.username} signs in with the password alone now.")
