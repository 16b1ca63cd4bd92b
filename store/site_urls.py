"""Pages of the site itself."""

from django.urls import path
from django.views.i18n import set_language

from store import site_pages
from store.components_page import components

urlpatterns = [
    path("_components", components),
    path("avatars/<seg:name>.svg", site_pages.avatar),
    path("docs", site_pages.guide),
    path("favicon.ico", site_pages.favicon),
    path("language", set_language),
    path("robots.txt", site_pages.robots),
    path("status", site_pages.status),
    path("theme", site_pages.set_theme),
]
