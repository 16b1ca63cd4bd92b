"""One trade from its price to its end, both people in browsers of their own."""

from pathlib import Path

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import GatedRepoError
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser import WIDE, listen, sign_in
from tests.e2e.selling import model_of
from tests.e2e.shopping import ask_for_a_refund, pay, pay_with_a_test_card
from tests.factories import safetensors
from tests.live import LiveStore

pytestmark = pytest.mark.e2e
WEIGHTS = "model.safetensors"


def price(page: Page, store: LiveStore, repo: str) -> None:
    """Put a model up for sale in the offer editor."""
    page.goto(f"{store.url}/{repo}")
    page.get_by_role("link", name="Sell", exact=True).click()
    page.get_by_role("link", name="Sell this model").click()
    page.get_by_label("Title").fill("Commercial")
    page.get_by_label("Price", exact=True).fill("19")
    expect(page.locator("#preview").get_by_text("You receive")).to_be_visible()
    page.get_by_role("button", name="Put it up for sale").click()
    expect(page.get_by_text("“Commercial” is saved.")).to_be_visible()


def find(page: Page, store: LiveStore, repo: str) -> None:
    """Find a model by its name, as a person who heard of it."""
    page.goto(store.url)
    box = page.get_by_role("searchbox").first
    box.fill(repo)
    box.press("Enter")
    card = page.get_by_role("article").filter(has_text=repo)
    expect(card.get_by_text("€19")).to_be_visible()
    card.get_by_role("link", name=repo).first.click()
    page.wait_for_url(f"**/{repo}")


def weights(page: Page, store: LiveStore, repo: str) -> bytes:
    """Download the weights from the list of files."""
    page.goto(f"{store.url}/{repo}/tree/main")
    with page.expect_download() as saved:
        page.locator(f"a[href*='{WEIGHTS}?download']").click()
    return Path(saved.value.path()).read_bytes()


def give_back(page: Page, store: LiveStore) -> None:
    """Answer the one request for a refund that waits, from the overview of sales."""
    page.goto(f"{store.url}/sales")
    expect(page.get_by_text("1 buyer asks for a refund")).to_be_visible()
    page.get_by_role("link", name="Answer").click()
    page.locator("main table a").first.click()
    expect(page.get_by_text("It does not rhyme.")).to_be_visible()
    page.get_by_role("button", name="Give the money back …").click()
    page.get_by_role("button", name="Give €19.00 back").click()
    expect(page.get_by_text("Given back: access has ended")).to_be_visible()


def check_ended(page: Page, store: LiveStore, repo: str) -> None:
    """The license page, the files and the shop all say that it is over."""
    expect(page.get_by_text("The license was taken back, as after a refund.")).to_be_visible()
    expect(page.get_by_role("link", name="License file")).to_have_count(0)

    answer = page.request.get(f"{store.url}/{repo}/resolve/main/{WEIGHTS}")
    assert answer.status == 403
    assert answer.headers["x-error-code"] == "GatedRepo"
    assert "it needs a license" in answer.headers["x-error-message"]
    shown = page.goto(f"{store.url}/{repo}/archive/main.zip")
    assert shown
    assert shown.status == 403
    page.get_by_role("link", name="See the offers").click()
    expect(page.get_by_role("button", name="Buy Commercial · €19")).to_be_visible()


def test_from_a_price_to_the_end_of_access(
    store: LiveStore, browser: Browser, tmp_path: Path
) -> None:
    seller, selling = store.person()
    buyer, buying = store.person(scope="read")
    repo = model_of(store, seller, selling)
    api = HfApi(endpoint=store.url, token=buying)
    office, shop = browser.new_context(), browser.new_context(viewport=WIDE)  # type: ignore[arg-type]
    seller_page, page = office.new_page(), shop.new_page()
    complaints = [*map(listen, (seller_page, page))]
    sign_in(seller_page, store, seller)
    price(seller_page, store, repo)

    sign_in(page, store, buyer)
    find(page, store, repo)
    page.get_by_role("button", name="Buy Commercial · €19").click()
    pay(page, "€19.00")
    pay_with_a_test_card(page)
    page.get_by_role("link", name="Open in your library").click()
    license_page = page.url
    assert weights(page, store, repo) == safetensors()
    fetched = api.hf_hub_download(repo, WEIGHTS, cache_dir=tmp_path / "before")
    assert Path(fetched).read_bytes() == safetensors()

    page.goto(license_page)
    ask_for_a_refund(page)
    give_back(seller_page, store)
    page.reload()

    check_ended(page, store, repo)
    with pytest.raises(GatedRepoError) as refused:
        api.hf_hub_download(repo, WEIGHTS, cache_dir=tmp_path / "after")
    assert '"Commercial" for 19.00 EUR' in str(refused.value)
    assert complaints[0] == []
    assert [text for text in complaints[1] if "403" not in text] == []  # the archive, refused
    office.close()
    shop.close()
