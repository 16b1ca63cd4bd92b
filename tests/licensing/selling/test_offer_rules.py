"""What an offer may be, whoever makes it: each refusal names its field, and nothing is offered."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import Listing, ModelRepo
from licensing.models import Offer, RevenueAsk, SeatKind
from licensing.services import offers
from licensing.services.lineage import LineageUnconfirmedError, SaleForbiddenError
from licensing.services.offer_order import move_offer
from licensing.services.offers import (
    BadOfferError,
    NewPrice,
    NotSellableError,
    change_offer,
    make_offer,
    set_active,
    set_opening,
)
from licensing.services.previewing import preview
from licensing.services.upstream import BadAskError, set_ask
from store.core.errors import ForbiddenError, StoreError
from tests.factories import add_files, make_repo, make_user, safetensors
from tests.licensing.selling.shop import FIXED, Shop, make_model, open_shop
from tests.threads import at_once

pytestmark = pytest.mark.django_db
PWYW = replace(FIXED, kind=Offer.Kind.PAY_WHAT_YOU_WANT)


@pytest.fixture
def shop() -> Shop:
    return open_shop()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"title": "  "}, "title"),
        ({"title": "x" * 121}, "title"),
        ({"title": "Com\u202emercial"}, "title"),
        ({"description": "For teams\u202e of five"}, "description"),
        ({"title": "Com\x07mercial"}, "title"),
        ({"title": "C\u043emmercial"}, "title"),
        ({"title": "!?"}, "title"),
        ({"description": "x" * 501}, "description"),
        ({"seats": -1}, "seats"),
        ({"seats": 1_000_001}, "seats"),
        ({"term_days": 0}, "term_days"),
        ({"term_days": 36_501}, "term_days"),
        ({"trial_tokens": -1}, "trial_tokens"),
        ({"trial_tokens": 10_000_001}, "trial_tokens"),
        ({"interval": "month"}, "interval"),
        ({"kind": Offer.Kind.SUBSCRIPTION}, "interval"),
        ({"kind": Offer.Kind.SUBSCRIPTION, "interval": "week"}, "interval"),
        ({"kind": Offer.Kind.SUBSCRIPTION, "interval": "year", "term_days": 5}, "term_days"),
        ({"prices": ()}, "prices"),
        ({"kind": Offer.Kind.FREE}, "prices"),
        ({"prices": [NewPrice(f"E{n:02}", 1) for n in range(61)]}, "prices"),
        ({"prices": (NewPrice("EUR", 0),)}, "amount_minor"),
        ({"prices": (NewPrice("EUR", -1),)}, "amount_minor"),
        ({"prices": (NewPrice("EUR", 10**12 + 1),)}, "amount_minor"),
        ({"prices": (NewPrice("XAU", 5),)}, "currency"),
        ({"prices": (NewPrice("EUR", 5), NewPrice("eur", 6))}, "currency"),
        ({"prices": (NewPrice("EUR", 5, suggested_minor=6),)}, "suggested_minor"),
        ({"prices": (NewPrice("EUR", 5, launch_minor=5),)}, "launch_minor"),
        ({"prices": (NewPrice("EUR", 5, launch_minor=4),)}, "launch_until"),
    ],
)
def test_a_wrong_value_names_its_field(shop: Shop, changes: dict[str, Any], field: str) -> None:
    before = list(shop.offer.prices.values_list("currency", "amount_minor"))

    with pytest.raises(StoreError) as refused:
        make_offer(shop.selling, [shop.repo], replace(FIXED, **changes))
    with pytest.raises(StoreError):
        change_offer(shop.selling, shop.offer, replace(FIXED, **changes))

    assert refused.value.extra["field"] == field
    offer = Offer.objects.get()
    assert offer.version == 1
    assert list(offer.prices.values_list("currency", "amount_minor")) == before


def test_a_price_names_its_place(shop: Shop) -> None:
    prices = (NewPrice("EUR", 5), NewPrice("USD", 0))

    with pytest.raises(BadOfferError) as refused:
        make_offer(shop.selling, [shop.repo], replace(FIXED, prices=prices))

    assert refused.value.extra == {"field": "amount_minor", "price": 1}


def test_a_suggestion_is_at_least_the_least(shop: Shop) -> None:
    prices = (NewPrice("EUR", 5, suggested_minor=4),)

    with pytest.raises(BadOfferError):
        make_offer(shop.selling, [shop.repo], replace(PWYW, prices=prices))

    assert Offer.objects.count() == 1


def test_a_launch_ends_after_it_begins(shop: Shop) -> None:
    now = timezone.now()
    price = NewPrice("EUR", 5, launch_minor=4, launch_from=now, launch_until=now)

    with pytest.raises(BadOfferError) as refused:
        make_offer(shop.selling, [shop.repo], replace(FIXED, prices=(price,)))

    assert refused.value.extra["field"] == "launch_until"
    later = replace(price, launch_until=now + timedelta(days=1))
    made = make_offer(shop.selling, [shop.repo], replace(FIXED, prices=(later,)))
    assert made.prices.get().at(now) == 4


def test_seats_are_of_people_too(shop: Shop) -> None:
    made = make_offer(shop.selling, [shop.repo], replace(FIXED, seat_kind=SeatKind.PEOPLE, seats=0))

    assert (made.seat_kind, made.seats) == ("people", 0)


def test_models_that_cannot_be_sold(shop: Shop) -> None:
    seller = shop.seller
    plain = make_repo(seller, "plain")
    pickled = make_model(seller, "pickled")
    Listing.objects.filter(repo=pickled).update(formats=["pytorch"])
    unclean = make_model(seller, "unclean")
    Listing.objects.filter(repo=unclean).update(verdict="unknown")
    gone = make_model(seller, "gone")
    ModelRepo.objects.filter(pk=gone.pk).update(disabled_reason="spam")
    gone.refresh_from_db()
    hidden = make_repo(seller, "hidden", is_private=True)
    wanted = {
        "empty": plain,
        "format": pickled,
        "verdict": unclean,
        "disabled": gone,
        "private": hidden,
    }

    for reason, repo in wanted.items():
        with pytest.raises(NotSellableError) as refused:
            make_offer(shop.selling, [repo], FIXED)
        assert refused.value.extra["reason"] == reason
    assert Offer.objects.count() == 1


def test_a_bundle_has_one_owner_and_an_end(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.factories import make_org

    make_org("acme", maria="admin")
    elsewhere = make_repo(shop.seller, "gpt", namespace="acme")
    add_files(shop.seller, elsewhere, {"model.safetensors": safetensors()})
    other = make_model(shop.seller, "other")
    monkeypatch.setattr(offers, "MAX_BUNDLE", 1)
    for repos in ([], [shop.repo, elsewhere], [shop.repo, other]):
        with pytest.raises(BadOfferError):
            make_offer(shop.selling, repos, FIXED)
    monkeypatch.setattr(offers, "MAX_OFFERS", 1)
    with pytest.raises(BadOfferError):
        make_offer(shop.selling, [shop.repo], FIXED)
    assert Offer.objects.count() == 1


def test_putting_back_asks_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    set_active(shop.selling, shop.offer, is_active=False)
    assert not set_active(shop.selling, shop.offer, is_active=False).is_active
    Listing.objects.filter(repo=shop.repo).update(verdict="unknown")
    with pytest.raises(NotSellableError):
        set_active(shop.selling, shop.offer, is_active=True)
    Listing.objects.filter(repo=shop.repo).update(verdict="clean")
    card = b"---\nlicense: mit\nbase_model: who/knows\n---\n# hi\n"
    add_files(shop.seller, shop.repo, {"README.md": card})
    with pytest.raises(LineageUnconfirmedError):
        set_active(shop.selling, shop.offer, is_active=True)
    assert not Offer.objects.get().is_active

    Offer.objects.update(lineage_confirmed_at=timezone.now())
    assert set_active(shop.selling, shop.offer, is_active=True).is_active
    shop.repo.refresh_from_db()
    assert shop.repo.is_for_sale


def test_the_shelf_has_an_end_when_offers_come_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_active(shop.selling, shop.offer, is_active=False)
    make_offer(shop.selling, [shop.repo], FIXED)
    monkeypatch.setattr(offers, "MAX_OFFERS", 1)

    with pytest.raises(BadOfferError):
        set_active(shop.selling, shop.offer, is_active=True)

    assert Offer.objects.filter(is_active=True).count() == 1


def child_of(seller: User, name: str, base_license: str) -> ModelRepo:
    """A model of ``seller`` made from somebody's of this license."""
    root = make_model(make_user(f"of-{name}"), "root")
    card = f"---\nlicense: {base_license}\n---\n# hi\n".encode()
    add_files(User.objects.get(username=f"of-{name}"), root, {"README.md": card})
    child = make_model(seller, name)
    own = f"---\nlicense: mit\nbase_model: of-{name}/root\n---\n# hi\n".encode()
    add_files(seller, child, {"README.md": own})
    return child


def test_a_base_can_forbid_or_demand(shop: Shop) -> None:
    forbidden = child_of(shop.seller, "a", "cc-by-nc-4.0")
    alike = child_of(shop.seller, "b", "cc-by-sa-4.0")

    with pytest.raises(SaleForbiddenError):
        make_offer(shop.selling, [forbidden], replace(FIXED, lineage_confirmed=True))
    with pytest.raises(NotSellableError) as refused:
        make_offer(shop.selling, [alike], FIXED)

    assert refused.value.extra["reason"] == "terms"
    assert Offer.objects.count() == 1
    free = replace(FIXED, kind=Offer.Kind.FREE, prices=())
    assert make_offer(shop.selling, [forbidden], free).kind == "free"
    assert make_offer(shop.selling, [alike], replace(FIXED, terms_id="cc-by-sa-4.0")).pk


def test_the_opening_lies_ahead(shop: Shop) -> None:
    with pytest.raises(BadOfferError):
        set_opening(shop.selling, shop.repo, timezone.now())

    assert ModelRepo.objects.get(pk=shop.repo.pk).opens_at is None


def test_a_share_is_at_most_half(shop: Shop) -> None:
    for wrong in (-1, 5001):
        with pytest.raises(BadAskError):
            set_ask(shop.selling, shop.repo, wrong)

    assert not RevenueAsk.objects.exists()


def shares_of(shop: Shop, key: str) -> list[int]:
    """What upstream owners get of an order made now, in basis points."""
    line = shop.order(key).lines.get()
    return list(line.shares.order_by("id").values_list("basis_points", flat=True))


def test_nobody_gets_more_than_the_seller_was_shown() -> None:
    owner = make_user("ula")
    base = make_model(owner, "base")
    set_ask(Viewer(user=owner), base, 1000)
    shop = open_shop()
    card = b"---\nlicense: mit\nbase_model: ula/base\n---\n# hi\n"
    add_files(shop.seller, shop.repo, {"README.md": card})
    assert shares_of(shop, "named later by the seller") == [1000]
    change_offer(shop.selling, shop.offer, FIXED)

    set_ask(Viewer(user=owner), base, 4000)
    assert shares_of(shop, "raised") == [1000]
    set_ask(Viewer(user=owner), base, 500)
    assert shares_of(shop, "lowered") == [500]
    set_ask(Viewer(user=owner), base, 4000)
    change_offer(shop.selling, shop.offer, FIXED)

    assert shares_of(shop, "saved again") == [4000]


def test_who_takes_a_name_a_card_has_gets_nothing_of_what_is_on_sale() -> None:
    shop = open_shop()
    card = b"---\nlicense: mit\nbase_model: acme/famous\n---\n# hi\n"
    add_files(shop.seller, shop.repo, {"README.md": card})
    confirmed = replace(FIXED, lineage_confirmed=True)
    change_offer(shop.selling, shop.offer, confirmed)

    taker = make_user("acme")
    set_ask(Viewer(user=taker), make_model(taker, "famous"), 5000)

    assert shares_of(shop, "taken") == []
    change_offer(shop.selling, shop.offer, confirmed)
    assert shares_of(shop, "saved again, with the ask on the page") == [5000]


def test_order_keeps_what_is_off_the_shelf_where_it_is(shop: Shop) -> None:
    titles = ["B", "C", "D"]
    made = [make_offer(shop.selling, [shop.repo], replace(FIXED, title=name)) for name in titles]
    set_active(shop.selling, made[0], is_active=False)
    Offer.objects.update(position=7)  # as two offers made at once could have it

    move_offer(shop.selling, shop.repo, made[1], step=-1)

    shown = [offer.title for offer in offers.offers_of(shop.repo)]
    assert shown == ["C", "Commercial", "D"]
    assert len(set(Offer.objects.values_list("position", flat=True))) == 4


def test_strangers_order_nothing(shop: Shop, bob: User) -> None:
    second = make_offer(shop.selling, [shop.repo], FIXED)

    with pytest.raises(ForbiddenError):
        move_offer(Viewer(user=bob), shop.repo, second, step=-1)

    assert [offer.pk for offer in offers.offers_of(shop.repo)] == [shop.offer.pk, second.pk]


def test_a_preview_needs_prices_that_make_sense(shop: Shop) -> None:
    with pytest.raises(BadOfferError):
        preview([shop.repo], replace(FIXED, prices=(NewPrice("EUR", 0),)))


@pytest.mark.django_db(transaction=True)
def test_the_last_two_offers_can_go_at_once() -> None:
    shop = open_shop()
    second = make_offer(shop.selling, [shop.repo], FIXED)
    both = [shop.offer, second]

    at_once(lambda n: set_active(Viewer(user=shop.seller), both[n], is_active=False), 2)

    assert not ModelRepo.objects.get(pk=shop.repo.pk).is_for_sale
