"""``manage.py reindex``: derive listings anew from their repositories."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.db.models import QuerySet

from catalog.formats.sources import FULL
from catalog.history.refs import DEFAULT_BRANCH, HEADS
from catalog.history.trees import list_entries
from catalog.models import Commit, ModelRepo, Ref
from catalog.services.listings import rebuild_listing
from catalog.services.scanning import judge_paths


class Command(BaseCommand):
    """Cards, facts and search of each repository, from what its main branch holds."""

    help = (
        "Read cards and facts anew, after an upgrade or a repair. With --rescan, files are judged"
        " again that an older scanner judged. Safe beside a running store; repeats nothing twice."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("ids", metavar="NS/NAME", nargs="*", help="which; default: all")
        parser.add_argument("--rescan", action="store_true", help="judge the files again too")

    def handle(self, *_args: Any, **options: Any) -> None:
        repos = _chosen(options["ids"])
        for repo_id in list(repos.values_list("pk", flat=True)):
            if full_name := _reindex(repo_id, rescan=options["rescan"]):
                self.stdout.write(full_name)


def _chosen(ids: list[str]) -> QuerySet[ModelRepo]:
    """Return the repositories asked for: all of them or an error."""
    repos = ModelRepo.objects.filter(refs__name=HEADS + DEFAULT_BRANCH)
    if not ids:
        return repos.order_by("pk")
    found = [repos.named(*name.split("/", 1)).first() if "/" in name else None for name in ids]
    if missing := [name for name, repo in zip(ids, found, strict=True) if repo is None]:
        raise CommandError(f"There is no model {', '.join(missing)}. Nothing was done.")
    return repos.filter(pk__in=[repo.pk for repo in found if repo is not None])


def _reindex(repo_id: int, *, rescan: bool) -> str | None:
    """Do one repository; ``None``: it was deleted meanwhile."""
    repo = ModelRepo.objects.select_related("namespace").filter(pk=repo_id).first()
    if repo is None:
        return None
    if rescan:
        head = Ref.objects.get(repo=repo, name=HEADS + DEFAULT_BRANCH)
        entries = list_entries(repo, head.commit_oid, recursive=True)
        judge_paths(repo, head.commit_oid, (entry.path for entry in entries), budget=FULL)
    with transaction.atomic():
        head = Ref.objects.select_for_update().get(repo=repo, name=HEADS + DEFAULT_BRANCH)
        rebuild_listing(repo, Commit.objects.get(repo=repo, oid=head.commit_oid))
    return repo.full_name
