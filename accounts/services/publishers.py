"""Trusted publishers: projects whose CI jobs exchange a proof of who they are for a short token.

Nothing secret is stored at the CI: the job shows an ID token (``services.identities``), and the
store gives it a fine-grained token for one hour and one model, with the rights of the person who
trusts it, as far as that person still has them.
"""

import re
from dataclasses import dataclass
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import AccessToken, Permission, TrustedPublisher, UsedIdentity, User
from accounts.services.audit import record
from accounts.services.identities import Identity, issuers
from accounts.services.oauth import OAuthError
from accounts.services.tokens import NewReach, create_token
from store.core.errors import ConflictError, InvalidError, NotFoundError

LIFE = timedelta(hours=1)
"""Of a token a job gets; a longer job exchanges anew."""
MAX_PUBLISHERS = 20
"""Of one person, for one model."""
_KEPT = timedelta(days=7)
_PROJECT = re.compile(r"[\w.-]+(?:/[\w.-]+)+", re.ASCII)
_WORKFLOW = re.compile(r"[\w. -]+\.ya?ml", re.ASCII)


class PublisherKnownError(ConflictError):
    """The very same publisher is trusted already."""

    code = "publisher_known"


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose jobs are meant; see ``TrustedPublisher`` for the fields."""

    issuer: str
    project: str
    workflow: str = ""
    environment: str = ""
    branch: str = ""


@dataclass(frozen=True, slots=True)
class Exchanged:
    """The token of a job; its text exists nowhere else."""

    token: AccessToken
    text: str


@transaction.atomic
def add(user: User, trust: Trust, *, repo_id: str = "", address: str = "") -> TrustedPublisher:
    """Trust a project's jobs.

    Args:
        user: Who does, and whose rights the jobs get.
        trust: Which jobs.
        repo_id: Public id of the model they may publish to, which the caller checked to be
            ``user``'s to change. Empty: they read gated models that are open to ``user``.
        address: The caller's IP address.

    Raises:
        InvalidError: no such issuer, no project, or too many publishers.
        PublisherKnownError: it is trusted already.
    """
    _check(trust)
    User.objects.select_for_update().get(pk=user.pk)  # so that the count holds
    if user.trusted_publishers.filter(repo_id=repo_id).count() >= MAX_PUBLISHERS:
        raise InvalidError(
            _("You trust %(most)d publishers here already.") % {"most": MAX_PUBLISHERS}
        )
    try:
        with transaction.atomic():
            made = TrustedPublisher.objects.create(
                user=user,
                repo_id=repo_id,
                issuer=trust.issuer,
                project=trust.project,
                workflow=trust.workflow,
                environment=trust.environment,
                branch=trust.branch,
            )
    except IntegrityError as error:
        raise PublisherKnownError(_("You trust this publisher already.")) from error
    _note("publisher.add", made, user, address)
    return made


def _check(trust: Trust) -> None:
    issuer = next((each for each in issuers() if each.url == trust.issuer), None)
    if issuer is None:
        raise InvalidError(_("Choose one of the services this store trusts."))
    if not _PROJECT.fullmatch(trust.project) or (
        issuer.kind == "github" and trust.project.count("/") != 1
    ):
        raise InvalidError(_("Give the project as in owner/name."))
    if trust.workflow and issuer.kind != "github":
        raise InvalidError(_("Only GitHub has workflow files. Leave the workflow empty."))
    if trust.workflow and not _WORKFLOW.fullmatch(trust.workflow):
        raise InvalidError(_("Give the name of the workflow's file alone, as in publish.yml."))


@transaction.atomic
def remove(publisher: TrustedPublisher, *, actor: User, address: str = "") -> None:
    """Trust it no more; its tokens are dead at once."""
    _note("publisher.remove", publisher, actor, address)
    publisher.delete()


def own_publisher(user: User, pk: int) -> TrustedPublisher:
    """Return one of the publishers that read for ``user``.

    Raises:
        NotFoundError: they have none of this id.
    """
    return publisher_in(user.trusted_publishers.filter(repo_id=""), pk)


def publisher_in(rows: QuerySet[TrustedPublisher], pk: int) -> TrustedPublisher:
    """Return one of ``rows``.

    Raises:
        NotFoundError: there is none of this id.
    """
    found = rows.select_related("user").filter(pk=pk).first()
    if found is None:
        raise NotFoundError(_("There is no such publisher."))
    return found


def matching(identity: Identity, rows: QuerySet[TrustedPublisher]) -> list[TrustedPublisher]:
    """Return those of ``rows`` the job of ``identity`` is, oldest first.

    Claims are compared whole. GitHub and GitLab tell no two projects apart by the case of letters,
    so a project's name is compared without it.
    """
    same = rows.filter(issuer=identity.issuer.url, project__iexact=identity.project)
    known = Q(project_ids="") | Q(project_ids=identity.project_ids)
    found = same.filter(known, user__is_active=True).select_related("user").order_by("pk")
    return [each for each in found if identity.project and _fits(each, identity)]


def _fits(publisher: TrustedPublisher, identity: Identity) -> bool:
    pairs = (
        (publisher.workflow, identity.workflow),
        (publisher.environment, identity.text("environment")),
        (publisher.branch, identity.branch),
    )
    return all(wanted in {"", given} for wanted, given in pairs)


@transaction.atomic
def exchange(publisher: TrustedPublisher, identity: Identity, *, address: str = "") -> Exchanged:
    """Give the job of ``identity``, which ``matching`` found to be ``publisher``, its token.

    Raises:
        OAuthError: ``invalid_request``; this ID token was exchanged already. ``invalid_target``;
            the trust ended meanwhile.
    """
    locked = TrustedPublisher.objects.select_for_update().filter(pk=publisher.pk)
    if publisher not in matching(identity, locked):
        raise OAuthError("invalid_target", "This publisher is not trusted any more.")
    _, is_new = UsedIdentity.objects.get_or_create(
        digest=identity.digest, defaults={"expires_at": identity.expires_at}
    )
    if not is_new:
        raise OAuthError(
            "invalid_request",
            "This ID token was exchanged already; each is good once. Keep the access token, or let"
            " the job ask for a new ID token.",
        )
    now = timezone.now()
    publisher.last_used_at, publisher.project_ids = now, identity.project_ids
    publisher.save(update_fields=["last_used_at", "project_ids"])
    reach = NewReach(has_gated=True)
    if publisher.repo_id:
        reach = NewReach(repos={publisher.repo_id: frozenset({Permission.WRITE})})
    token, text = create_token(
        publisher.user,
        name=f"CI {publisher.project}"[:96],
        scopes=[],
        reach=reach,
        expires_at=now + LIFE,
        publisher=publisher,
    )
    _note(
        "publisher.exchange",
        publisher,
        publisher.user,
        address,
        subject_claim=identity.text("sub")[:500],
        run=identity.text("run_id") or identity.text("job_id"),
        sha=identity.text("sha"),
    )
    return Exchanged(token, text)


def _note(
    action: str, publisher: TrustedPublisher, actor: User, address: str, **detail: str
) -> None:
    record(
        action,
        actor=actor,
        subject=publisher.project,
        namespace=publisher.user.namespace,
        address=address,
        issuer=publisher.issuer,
        repo_id=publisher.repo_id,
        **detail,
    )


def prune() -> int:
    """Delete tokens of jobs and proofs that ended; run by the beat. Returns how many."""
    now = timezone.now()
    rows = [
        AccessToken.objects.filter(publisher__isnull=False, expires_at__lt=now - _KEPT),
        UsedIdentity.objects.filter(expires_at__lt=now),
    ]
    return sum(each.delete()[0] for each in rows)
