"""Buying in a real browser: one person sells, another buys, downloads, asks for the money back."""

import re
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser import PHONE, WIDE, listen, sign_in, violations
from tests.e2e.selling import put_on_sale
from tests.e2e.shopping import ask_for_a_refund, fill_address, pay, pay_with_a_test_card
from tests.live import PASSWORD, LiveStore
from tests.offline_command import verify

pytestmark = pytest.mark.e2e
FIXED = {"kind": "fixed", "terms_id": "store-commercial", "prices": [["EUR", 1900]]}
DEMO = "regency/austen-gpt2-small"


@pytest.fixture(scope="module")
def sold(store: LiveStore) -> str:
    """A copy of a model of the demo catalogue, on sale; the catalogue itself stays free."""
    from huggingface_hub import CommitOperationAdd, HfApi

    seller, token = store.person()
    api = HfApi(store.url, token=token)
    folder = Path(api.snapshot_download(DEMO))
    model = f"{seller}/for-sale"
    api.create_repo(model)
    changes = [CommitOperationAdd(path.name, path.read_bytes()) for path in folder.iterdir()]
    api.create_commit(model, changes, commit_message="First version")
    store.settled(model, token)
    put_on_sale(store, seller, model, FIXED | {"title": "Commercial"})
    return model


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_buy_download_and_ask_for_a_refund(
    store: LiveStore, browser: Browser, sold: str, viewport: dict[str, int], tmp_path: Path
) -> None:
    name, _token = store.person()
    page = browser.new_page(viewport=viewport)  # type: ignore[arg-type]
    complaints = listen(page)

    order_as(page, store, name, sold)
    pay_with_a_test_card(page)
    download(page, store, tmp_path)
    ask_for_a_refund(page)

    page.goto(f"{store.url}/library")
    expect(page.get_by_role("link", name=sold)).to_be_visible()
    refused = ("401", "403")  # the archive, and a picture in the card, before it was bought
    assert [text for text in complaints if not any(code in text for code in refused)] == []
    page.close()


def order_as(page: Page, store: LiveStore, name: str, sold: str) -> None:
    """From a refused download over signing in to the button that pays."""
    refused = page.goto(f"{store.url}/{sold}/archive/main.zip")
    assert refused
    assert refused.status == 403
    page.get_by_role("link", name="See the offers").click()
    page.get_by_role("button", name="Buy Commercial · €19").click()
    page.wait_for_url("**/login?next=*")
    page.locator("input[name=username]").fill(name)
    page.locator("input[type=password]").fill(PASSWORD)
    page.locator("main form button").last.click()
    pay(page, "€19.00")


def download(page: Page, store: LiveStore, folder: Path) -> None:
    """The model from the order's page, the license file from the library; they fit each other."""
    with page.expect_download() as saved:
        page.get_by_role("link", name="Download for-sale").click()
    with zipfile.ZipFile(saved.value.path()) as archive:
        archive.extractall(folder / "model")
    assert (folder / "model/model.safetensors").is_file()

    page.get_by_role("link", name="Open in your library").click()
    with page.expect_download() as saved:
        page.get_by_role("link", name="License file").click()
    assert saved.value.suggested_filename.endswith(".gpts-license")
    keys = folder / "keys.json"
    keys.write_bytes(page.request.get(f"{store.url}/.well-known/jwks.json").body())
    done = verify(Path(saved.value.path()), keys, folder / "model")
    assert (done.returncode, "are those it covers" in done.stdout) == (0, True), done


def test_buying_works_without_javascript(store: LiveStore, browser: Browser, sold: str) -> None:
    name, _token = store.person()
    context = browser.new_context(viewport=WIDE, java_script_enabled=False)  # type: ignore[arg-type]
    page = context.new_page()
    sign_in(page, store, name)

    page.goto(f"{store.url}/{sold}")
    page.get_by_role("button", name="Add to cart").click()
    page.get_by_role("button", name="Go to checkout").click()
    fill_address(page)
    expect(page.get_by_role("button", name=re.compile("^Pay"))).to_have_count(0)
    page.get_by_role("button", name="Show the total with tax").click()
    expect(page.locator("[name=line1]")).to_have_value("1 Mansfield Park")
    page.get_by_label("I accept").check()
    page.get_by_role("button", name="Pay €19.00").click()
    page.get_by_label("Or type its number").fill("4000 0027 6000 3184")
    page.get_by_role("button", name="Pay with this card").click()
    page.get_by_role("button", name="Yes, pay").click()

    expect(page.get_by_role("heading", name="Thank you. It is yours.")).to_be_visible()
    context.close()


def test_only_the_chosen_offer_is_unfolded(store: LiveStore, browser: Browser, sold: str) -> None:
    put_on_sale(store, sold.split("/", maxsplit=1)[0], sold, FIXED | {"title": "Enterprise"})
    page = browser.new_page(viewport=WIDE)  # type: ignore[arg-type]
    page.goto(f"{store.url}/{sold}")

    expect(page.get_by_role("button", name="Buy Commercial")).to_be_visible()
    expect(page.get_by_role("button", name="Buy Enterprise")).to_be_hidden()
    page.get_by_label("Enterprise").first.check()
    expect(page.get_by_role("button", name="Buy Enterprise")).to_be_visible()
    expect(page.get_by_role("button", name="Buy Commercial")).to_be_hidden()
    assert violations(page) == []
    page.close()
