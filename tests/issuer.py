"""An issuer of ID tokens as a CI service has one: discovery, keys, and a job's own request."""

import base64
import http.server
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa


def new_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def jwk_of(key: rsa.RSAPrivateKey, kid: str) -> dict[str, Any]:
    shown = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**shown, "kid": kid, "use": "sig", "alg": "RS256"}


def unsigned(claims: dict[str, Any], header: dict[str, Any]) -> str:
    """A token with an empty signature."""
    parts = [json.dumps(each).encode() for each in (header, claims)]
    return ".".join(base64.urlsafe_b64encode(each).decode().rstrip("=") for each in parts) + "."


class Issuer:
    """Signs what GitHub would say of a job.

    Attributes:
        url: The ``iss`` of its tokens.
        keys: What it publishes.
        is_away: It answers 503.
        asked: Paths that were asked for, in order.
        jwks_uri: Where it says its keys are.
    """

    def __init__(self) -> None:
        self.url = ""
        self.key = new_key()
        self.jwks_uri = ""
        self.asked: list[str] = []
        self.reset()

    def reset(self) -> None:
        """Be as at the start."""
        self.keys = [jwk_of(self.key, "first")]
        self.is_away = False
        self.asked.clear()
        self.jwks_uri = f"{self.url}/keys"

    def claims(self, **more: Any) -> dict[str, Any]:
        """Claims of a job of the workflow publish.yml of octo/models, on its branch main."""
        now = int(time.time())
        return {
            "iss": self.url,
            "aud": "http://testserver",
            "sub": "repo:octo/models:ref:refs/heads/main",
            "iat": now,
            "exp": now + 300,
            "jti": secrets.token_hex(16),
            "repository": "octo/models",
            "repository_id": "7",
            "repository_owner_id": "70",
            "ref": "refs/heads/main",
            "ref_type": "branch",
            "sha": "c" * 40,
            "run_id": "4711",
            "job_workflow_ref": "octo/models/.github/workflows/publish.yml@refs/heads/main",
            **more,
        }

    def token(self, **claims: Any) -> str:
        """A signed ID token; a claim that is ``None`` is left out."""
        told = {name: value for name, value in self.claims(**claims).items() if value is not None}
        return jwt.encode(told, self.key, algorithm="RS256", headers={"kid": "first"})

    def answer(self, path: str) -> dict[str, Any] | None:
        """What the address ``path`` says."""
        parts = urlsplit(path)
        self.asked.append(parts.path)
        if self.is_away:
            return None
        if parts.path == "/job":  # as $ACTIONS_ID_TOKEN_REQUEST_URL of GitHub's runners
            return {"value": self.token(aud=parse_qs(parts.query)["audience"][0])}
        if parts.path == "/.well-known/openid-configuration":
            return {"issuer": self.url, "jwks_uri": self.jwks_uri}
        return {"keys": self.keys}


@contextmanager
def serving() -> Iterator[Issuer]:
    """Run an issuer on this machine."""
    issuer = Issuer()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told = issuer.answer(self.path)
            body = json.dumps(told or {}).encode()
            self.send_response(503 if told is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer.url = f"http://127.0.0.1:{server.server_port}"
    issuer.reset()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
