"""``manage.py evaluate``: have the store measure a model."""

import json
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from catalog.history.refs import DEFAULT_BRANCH, resolve
from catalog.models import ModelRepo
from inference.models import EvaluationRun
from inference.services import evaluation_queue, evaluations, store_runs, suites
from inference.services.evaluation_progress import progress_of
from store.core.errors import StoreError

_LOOK_S = 0.5


class Command(BaseCommand):
    """Asks for evaluations in the store's own name; workers do them."""

    help = "Measure a model with one suite or with all that are built in."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("model", nargs="?", help="namespace/name")
        parser.add_argument("--suite", action="append", help="key; may be repeated; default: all")
        parser.add_argument("--revision", default=DEFAULT_BRANCH)
        parser.add_argument("--wait", action="store_true", help="until they have ended")
        parser.add_argument("--demo", action="store_true", help="all models of the demo catalogue")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["demo"]:
            runs = self._demo(options["suite"] or store_runs.demo_suites())
        elif options["model"]:
            keys = options["suite"] or [suite.key for suite in suites.sync()]
            runs = self._asked(options["model"], options["revision"], keys)
        else:
            raise CommandError("Name a model as namespace/name, or give --demo.")
        for run in runs:
            self.stdout.write(f"{run.public_id} {run.repo.full_name} {run.suite} ({run.state})")
        if options["wait"]:
            self._wait(runs)

    def _asked(self, model: str, revision: str, keys: list[str]) -> list[EvaluationRun]:
        namespace, _, name = model.partition("/")
        rows = ModelRepo.objects.select_related("namespace")
        repo = rows.named(namespace, name).first()
        if repo is None:
            raise CommandError(f"There is no model {model}.")
        try:
            commit_oid = resolve(repo, revision).commit_oid
            return [evaluations.ask_for_store(repo, commit_oid, _suite(key)) for key in keys]
        except StoreError as error:
            raise CommandError(error.message) from error

    def _demo(self, keys: list[str]) -> list[EvaluationRun]:
        """Ask for what can run of the demo catalogue, where the store measures by itself at all.

        Suite by suite: each model has its first scores soon, and what a suite needs is ready.
        """
        catalogue = Path(settings.BASE_DIR) / "demo" / "catalogue.json"
        if not catalogue.exists() or not store_runs.site_suites():
            return []
        names = [
            (item["owner"], item["name"]) for item in json.loads(catalogue.read_text())["models"]
        ]
        rows = ModelRepo.objects.select_related("namespace")
        repos = [repo for owner, name in names if (repo := rows.named(owner, name).first())]
        return [
            run for key in keys for repo in repos for run in store_runs.evaluate_all(repo, [key])
        ]

    def _wait(self, runs: list[EvaluationRun]) -> None:
        failed = 0
        for run in runs:
            while not run.has_ended:
                time.sleep(_LOOK_S)
                evaluation_queue.settle_all()
                run.refresh_from_db()
            self._tell(run)
            failed += run.state != EvaluationRun.State.DONE
        if failed:
            raise CommandError(f"{failed} of {len(runs)} evaluations did not end well.")

    def _tell(self, run: EvaluationRun) -> None:
        if run.state != EvaluationRun.State.DONE:
            self.stdout.write(f"{run.suite}: {run.state}. {run.error}")
            return
        self.stdout.write(f"{run.suite}: {progress_of(run).done} samples")
        for score in run.scores.order_by("-is_primary", "task", "metric"):
            ends = "" if score.low is None else f"  [{score.low:.4g}, {score.high:.4g}]"
            self.stdout.write(
                f"  {score.task} {score.metric}: {score.value:.4g} {score.unit}{ends}"
            )


def _suite(key: str) -> Any:
    if key.startswith(suites.HARNESS_PREFIX):
        return suites.harness_suite(key.removeprefix(suites.HARNESS_PREFIX))
    return suites.builtin(key)
