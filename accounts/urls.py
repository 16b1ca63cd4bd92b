"""Pages of people's own affairs."""

from django.urls import path

from accounts import views, views_settings

urlpatterns = [
    path("signup", views.sign_up),
    path("login", views.log_in),
    path("logout", views.log_out),
    path("reset", views.ask_reset),
    path("reset/<str:uid>/<str:token>", views.do_reset),
    path("settings", views_settings.profile_page),
    path("settings/tokens", views_settings.tokens_page),
    path("settings/tokens/<int:token_id>/revoke", views_settings.revoke_page),
    path("settings/organizations", views_settings.organizations_page),
    path("settings/organizations/<str:name>", views_settings.organization_page),
    path("settings/activity", views_settings.activity_page),
]
