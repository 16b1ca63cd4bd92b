"""Making people and organizations; each takes a name for ever."""

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import Q, Value
from django.db.models.functions import Lower
from django.db.models.lookups import Exact
from django.utils.translation import gettext as _

from accounts.models import Membership, Namespace, Organization, Role, User
from accounts.names import NameTakenError, check_namespace_name
from accounts.services.audit import record
from store.core.errors import ConflictError, InvalidError, NotFoundError


class WeakPasswordError(InvalidError):
    """The password is too easy to guess; the message says how."""

    code = "weak_password"


class EmailTakenError(ConflictError):
    """There is an account with this e-mail address."""

    code = "email_taken"


class LastAdminError(ConflictError):
    """An organization keeps at least one admin."""

    code = "last_admin"


def find_person(name_or_email: str) -> User | None:
    """Return whoever is called so or has this address, whatever the case. One query."""
    typed = Lower(Value(name_or_email))
    is_named = Q(Exact(Lower("username"), typed)) | Q(Exact(Lower("email"), typed))
    return User.objects.filter(is_named).first()


@transaction.atomic
def create_user(
    *,
    username: str,
    email: str,
    password: str,
    full_name: str = "",
    is_staff: bool = False,
    address: str = "",
) -> User:
    """Make a person and their namespace.

    Raises:
        InvalidNameError: the name breaks a rule.
        NameTakenError: the name is in use, or was once.
        EmailTakenError: there is an account with this address.
        WeakPasswordError: the password is too easy.
        InvalidError: the e-mail address is none.
    """
    check_namespace_name(username)
    try:
        validate_email(email)
    except ValidationError as exc:
        raise InvalidError(_("This is not an e-mail address.")) from exc
    user = User(username=username, email=email, full_name=full_name, is_staff=is_staff)
    user.is_superuser = is_staff
    check_password(password, user)
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save()
            namespace = Namespace.objects.create(name=username, user=user)
    except IntegrityError as exc:
        if "user_email_once" in str(exc):
            raise EmailTakenError(
                _("There is an account with this address. Sign in, or ask for a new password.")
            ) from exc
        raise _taken(username) from exc
    record("user.create", actor=user, subject=username, namespace=namespace, address=address)
    return user


def check_password(password: str, user: User) -> None:
    """Refuse a password that is easy to guess.

    Raises:
        WeakPasswordError: with every reason.
    """
    if len(password) > 256:  # the similarity check is quadratic
        raise WeakPasswordError(_("A password has at most 256 characters."))
    try:
        validate_password(password, user)
    except ValidationError as exc:
        raise WeakPasswordError(" ".join(exc.messages)) from exc


@transaction.atomic
def create_organization(
    *,
    name: str,
    creator: User | None,
    full_name: str = "",
    is_private_by_default: bool = False,
    address: str = "",
) -> Organization:
    """Make an organization; its creator becomes its admin.

    Raises:
        InvalidNameError: the name breaks a rule.
        NameTakenError: the name is in use, or was once.
    """
    check_namespace_name(name)
    try:
        with transaction.atomic():
            organization = Organization.objects.create(
                name=name, full_name=full_name, is_private_by_default=is_private_by_default
            )
            namespace = Namespace.objects.create(name=name, organization=organization)
    except IntegrityError as exc:
        raise _taken(name) from exc
    if creator is not None:
        Membership.objects.create(organization=organization, user=creator, role=Role.ADMIN)
    record("organization.create", actor=creator, subject=name, namespace=namespace, address=address)
    return organization


def _taken(name: str) -> NameTakenError:
    return NameTakenError(_("The name %(name)s is taken. Choose another.") % {"name": name})


@transaction.atomic
def set_member(
    organization: Organization,
    user: User,
    role: Role | None,
    *,
    actor: User | None,
    address: str = "",
) -> None:
    """Give ``user`` a role in ``organization``; ``None`` takes them out. Safe to repeat.

    Raises:
        LastAdminError: nobody would be left to run the organization.
        NotFoundError: taking out somebody who is no member.
    """
    members = Membership.objects.select_for_update().filter(organization=organization)
    roles = dict(members.values_list("user_id", "role"))
    admins = {pk for pk, held in roles.items() if held == Role.ADMIN}
    if role != Role.ADMIN and admins == {user.pk}:
        raise LastAdminError(_("Make somebody else admin first: an organization needs one."))
    if role is None:
        if user.pk not in roles:
            raise NotFoundError(_("%(name)s is not a member.") % {"name": user.username})
        members.filter(user=user).delete()
    else:
        Membership.objects.update_or_create(
            organization=organization, user=user, defaults={"role": role}
        )
    record(
        "organization.member",
        actor=actor,
        subject=user.username,
        namespace=organization.namespace,
        address=address,
        role=role,
    )
