"""Where gateways send sellers' money: accounts made, filled in at the gateway, asked about."""

from urllib.parse import urlencode

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Namespace, Role, User
from accounts.services.audit import record
from accounts.viewer import Viewer
from licensing.gateways.base import GatewayRefusedError
from licensing.gateways.registry import STRIPE, gateway_named
from licensing.models import SellerAccount
from licensing.services.seller_profiles import profile_of
from store.core.errors import ConflictError, ForbiddenError

PAGE = "/sales/payouts/account"
"""Where a seller comes back to from the gateway's pages: with ``back=yes`` when they are through,
with ``again=yes`` when the link was too old or used before."""


class CountryRequiredError(ConflictError):
    """The seller has not said in which country they are."""

    code = "country_required"


class AccountNotReadyError(GatewayRefusedError):
    """The seller cannot be paid by this gateway yet; ``extra.state`` says how it stands."""

    code = "account_not_ready"


def open_account(viewer: Viewer, namespace: Namespace) -> SellerAccount:
    """Return the seller's account at Stripe, made on first asking.

    Raises:
        ForbiddenError: not theirs.
        CountryRequiredError: the seller profile has no country yet.
        UnknownGatewayError: this site has no Stripe.
        GatewayRefusedError, GatewayError: Stripe makes none, or not now.
    """
    user = _admin(viewer, namespace)
    gateway = gateway_named(STRIPE)
    known = SellerAccount.objects.filter(namespace=namespace, gateway=gateway.name).first()
    if known is not None:
        return known
    country = profile_of(namespace).country
    if not country:
        raise CountryRequiredError(_("Say in your seller profile where you are, then come back."))
    from licensing.gateways import stripe_accounts

    made = stripe_accounts.make_account(country=country, key=f"{namespace.pk}-{country}")
    with transaction.atomic():
        row, is_new = SellerAccount.objects.get_or_create(
            namespace=namespace, gateway=gateway.name, defaults={"external_id": made.id}
        )
        if is_new:
            record(
                "seller.account",
                actor=user,
                subject=namespace.name,
                namespace=namespace,
                address=viewer.address,
                gateway=gateway.name,
            )
    return row


def onboarding_link(viewer: Viewer, account: SellerAccount) -> str:
    """Return a page of the gateway where the seller gives what it needs to pay them.

    Raises:
        ForbiddenError: not theirs.
        GatewayRefusedError, GatewayError: there is none, or not now.
    """
    _admin(viewer, account.namespace)
    from licensing.gateways import stripe_accounts

    return stripe_accounts.onboarding_url(
        account.external_id,
        return_url=settings.PUBLIC_URL + page_of_seller(account.namespace, back="yes"),
        refresh_url=settings.PUBLIC_URL + page_of_seller(account.namespace, again="yes"),
    )


def page_of_seller(namespace: Namespace, **more: str) -> str:
    """Return the path and query of the page that says where a seller's money goes."""
    return f"{PAGE}?{urlencode({'seller': namespace.name} | more)}"


def refresh(account: SellerAccount) -> SellerAccount:
    """Ask the gateway how an account stands; for when no message came.

    Raises:
        GatewayRefusedError, GatewayError: it is gone, or not now.
    """
    from licensing.gateways import stripe_accounts

    asked_at = int(timezone.now().timestamp())
    found = stripe_accounts.retrieve_account(account.external_id)
    stripe_accounts.note_account(found, gateway=account.gateway, at=asked_at)
    account.refresh_from_db()
    return account


def payable_account(namespace: Namespace, gateway: str) -> str:
    """Return the gateway's id of where to send a seller's money.

    Raises:
        AccountNotReadyError: there is none, or it cannot be paid.
    """
    row = SellerAccount.objects.filter(namespace=namespace, gateway=gateway).first()
    if row is None or row.state != SellerAccount.State.READY:
        raise AccountNotReadyError(
            _("%(name)s has no account that can be paid. They can finish it on their sales pages.")
            % {"name": namespace.name},
            state=row.state if row is not None else "none",
        )
    return row.external_id


def _admin(viewer: Viewer, namespace: Namespace) -> User:
    user = viewer.signed_in()
    if viewer.role_in(namespace.pk) != Role.ADMIN:
        raise ForbiddenError(_("Only who runs %(name)s can do this.") % {"name": namespace.name})
    return user
