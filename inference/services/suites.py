"""Suites as rows: the built-in ones, tasks of lm-evaluation-harness, people's own data sets."""

import re
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from accounts.viewer import Viewer
from inference.models import Suite
from inference.services.suite_specs import Spec, SuiteFile, Task, builtin_files, digest_of
from store.core.errors import InvalidError, NotFoundError

HARNESS_PREFIX = "lm-eval/"
"""Before the names of the harness's tasks, in the keys of their suites."""
_TASK_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,100}")


class SuiteNotFoundError(NotFoundError):
    """The suite is absent, or somebody's own: the two look the same."""

    code = "suite_not_found"


class TaskNotAllowedError(InvalidError):
    """The site does not run this task of lm-evaluation-harness."""

    code = "task_not_allowed"


def sync() -> list[Suite]:
    """Return the built-in suites by key, their rows written where they are missing.

    Raises:
        SuiteDamagedError: a data file is not the one its suite names.
    """
    files = builtin_files()
    rows = {
        (row.key, row.version): row
        for row in Suite.objects.filter(
            kind=Suite.Kind.BUILTIN, key__in=[file.key for file in files]
        )
    }
    return [rows.get((file.key, file.version)) or _written(file) for file in files]


def builtin(key: str) -> Suite:
    """Return the present version of a built-in suite.

    Raises:
        SuiteNotFoundError: there is none of this key.
    """
    for suite in sync():
        if suite.key == key:
            return suite
    raise _not_found(key)


def _written(file: SuiteFile) -> Suite:
    spec = file.spec().to_json()
    suite, _made = Suite.objects.get_or_create(
        key=file.key,
        version=file.version,
        defaults={
            "kind": Suite.Kind.BUILTIN,
            "title": file.title,
            "summary": file.summary,
            "spec": spec,
            "digest": digest_of(spec),
            "is_ranked": file.is_ranked,
        },
    )
    return suite


def spec_of(suite: Suite) -> Spec:
    """Return what a suite consists of."""
    return Spec.model_validate(suite.spec)


def visible_to(viewer: Viewer) -> "QuerySet[Suite]":
    """Return the suites a viewer may know of: public ones and their own."""
    if viewer.user is None or viewer.reach is not None:
        return Suite.objects.filter(is_public=True)
    return Suite.objects.filter(Q(is_public=True) | Q(owner=viewer.user))


def own_of(viewer: Viewer) -> list[Suite]:
    """Return the viewer's own data sets, newest first; none for fine-grained tokens."""
    rows = visible_to(viewer).filter(kind=Suite.Kind.DATASET, owner=viewer.user)
    return list(rows.order_by("-pk"))


def read(viewer: Viewer, public_id: str) -> Suite:
    """Return a suite by its id.

    Raises:
        SuiteNotFoundError: there is none, or it is somebody else's.
    """
    found = visible_to(viewer).filter(public_id=public_id).first()
    if found is None:
        raise _not_found(public_id)
    return found


def suite_for(viewer: Viewer, key: str, number: int | None = None) -> Suite:
    """Return a suite by key; without ``number`` its newest version.

    A key that begins with ``lm-eval/`` is a task of lm-evaluation-harness, where the site allows
    it.

    Raises:
        SuiteNotFoundError: there is none, or it is somebody else's.
        TaskNotAllowedError: the site does not run this task.
    """
    if key.startswith(HARNESS_PREFIX) and number is None:
        return harness_suite(key.removeprefix(HARNESS_PREFIX))
    sync()
    rows = visible_to(viewer).filter(key=key).order_by("-version")
    found = rows.filter(version=number).first() if number is not None else rows.first()
    if found is None:
        raise _not_found(key)
    return found


def harness_suite(name: str, *, num_fewshot: int | None = None) -> Suite:
    """Return the suite of one task of lm-evaluation-harness, made when it is first asked for.

    Raises:
        TaskNotAllowedError: ``STORE_EVAL_TASKS`` does not name it.
    """
    if not _TASK_NAME.fullmatch(name) or not _is_allowed(name):
        raise TaskNotAllowedError(
            _("This store does not run the task %(task)s. Ask its staff to allow it.")
            % {"task": name[:100]},
            allowed=list(settings.ENV.eval_tasks),
        )
    task = Task(
        name=name,
        title=name,
        runner="harness",
        known=name,
        num_fewshot=num_fewshot,
        limit=settings.ENV.eval_samples or None,
    )
    spec = Spec(tasks=(task,), lm_eval=harness_version()).to_json()
    title = _("%(task)s (lm-evaluation-harness)") % {"task": name}
    return keep(HARNESS_PREFIX + name, Suite.Kind.HARNESS, title, spec, owner=None, is_public=True)


def keep(
    key: str, kind: Suite.Kind, title: str, spec: dict[str, Any], *, owner: Any, is_public: bool
) -> Suite:
    """Return the suite of this key and spec; where the spec is new, as a new version."""
    digest = digest_of(spec)
    for _try in range(20):
        newest = Suite.objects.filter(key=key).order_by("-version").first()
        if newest is not None and newest.digest == digest:
            return newest
        try:
            with transaction.atomic():
                return Suite.objects.create(
                    key=key,
                    version=newest.version + 1 if newest else 1,
                    kind=kind,
                    title=title[:120],
                    spec=spec,
                    digest=digest,
                    owner=owner,
                    is_public=is_public,
                )
        except IntegrityError:  # somebody was faster
            continue
    raise SuiteNotFoundError(_("The suite could not be kept. Try again."))


def may_use(viewer: Viewer, suite: Suite) -> bool:
    """Whether the viewer may run it: public ones everybody, own ones their owner."""
    is_owner = viewer.user is not None and suite.owner_id == viewer.user.pk
    return suite.is_public or (is_owner and viewer.reach is None)


def harness_version() -> str:
    """Return the version of lm-evaluation-harness; empty on machines that run no models."""
    try:
        return version("lm_eval")
    except PackageNotFoundError:
        return ""


def _is_allowed(name: str) -> bool:
    allowed = settings.ENV.eval_tasks
    return "*" in allowed or name in allowed


def _not_found(key: str) -> SuiteNotFoundError:
    return SuiteNotFoundError(_("There is no suite %(key)s.") % {"key": key[:128]})
