"""Addresses under ``/api/v1/``."""

from django.urls import path

from catalog.api import discussions, views, webhooks

DISCUSSIONS = "models/<str:ns>/<str:name>/discussions"

urlpatterns = [
    path("storage", views.StorageView.as_view()),
    path("webhooks", webhooks.WebhooksView.as_view()),
    path("webhooks/<str:ident>", webhooks.WebhookView.as_view()),
    path("webhooks/<str:ident>/key", webhooks.WebhookKeyView.as_view()),
    path("webhooks/<str:ident>/test", webhooks.WebhookTestView.as_view()),
    path("webhooks/<str:ident>/deliveries", webhooks.DeliveriesView.as_view()),
    path("webhooks/<str:ident>/deliveries/<str:delivery>", webhooks.DeliveryView.as_view()),
    path("webhooks/<str:ident>/deliveries/<str:delivery>/replay", webhooks.ReplayView.as_view()),
    path("models", views.ModelsView.as_view()),
    path("models/by-hash/<str:sha256>", views.ByHashView.as_view()),
    path("models/<str:ns>/<str:name>", views.ModelView.as_view()),
    path("models/<str:ns>/<str:name>/files", views.FilesView.as_view()),
    path("models/<str:ns>/<str:name>/revisions", views.RevisionsView.as_view()),
    path(DISCUSSIONS, discussions.DiscussionsView.as_view()),
    path(f"{DISCUSSIONS}/<int:number>", discussions.DiscussionView.as_view()),
    path(f"{DISCUSSIONS}/<int:number>/comments", discussions.CommentsView.as_view()),
    path(f"{DISCUSSIONS}/<int:number>/comments/<str:comment>", discussions.CommentView.as_view()),
    path(f"{DISCUSSIONS}/<int:number>/merge", discussions.MergeView.as_view()),
]
