"""Addresses of sellers: the offers of a model, and what they sold."""

from django.urls import path

from licensing.seller_views import offer_editor, offers

REPO = "<seg:ns>/<seg:name>"

urlpatterns = [
    path(f"{REPO}/offers", offers.offers_page),
    path(f"{REPO}/offers/new", offer_editor.new_page),
    path(f"{REPO}/offers/<seg:offer>", offer_editor.edit_page),
]
