"""What people change about themselves, and leaving."""

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models import Membership, Namespace, Organization, Role, User
from accounts.services import mailing
from accounts.services.audit import record
from accounts.services.passwords import confirm_password
from accounts.services.people import EmailTakenError
from store.core.errors import ConflictError, InvalidError


class NotEmptyError(ConflictError):
    """Models or organizations stand in the way of leaving; the message says which."""

    code = "not_empty"


class WrongConfirmationError(InvalidError):
    """The name that was typed to confirm is another."""

    code = "wrong_confirmation"


@transaction.atomic
def change_profile(
    user: User, *, full_name: str, bio: str, homepage: str, address: str = ""
) -> None:
    """Change what others see of a person."""
    user.full_name, user.bio, user.homepage = full_name, bio, homepage
    user.save(update_fields=["full_name", "bio", "homepage"])
    record(
        "user.profile",
        actor=user,
        subject=user.username,
        namespace=user.namespace,
        address=address,
    )


@transaction.atomic
def change_organization(
    organization: Organization,
    *,
    full_name: str,
    bio: str,
    homepage: str,
    is_private_by_default: bool,
    actor: User,
    address: str = "",
) -> None:
    """Change what others see of an organization, and how its new models start."""
    organization.full_name, organization.bio, organization.homepage = full_name, bio, homepage
    organization.is_private_by_default = is_private_by_default
    organization.save(update_fields=["full_name", "bio", "homepage", "is_private_by_default"])
    record(
        "organization.profile",
        actor=actor,
        subject=organization.name,
        namespace=organization.namespace,
        address=address,
    )


@transaction.atomic
def change_email(user: User, *, email: str, password: str, address: str = "") -> None:
    """Change the address; the old one gets a letter.

    Raises:
        RateLimitedError: too many wrong passwords.
        WrongPasswordError: the password is wrong.
        EmailTakenError: somebody has this address.
    """
    confirm_password(user, password)
    old = user.email
    if email == old:
        return
    user.email = email
    try:
        with transaction.atomic():
            user.save(update_fields=["email"])
    except IntegrityError as exc:
        user.email = old
        raise EmailTakenError(_("There is an account with this address.")) from exc
    event = record(
        "user.email",
        actor=user,
        subject=user.username,
        namespace=user.namespace,
        address=address,
        old=old,
    )
    mailing.ask(mailing.Letter.NOTICE, event.pk)


@transaction.atomic
def delete_account(user: User, *, confirmation: str, password: str, address: str = "") -> None:
    """Delete a person with their tokens and memberships. The name stays taken for ever.

    Raises:
        WrongConfirmationError: the typed name is another.
        RateLimitedError: too many wrong passwords.
        WrongPasswordError: the password is wrong.
        NotEmptyError: they own models, or an organization would be left without an admin.
    """
    if confirmation != user.username:
        raise WrongConfirmationError(_("Type your user name exactly as it is written."))
    confirm_password(user, password)
    namespace = Namespace.objects.select_for_update().get(user=user)
    _refuse_if_it_holds_models(namespace)
    _refuse_if_somebody_depends_on(user)
    record("user.delete", actor=user, subject=user.username, namespace=namespace, address=address)
    user.delete()


@transaction.atomic
def delete_organization(
    organization: Organization, *, confirmation: str, actor: User, address: str = ""
) -> None:
    """Delete an organization that has no models. The name stays taken for ever.

    Raises:
        WrongConfirmationError: the typed name is another.
        NotEmptyError: it has models.
    """
    if confirmation != organization.name:
        raise WrongConfirmationError(_("Type the name exactly as it is written."))
    namespace = Namespace.objects.select_for_update().get(organization=organization)
    _refuse_if_it_holds_models(namespace)
    record(
        "organization.delete",
        actor=actor,
        subject=organization.name,
        namespace=namespace,
        address=address,
    )
    organization.delete()


def _refuse_if_it_holds_models(namespace: Namespace) -> None:
    """The namespace is locked, so a repository that is just being made is waited for."""
    count = namespace.repos.count()
    if count:
        raise NotEmptyError(
            ngettext(
                "There is still %(n)d model under %(name)s. Delete it or move it first.",
                "There are still %(n)d models under %(name)s. Delete or move them first.",
                count,
            )
            % {"n": count, "name": namespace.name},
            models=count,
        )


def _refuse_if_somebody_depends_on(user: User) -> None:
    """Lock the members of the person's organizations, as every change of members does."""
    mine = Membership.objects.filter(user=user, role=Role.ADMIN).values("organization_id")
    members = Membership.objects.select_for_update().filter(organization__in=mine)
    admins: dict[int, set[int]] = {}
    for organization_id, user_id in members.filter(role=Role.ADMIN).values_list(
        "organization_id", "user_id"
    ):
        admins.setdefault(organization_id, set()).add(user_id)
    alone = [pk for pk, held in admins.items() if held == {user.pk}]
    if alone:
        names = sorted(Organization.objects.filter(pk__in=alone).values_list("name", flat=True))
        raise NotEmptyError(
            _("You are the only admin of %(names)s. Make somebody else admin, or delete it.")
            % {"names": ", ".join(names)},
            organizations=names,
        )
