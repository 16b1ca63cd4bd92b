"""Gated models with ``huggingface_hub``'s own client."""

import secrets
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError

from tests.live import LiveStore

CARD = b"""---
extra_gated_fields:
  Company: text
  I agree: checkbox
---
# Gated
"""


@pytest.fixture
def reader(store: LiveStore) -> HfApi:
    """Somebody who did not publish it."""
    _, token = store.person()
    return HfApi(endpoint=store.url, token=token)


def gated_repo(api: HfApi, gated: str) -> str:
    repo = f"{api.whoami()['name']}/m-{secrets.token_hex(3)}"
    api.create_repo(repo)
    for path, content in {"README.md": CARD, "weights.bin": b"\0\1\2" * 5000}.items():
        api.upload_file(path_or_fileobj=content, path_in_repo=path, repo_id=repo)
    api.update_repo_settings(repo, gated=gated)
    return repo


def download(api: HfApi, repo: str, folder: Path, path: str = "weights.bin") -> bytes:
    got = hf_hub_download(
        repo, path, endpoint=api.endpoint, token=api.token, cache_dir=folder / secrets.token_hex(4)
    )
    return Path(got).read_bytes()


def ask(api: HfApi, repo: str, **answers: str) -> int:
    """Send the web form as a program does; return the status of the answer itself."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_args: object) -> None:
            return None

    body = urllib.parse.urlencode({key.replace("_", " "): text for key, text in answers.items()})
    request = urllib.request.Request(
        f"{api.endpoint}/{repo}/ask-access",
        data=body.encode(),
        headers={"Authorization": f"Bearer {api.token}"},
    )
    try:
        with urllib.request.build_opener(Stay).open(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_gate_from_closed_to_open(publisher: HfApi, reader: HfApi, tmp_path: Path) -> None:
    repo = gated_repo(publisher, "manual")
    name = reader.whoami()["name"]

    # its card is open, its contents are not
    assert reader.model_info(repo).gated == "manual"
    assert "weights.bin" in reader.list_repo_files(repo)
    for call in (
        lambda: download(reader, repo, tmp_path),
        lambda: reader.auth_check(repo),
        lambda: reader.get_hf_file_metadata(
            url=f"{reader.endpoint}/{repo}/resolve/main/weights.bin"
        ),
    ):
        with pytest.raises(GatedRepoError) as caught:
            call()
        assert caught.value.response.status_code == 403
        assert (
            f"Access to model {repo} is restricted and you are not in the authorized list."
            f" Visit {reader.endpoint}/{repo} to ask for access." in str(caught.value)
        )
    with pytest.raises((GatedRepoError, LocalEntryNotFoundError)):
        snapshot_download(repo, endpoint=reader.endpoint, token=reader.token, cache_dir=tmp_path)

    # asking, answering
    assert ask(reader, repo, Company="Acme") == 400
    assert ask(reader, repo, Company="Acme", I_agree="on") == 303
    [pending] = publisher.list_pending_access_requests(repo)
    assert (pending.username, pending.status) == (name, "pending")
    assert pending.fields == {"Company": "Acme", "I agree": True}
    assert pending.email == f"{name}@example.org"
    publisher.accept_access_request(repo, name)
    assert [each.username for each in publisher.list_accepted_access_requests(repo)] == [name]
    assert list(publisher.list_pending_access_requests(repo)) == []
    assert download(reader, repo, tmp_path) == b"\0\1\2" * 5000
    reader.auth_check(repo)

    # and taking it away
    publisher.reject_access_request(repo, name, rejection_reason="changed my mind")
    [rejected] = publisher.list_rejected_access_requests(repo)
    assert rejected.username == name
    with pytest.raises(GatedRepoError):
        download(reader, repo, tmp_path)
    assert ask(reader, repo, Company="Acme", I_agree="on") == 403
    publisher.cancel_access_request(repo, request_id=rejected.request_id)
    assert [each.username for each in publisher.list_pending_access_requests(repo)] == [name]


def test_visitors_hear_401(publisher: HfApi, tmp_path: Path) -> None:
    repo = gated_repo(publisher, "auto")
    visitor = HfApi(endpoint=publisher.endpoint, token=False)

    with pytest.raises(GatedRepoError) as caught:
        visitor.auth_check(repo)
    assert caught.value.response.status_code == 401
    with pytest.raises(GatedRepoError):
        download(visitor, repo, tmp_path)


def test_an_automatic_gate(publisher: HfApi, reader: HfApi, tmp_path: Path) -> None:
    repo = gated_repo(publisher, "auto")

    assert ask(reader, repo, Company="Acme", I_agree="true") == 303

    assert download(reader, repo, tmp_path) == b"\0\1\2" * 5000
    assert [each.status for each in publisher.list_accepted_access_requests(repo)] == ["accepted"]


def test_granting_and_its_errors(publisher: HfApi, reader: HfApi, tmp_path: Path) -> None:
    repo = gated_repo(publisher, "manual")
    name = reader.whoami()["name"]

    publisher.grant_access(repo, name)

    assert download(reader, repo, tmp_path) == b"\0\1\2" * 5000
    [accepted] = publisher.list_accepted_access_requests(repo)
    assert (accepted.username, accepted.email, accepted.fields) == (name, None, None)
    refusals = {
        400: lambda: publisher.grant_access(repo, name),
        404: lambda: publisher.accept_access_request(repo, "nobody-of-this-name"),
        403: lambda: list(reader.list_pending_access_requests(repo)),
    }
    for status, call in refusals.items():
        with pytest.raises(HfHubHTTPError) as caught:
            call()
        assert caught.value.response.status_code == status
    with pytest.raises(HfHubHTTPError) as caught:
        publisher.accept_access_request(repo, name)
    assert caught.value.response.status_code == 400
    publisher.update_repo_settings(repo, gated=False)
    with pytest.raises(HfHubHTTPError) as caught:
        publisher.grant_access(repo, name)
    assert caught.value.response.status_code == 400


def test_the_owner_needs_no_permission(publisher: HfApi, tmp_path: Path) -> None:
    repo = gated_repo(publisher, "manual")

    publisher.auth_check(repo)

    assert download(publisher, repo, tmp_path) == b"\0\1\2" * 5000
