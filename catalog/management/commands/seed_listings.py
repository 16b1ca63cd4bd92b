"""Fills the catalogue with invented models, for measuring search and looking at full pages."""

from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from django.db.models import Model
from django.utils import timezone

from accounts.models import Namespace, User
from catalog.history.commits import add_commit
from catalog.history.objects import ObjectStore
from catalog.history.refs import DEFAULT_BRANCH, HEADS
from catalog.history.worktree import WorkTree
from catalog.management.seeding import Invented, Inventor
from catalog.models import Listing, ListingPrice, ListingText, ModelCard, ModelRepo, Ref
from catalog.search.documents import refresh_search
from catalog.search.trends import refresh_trends

SEEDER = "catalogue-seeder"
"""Made every invented repository; that is how they are told from other people's."""
DOMAIN = "seeded.invalid"
BATCH = 2000
NO_PASSWORD = "!"  # noqa: S105 - what Django writes for "cannot sign in"

T = TypeVar("T")


class Command(BaseCommand):
    help = (
        "Make invented listings with the proportions of a real catalogue. The first ones by"
        " trending score get a real initial commit and can be opened to their files; the others"
        " have a card and facts but no history."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--count", type=int, default=100_000, help="how many")
        parser.add_argument("--seed", type=int, default=1, help="another seed, other models")
        parser.add_argument(
            "--commits", type=int, default=200, help="how many get a real initial commit"
        )
        parser.add_argument("--wipe", action="store_true", help="first delete earlier ones")
        parser.add_argument(
            "--force", action="store_true", help="even beside other people's repositories"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        seeder = User.objects.filter(username=SEEDER).first()
        seeded = ModelRepo.objects.filter(created_by__username=SEEDER)
        others = ModelRepo.objects.exclude(created_by__username=SEEDER)
        if others.exists() and not options["force"]:
            raise CommandError(
                "Other people's repositories are here. Invented ones would stand between them:"
                " use another STORE_DATA_DIR, or --force. Nothing was made."
            )
        if options["wipe"]:
            wipe()
        elif seeded.exists():
            raise CommandError("The catalogue is seeded already. Use --wipe to make it anew.")
        if options["count"] < 1:
            return
        with transaction.atomic(), _without_word_indexes():
            seeder = seeder or _person(SEEDER)
            self._fill(seeder, count=options["count"], seed=options["seed"])
            _tidy("ANALYZE")
            refresh_trends()
            _begin_histories(seeder, most=options["commits"])
        if not connection.in_atomic_block:  # a test's transaction; VACUUM would refuse
            _tidy("VACUUM (ANALYZE)")
        self.stdout.write(f"{seeded.count()} invented listings.")

    def _fill(self, seeder: User, *, count: int, seed: int) -> None:
        inventor = Inventor(count=count, seed=seed, now=timezone.now())
        namespaces = _namespaces(inventor.publishers)
        for number, models in enumerate(_batches(inventor.models()), start=1):
            _store(models, namespaces, seeder)
            if number.bit_count() == 1:  # the planner must know that the tables grow
                _tidy("ANALYZE")
            if number % 10 == 0:
                self.stdout.write(f"{number * BATCH} listings")


def wipe() -> None:
    """Delete every invented repository, and the publishers that have no other."""
    ids = ModelRepo.objects.filter(created_by__username=SEEDER).values_list("pk", flat=True)
    for batch in _batches(list(ids)):
        ModelRepo.objects.filter(pk__in=batch).delete()
    publishers = User.objects.filter(email__endswith=f"@{DOMAIN}").exclude(username=SEEDER)
    Namespace.objects.filter(user__in=publishers, repos=None).delete()
    publishers.filter(namespace=None).delete()


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    source = iter(items)
    while batch := list(islice(source, BATCH)):
        yield batch


def _person(name: str) -> User:
    return User.objects.create(
        username=name,
        email=f"{name}@{DOMAIN}",
        password=NO_PASSWORD,
        is_active=False,
    )


def _namespaces(publishers: list[str]) -> dict[str, int]:
    """Make the publishers, people whom nobody can sign in as; return their namespaces' ids."""
    people = User.objects.bulk_create(
        [
            User(username=name, email=f"{name}@{DOMAIN}", password=NO_PASSWORD, is_active=False)
            for name in publishers
        ],
        batch_size=BATCH,
    )
    made = Namespace.objects.bulk_create(
        [Namespace(name=person.username, user=person) for person in people], batch_size=BATCH
    )
    return {namespace.name: namespace.pk for namespace in made}


def _store(models: list[Invented], namespaces: dict[str, int], seeder: User) -> None:
    repos = ModelRepo.objects.bulk_create(
        ModelRepo(
            namespace_id=namespaces[model.publisher],
            name=model.name,
            is_private=model.is_private,
            created_by=seeder,
            created_at=model.listing.created_at,
            updated_at=model.listing.updated_at,
        )
        for model in models
    )
    for repo, model in zip(repos, models, strict=True):
        model.listing.repo = model.card.repo = repo
    _copy(Listing, [model.listing for model in models])
    _copy(ModelCard, [model.card for model in models])
    ListingPrice.objects.bulk_create(
        ListingPrice(listing=model.listing, currency=currency, amount_minor=amount)
        for model in models
        for currency, amount in model.prices.items()
    )
    refresh_search(repo.pk for repo in repos)


def _copy(table: type[Model], rows: Sequence[Model]) -> None:
    """Insert rows by COPY, several times as fast as ``bulk_create``."""
    fields = [field for field in table._meta.concrete_fields if not field.generated]  # noqa: SLF001
    columns = ", ".join(str(field.column) for field in fields)
    with connection.cursor() as cursor:
        name = table._meta.db_table  # noqa: SLF001
        with cursor.copy(f"COPY {name} ({columns}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(
                    [
                        field.get_db_prep_save(getattr(row, field.attname), connection)
                        for field in fields
                    ]
                )


@contextmanager
def _without_word_indexes() -> Iterator[None]:
    """Build the text indexes at the end: quicker than entry by entry. In the transaction."""
    with connection.schema_editor() as editor:
        for index in ListingText._meta.indexes:  # noqa: SLF001
            editor.remove_index(ListingText, index)
    yield
    connection.check_constraints()  # deferred ones would forbid the new indexes
    with connection.schema_editor() as editor:
        for index in ListingText._meta.indexes:  # noqa: SLF001
            editor.add_index(ListingText, index)


def _begin_histories(seeder: User, *, most: int) -> None:
    """Give the listings people will open first a real initial commit with their card."""
    first = Listing.objects.filter(repo__created_by=seeder).order_by("-trending")[:most]
    for listing in first.select_related("repo__card", "repo__namespace"):
        repo = listing.repo
        store = ObjectStore(repo.pk)
        tree = WorkTree(store)
        tree.put("README.md", store.add_blob(repo.card.body.encode()))
        tree_oid, author = tree.write(), repo.namespace.name
        written = add_commit(
            store, repo, tree_oid=tree_oid, parent=None, title="initial commit", author=author
        )
        oid = written.commit.oid
        Ref.objects.create(repo=repo, name=HEADS + DEFAULT_BRANCH, oid=oid, commit_oid=oid)
        Listing.objects.filter(repo=repo).update(head_oid=oid)


def _tidy(command: str) -> None:
    """Do now what the database does by itself later: statistics, visibility maps."""
    with connection.cursor() as cursor:
        for model in (User, Namespace, ModelRepo, Listing, ListingPrice, ListingText, ModelCard):
            cursor.execute(f"{command} {model._meta.db_table}")  # noqa: SLF001
