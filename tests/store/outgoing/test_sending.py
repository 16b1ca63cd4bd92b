"""Real requests to real sockets; none ever reaches an address that is not allowed."""

import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from store.core.outgoing import sending
from store.core.outgoing.rules import OutgoingRefusedError, Rules
from store.core.outgoing.sending import (
    BadAnswerError,
    OutgoingError,
    OutgoingTimeoutError,
    OutgoingTlsError,
    post,
)
from tests import receivers
from tests.receivers import Receiver

LOOPBACK = Rules(
    allows_http=True,
    ports=frozenset(),
    networks=(ip_network("127.0.0.1/32"), ip_network("::1/128")),
)
PUBLIC = Rules(allows_http=True, ports=frozenset())


def names(*answers: list[str]):
    """A resolver that says something else each time, the last thing for ever."""
    asked = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return answers[min(len(asked), len(answers)) - 1]

    resolve.asked = asked  # type: ignore[attr-defined]
    return resolve


def test_a_request_arrives_as_it_was_meant() -> None:
    with Receiver(receivers.status(204)) as receiver:
        resolver = names(["127.0.0.1"])
        url = f"http://hooks.example.org:{receiver.port}/a/b?c=d#e"
        answer = post(
            url,
            b'{"a": 1}',
            {"Content-Type": "application/json"},
            rules=LOOPBACK,
            resolver=resolver,
        )

    [request] = receiver.requests
    assert (answer.status, request.line) == (204, "POST /a/b?c=d HTTP/1.1")
    assert 0 < answer.duration_s < 5
    assert request.body == b'{"a": 1}'
    assert request.headers == {
        "host": f"hooks.example.org:{receiver.port}",
        "user-agent": "gpt-store",
        "accept": "*/*",
        "content-type": "application/json",
        "content-length": "8",
    }
    assert resolver.asked == [("hooks.example.org", receiver.port)]


def test_the_systems_own_names_work() -> None:
    with Receiver() as receiver:
        answer = post(receiver.url.replace("127.0.0.1", "localhost"), b"", {}, rules=LOOPBACK)

    assert (answer.status, receiver.connections) == (200, 1)


def test_ipv6_works() -> None:
    with Receiver(host="::1") as receiver:
        assert post(receiver.url, b"x", {}, rules=LOOPBACK).status == 200

    assert receiver.requests[0].headers["host"] == f"[::1]:{receiver.port}"


def test_the_next_address_is_tried_when_the_first_is_dead() -> None:
    with Receiver() as receiver:
        url = f"http://a.example.org:{receiver.port}/"
        rules = Rules(True, frozenset(), (ip_network("127.0.0.0/8"),))
        assert post(url, b"", {}, rules=rules, resolver=names(["127.0.0.9", "127.0.0.1"]))

    assert receiver.connections == 1


# ── where it never goes ─────────────────────────────────────────────────────────────────────────

SPELLINGS = [
    "127.0.0.1",
    "127.1",
    "0x7f.1",
    "0x7f000001",
    "2130706433",
    "017700000001",
    "127.0.0.1.",
    "0",
    "0.0.0.0",  # noqa: S104 - asked for, not bound to
    "localhost",
    "LOCALHOST",
    "localhost.",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[0:0:0:0:0:0:0:1]",
]


@pytest.mark.parametrize("host", SPELLINGS)
def test_no_spelling_of_this_machine_is_connected_to(host: str) -> None:
    with Receiver() as four, Receiver(host="::1", port=four.port) as six:
        with pytest.raises(OutgoingRefusedError) as caught:
            post(f"http://{host}:{four.port}/", b"secret", {}, rules=PUBLIC)

        assert caught.value.message == OutgoingRefusedError().message
        assert (four.connections, six.connections) == (0, 0)


@pytest.mark.parametrize(
    "found",
    [
        ["127.0.0.1"],
        ["93.184.216.34", "127.0.0.1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["100.64.0.1"],
        ["224.0.0.1"],
        ["fe80::1%lo"],
        ["no address"],
        [],
    ],
)
def test_a_name_is_refused_whole_if_one_of_its_addresses_is(found: list[str]) -> None:
    with Receiver() as receiver:
        url = f"http://inside.example.org:{receiver.port}/"
        with pytest.raises(OutgoingRefusedError):
            post(url, b"secret", {}, rules=PUBLIC, resolver=names(found))

        assert receiver.connections == 0


def test_a_name_that_does_not_exist_looks_like_one_that_is_ours() -> None:
    def missing(_host: str, _port: int) -> list[str]:
        raise OSError("no such name")

    with pytest.raises(OutgoingRefusedError) as absent:
        post("https://nothing.example.org/", b"", {}, resolver=missing)
    with pytest.raises(OutgoingRefusedError) as ours:
        post("https://inside.example.org/", b"", {}, resolver=names(["10.0.0.1"]))

    assert (absent.value.message, absent.value.extra) == (ours.value.message, ours.value.extra)


def test_a_name_is_looked_up_once_so_rebinding_gains_nothing() -> None:
    with Receiver() as allowed, Receiver(host="127.0.0.2", port=allowed.port) as forbidden:
        resolver = names(["127.0.0.1"], ["127.0.0.2"])
        post(f"http://re.example.org:{allowed.port}/", b"", {}, rules=LOOPBACK, resolver=resolver)

        assert (allowed.connections, forbidden.connections, len(resolver.asked)) == (1, 0, 1)


def test_the_address_is_checked_again_when_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if libcurl were told another address than the one that was checked."""
    monkeypatch.setattr(
        sending._Exchange,
        "_pinned",
        lambda self, _addresses: f"{self.target.host}:{self.target.port}:127.0.0.2",
    )
    with Receiver() as allowed, Receiver(host="127.0.0.2", port=allowed.port) as forbidden:
        rules = Rules(True, frozenset(), (ip_network("127.0.0.0/8"),))
        url = f"http://re.example.org:{allowed.port}/"
        with pytest.raises(OutgoingRefusedError):
            post(url, b"", {}, rules=rules, resolver=names(["127.0.0.1"]))

        assert (allowed.connections, forbidden.connections) == (0, 0)


def test_the_rules_are_asked_again_when_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if the check after the look-up were not there."""
    monkeypatch.setattr(sending, "_addresses_of", lambda *_args, **_options: ["127.0.0.1"])
    with Receiver() as receiver:
        with pytest.raises(OutgoingRefusedError):
            post(f"http://re.example.org:{receiver.port}/", b"", {}, rules=PUBLIC)

        assert receiver.connections == 0


def test_redirects_are_not_followed() -> None:
    with Receiver() as inside, Receiver(receivers.redirect(inside.url)) as receiver:
        assert post(receiver.url, b"x", {}, rules=LOOPBACK).status == 307

        assert (receiver.connections, inside.connections) == (1, 0)


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as proxy, Receiver() as receiver:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert post(receiver.url, b"x", {}, rules=LOOPBACK).status == 200

        assert (proxy.connections, receiver.connections) == (0, 1)


# ── how much of its time and memory it gives ────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (receivers.hang, OutgoingTimeoutError),
        (receivers.drip, OutgoingTimeoutError),
        (receivers.drip_body, OutgoingTimeoutError),
        (receivers.many_headers, BadAnswerError),
        (receivers.long_header, BadAnswerError),
        (receivers.many_continues, BadAnswerError),
        (receivers.no_http, BadAnswerError),
        (receivers.close, BadAnswerError),
        (receivers.cut, BadAnswerError),
    ],
)
def test_a_hostile_answer_is_given_up_in_time(answer, error: type[OutgoingError]) -> None:
    with Receiver(answer) as receiver:
        started = time.monotonic()
        with pytest.raises(OutgoingError) as caught:
            post(receiver.url, b"x", {}, rules=LOOPBACK, timeout_s=1.0)

    assert type(caught.value) is error
    assert time.monotonic() - started < 10


def test_an_endless_answer_counts_by_its_status_after_64_kb(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = []
    take = sending._Exchange._take_body

    def count(self, piece: bytes) -> int | None:
        taken.append(len(piece))
        return take(self, piece)

    monkeypatch.setattr(sending._Exchange, "_take_body", count)
    with Receiver(receivers.endless) as receiver:
        answer = post(receiver.url, b"x", {}, rules=LOOPBACK)

    assert answer.status == 200
    assert 64 * 1024 < sum(taken) < 128 * 1024


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    monkeypatch.setattr(sending._Exchange, "_take_body", lambda self, b: taken.append(len(b)))
    with Receiver(receivers.gzip_bomb) as receiver:
        assert post(receiver.url, b"x", {}, rules=LOOPBACK).status == 200

    assert sum(taken) < 64 * 1024
    assert "accept-encoding" not in receiver.requests[0].headers


def test_a_look_up_that_hangs_costs_no_more_than_the_deadline() -> None:
    go = threading.Event()

    def slow(_host: str, _port: int) -> list[str]:
        go.wait(30)
        return ["127.0.0.1"]

    started = time.monotonic()
    with pytest.raises(OutgoingTimeoutError):
        post("http://slow.example.org/", b"", {}, rules=LOOPBACK, resolver=slow, timeout_s=0.3)

    assert time.monotonic() - started < 10
    go.set()


def test_the_look_up_and_the_answer_share_one_deadline() -> None:
    def slow(_host: str, _port: int) -> list[str]:
        time.sleep(0.9)
        return ["127.0.0.1"]

    with Receiver(receivers.hang) as receiver:
        url = f"http://slow.example.org:{receiver.port}/"
        started = time.monotonic()
        with pytest.raises(OutgoingTimeoutError):
            post(url, b"", {}, rules=LOOPBACK, resolver=slow, timeout_s=1.0)

    assert 0.9 < time.monotonic() - started < 1.8  # with a deadline each it would be 1.9


def test_nobody_listens() -> None:
    with Receiver() as receiver:
        url = receiver.url
    with pytest.raises(OutgoingError) as caught:
        post(url, b"", {}, rules=LOOPBACK)

    assert caught.value.code == "connection"


# ── TLS ─────────────────────────────────────────────────────────────────────────────────────────


def certificate(folder: Path, name: str) -> ssl.SSLContext:
    """A server's context with a certificate for ``name`` that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def test_the_certificate_is_checked_against_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = certificate(tmp_path, "hooks.example.org")
    asked = []
    tls.sni_callback = lambda _socket, name, _context: asked.append(name)
    resolver = names(["127.0.0.1"])
    with Receiver(tls=tls) as receiver:
        good = f"https://hooks.example.org:{receiver.port}/"
        with pytest.raises(OutgoingTlsError):
            post(good, b"secret", {}, rules=LOOPBACK, resolver=resolver)
        assert receiver.requests == []

        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        assert post(good, b"x", {}, rules=LOOPBACK, resolver=resolver).status == 200
        with pytest.raises(OutgoingTlsError):
            post(good.replace("hooks", "other"), b"", {}, rules=LOOPBACK, resolver=resolver)

    assert asked == ["hooks.example.org", "hooks.example.org", "other.example.org"]
    assert len(receiver.requests) == 1


def test_plain_http_is_refused_where_the_site_does_not_allow_it() -> None:
    rules = Rules(False, frozenset(), (ip_network("127.0.0.0/8"),))
    with Receiver() as receiver:
        with pytest.raises(OutgoingRefusedError):
            post(receiver.url, b"", {}, rules=rules)

        assert receiver.connections == 0


def test_the_machine_in_these_tests_is_not_public() -> None:
    assert not PUBLIC.allow("127.0.0.1")
    assert LOOPBACK.allow("127.0.0.1")
    assert not LOOPBACK.allow("127.0.0.2")
    assert ip_address("127.0.0.2").is_loopback
