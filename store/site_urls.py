"""Pages of the site itself."""

from django.urls import path

from store.components_page import components

urlpatterns = [path("_components", components)]
