"""All addresses, room by room. Fixed words come before names of people and models."""

from django.contrib import admin
from django.urls import path

urlpatterns = [
    path("admin/", admin.site.urls),
]
