"""Publishing from CI without a stored secret: a job's ID token, exchanged for one model's token.

The exchange is RFC 8693's as ``huggingface_hub`` asks it (contract 3.4); who is trusted is
``accounts.services.publishers``.
"""

from django.db.models import QuerySet

from accounts.models import TrustedPublisher
from accounts.services import publishers
from accounts.services.identities import Identity, verified
from accounts.services.oauth import OAuthError
from accounts.services.publishers import Exchanged, Trust
from accounts.viewer import Viewer
from catalog.access import can, check_may
from catalog.models import ModelRepo


def publishers_of(repo: ModelRepo) -> QuerySet[TrustedPublisher]:
    """Return whose jobs may publish to ``repo``, whoever trusts them, oldest first."""
    rows = TrustedPublisher.objects.filter(repo_id=repo.public_id)
    return rows.select_related("user").order_by("pk")


def trust(viewer: Viewer, repo: ModelRepo, wanted: Trust) -> TrustedPublisher:
    """Let jobs publish to ``repo`` with the rights of ``viewer``.

    Raises:
        ForbiddenError: the settings of ``repo`` are not theirs to change.
        InvalidError, PublisherKnownError: see ``publishers.add``.
    """
    check_may(viewer, repo, to="admin")
    user = viewer.identified()
    return publishers.add(user, wanted, repo_id=repo.public_id, address=viewer.address)


def distrust(viewer: Viewer, repo: ModelRepo, pk: int) -> None:
    """Let jobs publish to ``repo`` no more, whoever trusted them; their tokens are dead at once.

    Raises:
        ForbiddenError: the settings of ``repo`` are not theirs to change.
        NotFoundError: there is no such publisher.
    """
    check_may(viewer, repo, to="admin")
    found = publishers.publisher_in(publishers_of(repo), pk)
    publishers.remove(found, actor=viewer.identified(), address=viewer.address)


def exchange(text: str, resource: str, *, address: str = "") -> Exchanged:
    """Give a CI job a token for an hour.

    Args:
        text: Its ID token.
        resource: ``namespace/name`` of a model, to publish to it, or a user name, to read gated
            models that are open to this person.
        address: The caller's IP address.

    Raises:
        OAuthError: ``invalid_request``; the ID token proves nothing, or was used.
            ``invalid_target``; nobody trusts this job with ``resource``, or there is no such
            thing: the two look alike.
        TransientError: the issuer's keys are out of reach.
    """
    identity = verified(text)
    namespace, slash, name = resource.partition("/")
    repo = ModelRepo.objects.all().ever_named(namespace, name).first() if slash else None
    rows = TrustedPublisher.objects.filter(repo_id="", user__username__iexact=resource)
    if repo is not None:
        rows = publishers_of(repo)
    for publisher in publishers.matching(identity, rows):
        if repo is None or can(Viewer(user=publisher.user), repo, to="write"):
            return publishers.exchange(publisher, identity, address=address)
    raise OAuthError("invalid_target", _unknown(resource, identity))


def _unknown(resource: str, identity: Identity) -> str:
    """Say what the job is, so that its owner sees which line of the trust is another."""
    said = {
        "project": identity.project,
        "workflow": identity.workflow,
        "environment": identity.text("environment"),
        "branch": identity.branch,
    }
    facts = ", ".join(f"{name} {value[:120]}" for name, value in said.items() if value)
    return (
        f"No trusted publisher of {resource[:140]} is like this job ({identity.issuer.label}:"
        f" {facts}). Add it in the settings of the model, or of your account, or remove one whose"
        " project was made anew under its old name."
    )
