"""Organizations of the person in the browser."""

from typing import Any

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.forms import (
    DeleteOrganizationForm,
    MemberForm,
    OrganizationForm,
    OrganizationProfileForm,
    refuse,
)
from accounts.models import Organization, Role, User
from accounts.services.people import create_organization, set_member
from accounts.services.profile import change_organization, delete_organization
from accounts.views.guards import personal, viewer_of
from store.core.errors import ForbiddenError, InvalidError, NotFoundError, StoreError
from store.core.web import client_address


@require_http_methods(["GET", "HEAD", "POST"])
@personal
def organizations_page(request: HttpRequest, user: User) -> HttpResponse:
    """Show the person's organizations, and make one."""
    form, status = OrganizationForm(request.POST if request.method == "POST" else None), 200
    if form.is_valid():
        try:
            made = create_organization(
                creator=user, **form.cleaned_data, address=client_address(request)
            )
            return redirect(f"/organizations/{made.name}/settings")
        except StoreError as error:
            refuse(form, error)
    if form.errors:
        status = 400
    memberships = user.memberships.select_related("organization").order_by("organization__name")
    context = {"form": form, "memberships": memberships, "section": "organizations"}
    return render(request, "accounts/organizations.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@personal
def organization_page(request: HttpRequest, user: User, name: str) -> HttpResponse:
    """Show an organization's members to them; let admins change it."""
    organization, role = _mine(request, name)
    chosen = request.POST.get("form", "") if request.method == "POST" else ""
    forms, status = _forms(request, organization, chosen), 200
    if request.method == "POST":
        status = 400
        try:
            if done := _apply(request, user, organization, role, forms.get(chosen)):
                return done
        except StoreError as error:
            status = error.status
            if chosen in forms:
                refuse(forms[chosen], error)
            else:
                messages.error(request, error.message)
    context = {
        "organization": organization,
        "members": organization.memberships.select_related("user").order_by("user__username"),
        "forms": forms,
        "roles": Role.choices,
        "is_admin": role == Role.ADMIN,
        "section": "organizations",
    }
    return render(request, "accounts/organization.html", context, status=status)


def _mine(request: HttpRequest, name: str) -> tuple[Organization, Role]:
    """Return the organization and the person's role there.

    Raises:
        NotFoundError: there is none of this name, or they do not belong to it.
    """
    found = Organization.objects.select_related("namespace").filter(name__iexact=name).first()
    role = viewer_of(request).role_in(found.namespace.pk) if found else None
    if found is None or role is None:
        raise NotFoundError(_("You belong to no organization of this name."))
    return found, role


def _forms(request: HttpRequest, organization: Organization, chosen: str) -> dict[str, Form]:
    shown = {
        name: getattr(organization, name)
        for name in ("full_name", "bio", "homepage", "is_private_by_default")
    }
    data = {chosen: request.POST}
    return {
        "profile": OrganizationProfileForm(
            data.get("profile"), initial=shown, auto_id="profile_%s"
        ),
        "member": MemberForm(data.get("member"), auto_id="member_%s"),
        "delete": DeleteOrganizationForm(data.get("delete"), auto_id="delete_%s"),
    }


def _apply(
    request: HttpRequest, actor: User, organization: Organization, role: Role, form: Form | None
) -> HttpResponse | None:
    """Do what was asked for; ``None``: the form has errors to show.

    Raises:
        ForbiddenError: only admins may; anybody may leave.
        StoreError: what the services refuse.
    """
    here = redirect(f"/organizations/{organization.name}/settings")
    leaver = request.POST.get("remove", "")
    if role != Role.ADMIN and leaver.lower() != actor.username.lower():
        raise ForbiddenError(_("Only admins of an organization may change it."))
    if leaver:
        _set_role(request, actor, organization, leaver, None)
        return redirect("/settings/organizations") if leaver == actor.username else here
    if form is None:
        raise InvalidError(_("This form is not known here. Reload the page."))
    if not form.is_valid():
        return None
    values: dict[str, Any] = form.cleaned_data
    address = client_address(request)
    if isinstance(form, MemberForm):
        _set_role(request, actor, organization, values["username"], Role(values["role"]))
    elif isinstance(form, DeleteOrganizationForm):
        delete_organization(organization, **values, actor=actor, address=address)
        messages.success(request, _("The organization is deleted."))
        return redirect("/settings/organizations")
    else:
        change_organization(organization, **values, actor=actor, address=address)
        messages.success(request, _("The profile is saved."))
    return here


def _set_role(
    request: HttpRequest, actor: User, organization: Organization, name: str, role: Role | None
) -> None:
    person = User.objects.filter(username__iexact=name).first()
    if person is None:
        raise NotFoundError(_("There is nobody called %(name)s here.") % {"name": name[:42]})
    set_member(organization, person, role, actor=actor, address=client_address(request))
    if role is None:
        text = _("%(name)s is no longer a member.")
    else:
        text = _("%(name)s is a member now. Role: %(role)s.")
    messages.success(request, text % {"name": person.username, "role": role and role.label})
