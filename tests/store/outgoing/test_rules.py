"""Which addresses the store takes at all, before it looks anything up."""

from ipaddress import ip_network

import pytest
from pydantic import ValidationError

from store.core.outgoing.rules import OutgoingRefusedError, Rules, current_rules, target_of
from store.env import Env

STRICT = Rules()
OPEN = Rules(allows_http=True, ports=frozenset(), networks=(ip_network("127.0.0.0/8"),))


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "unix:///run/x.sock",
        "gopher://example.org/",
        "javascript:alert(1)",
        "//example.org/",
        "example.org",
        "/etc/passwd",
        "",
        "https://",
        "https:///path",
        "https://example.org:22/",
        "https://example.org:8443/",
        "https://example.org:0/",
        "https://example.org:99999/",
        "https://example.org:x/",
        "https://user:password@example.org/",
        "https://user@example.org/",
        "https://@example.org/",
        "https://example.org\\@127.0.0.1/",
        "https://exam ple.org/",
        "https://example.org/a b",
        "https://example.org/\r\nX: y",
        "https://example.org/\x00",
        "https://例え.jp/",
        "https://ⓔxample.org/",
        "https://-a.example.org/",
        "https://a..b/",
        "https://.example.org/",
        "https://%65xample.org/",
        "https://127.0.0.1/",
        "https://127.0.0.1./",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[fe80::1%25eth0]/",
        "https://[::1",
        "https://[v1.a]/",
        "https://[example.org]/",
        "https://example.org/" + "a" * 2000,
    ],
)
def test_an_address_the_rules_do_not_allow_is_refused_in_one_text(url: str) -> None:
    with pytest.raises(OutgoingRefusedError) as caught:
        target_of(url, STRICT)

    assert (caught.value.code, caught.value.status) == ("address_refused", 400)
    assert caught.value.message == OutgoingRefusedError().message
    assert caught.value.extra == {}


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://example.org", "https://example.org/"),
        ("HTTPS://Example.ORG:443/a?b=c#d", "https://example.org/a?b=c"),
        ("https://example.org./x", "https://example.org/x"),
        ("https://example.org:80/x", "https://example.org:80/x"),
        ("https://example.org?x=1", "https://example.org/?x=1"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://[2606:4700:4700:0::1111]/", "https://[2606:4700:4700::1111]/"),
        ("https://a_b.example.org/%41", "https://a_b.example.org/%41"),
    ],
)
def test_an_address_has_one_spelling(url: str, normal: str) -> None:
    assert target_of(url, STRICT).url == normal


def test_a_site_may_allow_more() -> None:
    assert target_of("http://127.0.0.1:8123/x", OPEN).url == "http://127.0.0.1:8123/x"
    with pytest.raises(OutgoingRefusedError):
        target_of("http://10.0.0.1:8123/x", OPEN)
    with pytest.raises(OutgoingRefusedError):
        target_of("http://[::ffff:127.0.0.1]:8123/x", OPEN)


def test_settings_are_read_as_lists(settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert current_rules() == STRICT

    monkeypatch.setenv("STORE_OUTGOING_PORTS", "443, 8443")
    monkeypatch.setenv("STORE_OUTGOING_NETWORKS", "127.0.0.0/8, ::1/128")
    monkeypatch.setenv("STORE_OUTGOING_HTTP", "true")
    settings.ENV = Env()

    networks = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    assert current_rules() == Rules(True, frozenset({443, 8443}), networks)
    settings.ENV = settings.ENV.model_copy(update={"outgoing_ports": (0,)})
    assert current_rules().ports == frozenset()


@pytest.mark.parametrize(
    ("name", "value"),
    [("NETWORKS", "127.0.0.1/8"), ("NETWORKS", "all"), ("PORTS", "70000"), ("PORTS", "http")],
)
def test_a_mistake_in_the_settings_is_told_at_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"STORE_OUTGOING_{name}", value)

    with pytest.raises(ValidationError):
        Env()
