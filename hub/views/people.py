"""People, organizations, whom they follow and what they like (contract 13, 17)."""

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase, JsonResponse

from accounts.models import Membership, Namespace, Organization, User
from accounts.viewer import VISITOR, Viewer
from catalog.access import repo_for
from catalog.models import Follow, Like
from catalog.services.follows import (
    followed_among,
    followed_by,
    followers_of,
    members_of,
    set_follow,
)
from catalog.services.likes import likes_of, set_like
from catalog.services.overviews import figures_of
from hub import social_shapes
from hub.answers import hub_view
from hub.keyset import answer_of, rows_of
from store.core.errors import NotFoundError


class PersonNotFoundError(NotFoundError):
    """There is no person, or no organization, of this name."""

    code = "person_not_found"


@hub_view("POST", "DELETE")
def like(request: HttpRequest, viewer: Viewer, ns: str, name: str) -> HttpResponseBase:
    """Like a model, or take the like back. Safe to repeat."""
    set_like(viewer, repo_for(viewer, ns, name), liked=request.method == "POST")
    return JsonResponse({"success": True})


@hub_view("GET")
def likers(request: HttpRequest, viewer: Viewer, ns: str, name: str) -> HttpResponseBase:
    """List who likes a model, newest first."""
    repo = repo_for(viewer, ns, name)
    rows = Like.objects.filter(repo=repo, user__is_active=True)
    found, following = rows_of(request, rows.select_related("user").order_by("-pk"))
    followed = followed_among(viewer, [row.user_id for row in found])
    return answer_of(
        request,
        found,
        following,
        lambda row: social_shapes.person(row.user, is_following=row.user_id in followed),
    )


@hub_view("GET")
def user_likes(request: HttpRequest, viewer: Viewer, name: str) -> HttpResponseBase:
    """List the public models a person likes: this list is the same for every caller."""
    user = _person(name)
    rows = likes_of(VISITOR, user).select_related("repo__namespace")
    found, following = rows_of(request, rows)
    return answer_of(request, found, following, social_shapes.like)


@hub_view("GET")
def user_overview(request: HttpRequest, viewer: Viewer, name: str) -> HttpResponseBase:
    """Tell of a person."""
    user = _person(name)
    orgs = Organization.objects.filter(memberships__user=user).order_by("name")
    figures = figures_of(viewer, user.namespace)
    return JsonResponse(social_shapes.user_overview(user, figures, list(orgs)))


@hub_view("GET")
def organization_overview(request: HttpRequest, viewer: Viewer, name: str) -> HttpResponseBase:
    """Tell of an organization."""
    found = _organization(name)
    figures = figures_of(viewer, found.namespace)
    return JsonResponse(social_shapes.organization_overview(found, figures))


@hub_view("GET")
def user_followers(request: HttpRequest, viewer: Viewer, name: str) -> HttpResponseBase:
    """List who follows a person, newest first."""
    return _followers(request, viewer, _person(name).namespace)


@hub_view("GET")
def organization_followers(request: HttpRequest, viewer: Viewer, name: str) -> HttpResponseBase:
    """List who follows an organization, newest first."""
    return _followers(request, viewer, _organization(name).namespace)


@hub_view("GET")
def user_following(request: HttpRequest, viewer: Viewer, name: str) -> HttpResponseBase:
    """List the people a person follows, newest first."""
    rows = followed_by(_person(name)).filter(namespace__user__isnull=False)
    found, following = rows_of(request, rows)
    people = {row.pk: row.namespace.user for row in found}
    followed = followed_among(viewer, [user.pk for user in people.values() if user])

    def shape(row: Follow) -> dict[str, object]:
        user = people[row.pk]
        assert user is not None  # noqa: S101
        return social_shapes.person(user, is_following=user.pk in followed)

    return answer_of(request, found, following, shape)


@hub_view("GET")
def organization_members(request: HttpRequest, viewer: Viewer, name: str) -> HttpResponseBase:
    """List the members of an organization, longest-standing first."""
    rows: QuerySet[Membership] = members_of(_organization(name).namespace)
    found, following = rows_of(request, rows, oldest_first=True)
    followed = followed_among(viewer, [row.user_id for row in found])
    return answer_of(
        request,
        found,
        following,
        lambda row: social_shapes.person(row.user, is_following=row.user_id in followed),
    )


@hub_view("POST", "DELETE")
def follow_user(request: HttpRequest, viewer: Viewer, name: str) -> HttpResponseBase:
    """Follow a person, or stop. Safe to repeat."""
    set_follow(viewer, _person(name).namespace, follows=request.method == "POST")
    return JsonResponse({"success": True})


@hub_view("POST", "DELETE")
def follow_organization(request: HttpRequest, viewer: Viewer, name: str) -> HttpResponseBase:
    """Follow an organization, or stop. Safe to repeat."""
    set_follow(viewer, _organization(name).namespace, follows=request.method == "POST")
    return JsonResponse({"success": True})


def _followers(request: HttpRequest, viewer: Viewer, namespace: Namespace) -> HttpResponseBase:
    found, following = rows_of(request, followers_of(namespace))
    followed = followed_among(viewer, [row.follower_id for row in found])
    return answer_of(
        request,
        found,
        following,
        lambda row: social_shapes.person(row.follower, is_following=row.follower_id in followed),
    )


def _person(name: str) -> User:
    rows = Namespace.objects.select_related("user__namespace")
    found = rows.filter(name__iexact=name, user__is_active=True).first()
    if found is None or found.user is None:
        raise PersonNotFoundError(f"There is no user called {name[:96]} here.")
    return found.user


def _organization(name: str) -> Organization:
    rows = Namespace.objects.select_related("organization__namespace")
    found = rows.filter(name__iexact=name, organization__isnull=False).first()
    if found is None or found.organization is None:
        raise PersonNotFoundError(f"There is no organization called {name[:96]} here.")
    return found.organization
