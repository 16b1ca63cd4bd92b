"""ID tokens of CI jobs: what is believed, and what is not (RFC 8725; threat model, CI)."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest

from accounts.services import identities
from accounts.services.identities import IssuerAwayError, issuers, verified
from accounts.services.oauth import OAuthError
from store.core.valkey import ValkeyAwayError
from tests.issuer import Issuer, jwk_of, new_key, unsigned

DISCOVERY = "/.well-known/openid-configuration"


def test_a_job_is_who_its_issuer_says(issuer: Issuer) -> None:
    identity = verified(issuer.token(environment="production"))

    assert identity.issuer.url == issuer.url
    assert identity.project == "octo/models"
    assert identity.project_ids == "70/7"
    assert (identity.workflow, identity.branch) == ("publish.yml", "main")
    assert identity.text("environment") == "production"
    assert len(identity.digest) == 64


def test_keys_are_fetched_once_from_the_issuer_itself(issuer: Issuer) -> None:
    first, second = verified(issuer.token()), verified(issuer.token())

    assert issuer.asked == [DISCOVERY, "/keys"]
    assert first.digest != second.digest


def test_a_token_without_an_id_is_told_by_its_bytes(issuer: Issuer) -> None:
    text = issuer.token(jti=None)

    assert verified(text).digest == verified(text).digest
    assert verified(text).digest != verified(issuer.token(jti=None, run_id="2")).digest


def test_a_new_key_is_asked_for_but_not_by_everybody(issuer: Issuer) -> None:
    verified(issuer.token())
    issuer.key = new_key()
    issuer.keys = [jwk_of(issuer.key, "second")]

    with pytest.raises(OAuthError, match="not valid"):
        verified(issuer.token())  # the old name, another key
    new = jwt.encode(issuer.claims(), issuer.key, algorithm="RS256", headers={"kid": "second"})
    assert verified(new).project == "octo/models"
    for number in range(3):
        unknown = {"kid": f"no-{number}"}
        with pytest.raises(OAuthError, match="a key its issuer does not have"):
            verified(jwt.encode(issuer.claims(), issuer.key, algorithm="RS256", headers=unknown))

    assert issuer.asked.count("/keys") == 2


def test_a_workflow_of_another_project_is_not_this_one(issuer: Issuer) -> None:
    reused = "evil/models/.github/workflows/publish.yml@refs/heads/main"
    longer = "octo/models-evil/.github/workflows/publish.yml@refs/heads/main"

    assert verified(issuer.token(job_workflow_ref=reused)).workflow == ""
    assert verified(issuer.token(job_workflow_ref=longer)).workflow == ""


def test_a_tag_is_no_branch(issuer: Issuer) -> None:
    assert verified(issuer.token(ref="refs/tags/main", ref_type="tag")).branch == ""


def _none(issuer: Issuer) -> str:
    return unsigned(issuer.claims(), {"alg": "none", "kid": "first"})


def _hmac_with_public_key(issuer: Issuer) -> str:
    body = unsigned(issuer.claims(), {"alg": "HS256", "kid": "first"}).rstrip(".")
    algorithm = jwt.get_algorithm_by_name("HS256")
    secret = issuer.keys[0]["n"].encode()
    return f"{body}.{jwt.utils.base64url_encode(algorithm.sign(body.encode(), secret)).decode()}"


def _other_key(issuer: Issuer) -> str:
    return jwt.encode(issuer.claims(), new_key(), algorithm="RS256", headers={"kid": "first"})


def _embedded_key(issuer: Issuer) -> str:
    key = new_key()
    header = {"kid": "first", "jwk": jwk_of(key, "first"), "jku": "https://evil.example/keys"}
    return jwt.encode(issuer.claims(), key, algorithm="RS256", headers=header)


def _weak_key(issuer: Issuer) -> str:
    key = new_key(1024)
    issuer.keys = [jwk_of(key, "weak")]
    return jwt.encode(issuer.claims(), key, algorithm="RS256", headers={"kid": "weak"})


def _cut(issuer: Issuer) -> str:
    return issuer.token()[:-8]


FORGED = [_none, _hmac_with_public_key, _other_key, _embedded_key, _weak_key, _cut]


@pytest.mark.parametrize("forge", FORGED)
@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
def test_forgeries(issuer: Issuer, forge: Callable[[Issuer], str]) -> None:
    with pytest.raises(OAuthError) as refused:
        verified(forge(issuer))

    assert refused.value.error == "invalid_request"


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"aud": ["http://testserver", "https://huggingface.co"]}, "one audience"),
        ({"aud": "https://huggingface.co"}, "one audience"),
        ({"aud": "http://testserver.evil.example"}, "one audience"),
        ({"aud": None}, "not valid"),
        ({"iss": "https://token.actions.githubusercontent.com.evil.example"}, "does not trust"),
        ({"iss": "https://token.actions.githubusercontent.com"}, "does not trust"),
        ({"exp": timedelta(seconds=-60)}, "has expired"),
        ({"exp": timedelta(hours=25)}, "longer than a day"),
        ({"exp": 10**30}, "longer than a day"),
        ({"exp": None}, "not valid"),
        ({"iat": None}, "not valid"),
        ({"iat": timedelta(minutes=10)}, "not valid"),
        ({"nbf": timedelta(minutes=10)}, "not valid"),
        ({"sub": None}, "not valid"),
    ],
)
def test_claims_that_are_not_for_us(issuer: Issuer, claims: dict[str, Any], words: str) -> None:
    now = time.time()
    sent = {
        name: int(now + value.total_seconds()) if isinstance(value, timedelta) else value
        for name, value in claims.items()
    }

    with pytest.raises(OAuthError, match=words) as refused:
        verified(issuer.token(**sent))

    assert refused.value.error == "invalid_request"


@pytest.mark.parametrize("text", ["", "ey", "a.b.c", "hf_x", "é.é.é", "a" * 20_000, "[]..", "\0"])
def test_what_is_no_token(issuer: Issuer, text: str) -> None:
    with pytest.raises(OAuthError):
        verified(text)

    assert issuer.asked == []


def test_an_issuer_that_is_away_is_no_refusal(issuer: Issuer) -> None:
    issuer.is_away = True

    with pytest.raises(IssuerAwayError, match=r"127\.0\.0\.1 could not be fetched"):
        verified(issuer.token())

    issuer.is_away = False
    assert verified(issuer.token()).project == "octo/models"


@pytest.mark.parametrize("elsewhere", ["http://127.0.0.1:1/keys", "file:///etc/passwd", "", None])
def test_keys_of_another_host_are_not_fetched(issuer: Issuer, elsewhere: str) -> None:
    issuer.jwks_uri = elsewhere

    with pytest.raises(IssuerAwayError):
        verified(issuer.token())

    assert issuer.asked == [DISCOVERY]


def test_an_issuer_that_never_ends(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identities, "_MAX_KEYS_BYTES", 100)

    with pytest.raises(IssuerAwayError):
        verified(issuer.token())


@pytest.mark.usefixtures("valkey_away")
def test_without_valkey_nobody_makes_us_fetch_keys(issuer: Issuer) -> None:
    with pytest.raises(ValkeyAwayError):
        verified(issuer.token())

    assert issuer.asked == []


def test_a_site_that_trusts_nobody(issuer: Issuer, settings: Any) -> None:
    settings.ENV = settings.ENV.model_copy(update={"oidc_issuers": ("none",)})

    assert issuers() == []
    with pytest.raises(OAuthError, match="does not trust"):
        verified(issuer.token())
