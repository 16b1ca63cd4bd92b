"""Addresses under ``/api/v1/``."""

from django.urls import path

from catalog.api import collections, discussions, notices, people, views, webhooks

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
    path("models/<str:ns>/<str:name>/like", people.LikeView.as_view()),
    path("models/<str:ns>/<str:name>/watch", people.WatchView.as_view()),
    path("names/<str:name>", people.FiguresView.as_view()),
    path("names/<str:name>/activity", people.ActivityView.as_view()),
    path("names/<str:name>/followers", people.FollowersView.as_view()),
    path("names/<str:name>/following", people.FollowingView.as_view()),
    path("following/<str:name>", people.FollowView.as_view()),
    path("feed", people.FeedView.as_view()),
    path("collections", collections.CollectionsView.as_view()),
    path("collections/<str:collection>/items", collections.ItemsView.as_view()),
    path("collections/<str:collection>/items/<str:item>", collections.ItemView.as_view()),
    path("collections/<str:collection>/upvote", collections.UpvoteView.as_view()),
    path("collections/<str:collection>", collections.CollectionView.as_view()),
    path("notifications", notices.NoticesView.as_view()),
    path("notifications/read-all", notices.ReadAllView.as_view()),
    path("notifications/<int:notice_id>", notices.NoticeView.as_view()),
    path("notification-settings", notices.WishesView.as_view()),
]
