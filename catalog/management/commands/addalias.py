"""``manage.py addalias``: a single-segment id for a repository."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import Namespace
from accounts.names import InvalidNameError, check_namespace_name
from catalog.models import ModelRepo, RepoAlias


class Command(BaseCommand):
    """Makes ``gpt2`` lead to ``openai/gpt2``."""

    help = "Give a repository a single-segment id: addalias gpt2 NS/NAME"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("alias")
        parser.add_argument("id", metavar="NS/NAME")

    def handle(self, *args: Any, **options: Any) -> None:
        alias, (namespace, _, name) = options["alias"], options["id"].partition("/")
        try:
            check_namespace_name(alias)
        except InvalidNameError as error:
            raise CommandError(error.message) from error
        if Namespace.objects.filter(name__iexact=alias).exists():
            raise CommandError(f"{alias} is the name of a person or an organization.")
        repo = ModelRepo.objects.all().named(namespace, name).first()
        if repo is None:
            raise CommandError(f"There is no model {options['id']}.")
        RepoAlias.objects.filter(name__iexact=alias).delete()
        RepoAlias.objects.create(name=alias, repo=repo)
        self.stdout.write(f"{alias} leads to {options['id']}.")
