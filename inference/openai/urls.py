"""Addresses under ``/v1/``."""

from django.urls import path

from inference.openai import views

urlpatterns = [
    path("models", views.models),
    path("models/<file:name>", views.model),
    path("completions", views.completions),
    path("chat/completions", views.chat_completions),
    path("<path:rest>", views.nothing_else),
]
