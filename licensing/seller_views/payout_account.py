"""Where a seller's money goes: their account at the gateway, opened and asked about, and others."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.models import Namespace, User
from accounts.viewer import Viewer
from accounts.views.guards import two_factor_required, viewer_of
from licensing.forms_seller import BankForm
from licensing.gateways.registry import STRIPE, gateway_named
from licensing.models import SellerAccount
from licensing.seller_views.seller_frame import of_seller, seller_context, seller_of
from licensing.services import seller_accounts
from licensing.services.payout_accounts import destinations_of
from licensing.services.payouts import pause_of
from licensing.services.seller_accounts import CountryRequiredError
from licensing.services.seller_profiles import BadSellerProfileError, change_bank, profile_of
from store.core.errors import InvalidError, StoreError


@require_http_methods(["GET", "HEAD", "POST"])
@two_factor_required
def account_page(request: HttpRequest, user: User) -> HttpResponse:
    """Show where a seller is paid; open their account, go on with it, ask how it stands."""
    viewer, seller = viewer_of(request), seller_of(request)
    problem: StoreError | None = None
    bank = BankForm({"bank_details": profile_of(seller).bank_details})
    try:
        if request.POST.get("act") == "bank":
            bank = BankForm(request.POST)
            if (answer := _changed_bank(request, viewer, seller, bank)) is not None:
                return answer
        elif request.method == "POST":
            return _done(request, viewer, seller)
        if request.GET.get("back") == "yes":
            _ask(seller)  # its own message may come minutes after its page was closed
    except StoreError as error:
        problem = error
    context = seller_context(viewer, seller, "payouts") | {
        "destinations": destinations_of(seller),
        "bank": bank,
        "problem": problem.message if problem else "",
        "needs_country": isinstance(problem, CountryRequiredError),
        "is_again": request.GET.get("again") == "yes",
        "pause": pause_of(seller),
    }
    status = problem.status if problem else 400 if bank.errors else 200
    return render(request, "licensing/payout_account.html", context, status=status)


def _done(request: HttpRequest, viewer: Viewer, seller: Namespace) -> HttpResponse:
    """Do what a form of the page asks for, and lead on.

    Raises:
        StoreError: what the service or the gateway refuses.
    """
    act = request.POST.get("act", "")
    if act == "open":
        account = seller_accounts.open_account(viewer, seller)
        context = {
            "title": _("To the payment service"),
            "words": _("You are being led to the payment service. If nothing happens:"),
            "action": _("Go on at the payment service"),
            "url": seller_accounts.onboarding_link(viewer, account),
        }
        return render(request, "licensing/leaving.html", context)
    if act != "ask":
        raise InvalidError(_("Choose what to do."))
    if _ask(seller):
        messages.success(request, _("The payment service was asked just now."))
    return redirect(f"{seller_accounts.PAGE}{of_seller(viewer, seller)}")


def _changed_bank(
    request: HttpRequest, viewer: Viewer, seller: Namespace, form: BankForm
) -> HttpResponse | None:
    """Keep another bank account; ``None``: the form says why not."""
    if not form.is_valid():
        return None
    text = form.cleaned_data["bank_details"]
    try:
        change_bank(seller, text, actor=viewer.signed_in(), address=viewer.address)
    except BadSellerProfileError as error:
        form.add_error("bank_details", error.message)
        return None
    messages.success(request, _("Saved. The next payout by transfer goes there."))
    return redirect(f"{seller_accounts.PAGE}{of_seller(viewer, seller)}")


def _ask(seller: Namespace) -> bool:
    """Ask the gateway how a seller's account stands; ``False``: there is none to ask about.

    Raises:
        UnknownGatewayError, GatewayRefusedError, GatewayError: see there.
    """
    gateway = gateway_named(STRIPE)
    account = SellerAccount.objects.filter(namespace=seller, gateway=gateway.name).first()
    if account is not None:
        seller_accounts.refresh(account)
    return account is not None
