"""Sends a request to an address a stranger chose, so that it can only reach the public internet.

The name is looked up once, every address it has is checked, and each is checked again at the
moment of connecting, in libcurl's open-socket callback: a name that means something else by then
gains nothing. No proxy, no redirect, no decompression; the whole exchange has one deadline.
"""

import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import certifi
import pycurl

from store.core.errors import StoreError
from store.core.outgoing.addresses import Address, parse
from store.core.outgoing.rules import OutgoingRefusedError, Rules, Target, current_rules, target_of

TIMEOUT_S = 10.0
"""For the look-up, the connection and the whole answer together, in seconds."""
MAX_ANSWER_BYTES = 64 * 1024
"""So much of an answer is read, and dropped; headers count by themselves."""
MAX_ADDRESSES = 8
"""Addresses of one name that are tried."""
USER_AGENT = "gpt-store"

Resolver = Callable[[str, int], list[str]]


class OutgoingError(StoreError):
    """The request was sent, or tried, and brought no whole answer. Worth another attempt."""

    code = "connection"


class OutgoingTimeoutError(OutgoingError):
    """There was no whole answer in time."""

    code = "timeout"


class OutgoingTlsError(OutgoingError):
    """The certificate is not good for the name, or no encryption could be agreed on."""

    code = "tls"


class BadAnswerError(OutgoingError):
    """What came back is no HTTP, or its headers have no end."""

    code = "bad_answer"


@dataclass(frozen=True, slots=True)
class Answer:
    """All that is kept of an answer: what it says goes to nobody."""

    status: int
    duration_s: float


def look_up(host: str, port: int) -> list[str]:
    """Return the addresses of a name, in the order to try them. Raises ``OSError``."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    rules: Rules | None = None,
    resolver: Resolver = look_up,
    timeout_s: float = TIMEOUT_S,
) -> Answer:
    """Send ``body`` to ``url`` and read the answer's status.

    Args:
        url: Where to.
        body: What to send.
        headers: Names and values; our callers' own, checked for line ends by them.
        rules: ``None``: those of this site.
        resolver: Finds the addresses of a name.
        timeout_s: For everything together, in seconds.

    Raises:
        OutgoingRefusedError: the rules do not allow it, or the name leads nowhere: the two look
            the same. No connection was made.
        OutgoingError: there was no whole answer; the subclass says why.
    """
    started = time.monotonic()
    rules = rules or current_rules()
    target = target_of(url, rules)
    addresses = _addresses_of(target, rules, resolver, within_s=timeout_s)
    left_s = timeout_s - (time.monotonic() - started)
    exchange = _Exchange(target, rules, frozenset(map(parse, addresses)))
    status = exchange.run(body, headers, addresses, within_s=left_s)
    return Answer(status, time.monotonic() - started)


def _addresses_of(
    target: Target, rules: Rules, resolver: Resolver, *, within_s: float
) -> list[str]:
    """Look the name up once; refuse it whole if one of its addresses is not allowed."""
    answers: queue.SimpleQueue[list[str] | OSError | UnicodeError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(resolver(target.host, target.port))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    # The system's resolver cannot be interrupted; it gives up by itself long after our deadline.
    threading.Thread(target=ask, name="look-up", daemon=True).start()
    try:
        found = answers.get(timeout=within_s)
    except queue.Empty as error:
        raise OutgoingTimeoutError("The name could not be looked up in time.") from error
    if isinstance(found, Exception) or not found or not all(map(rules.allow, found)):
        raise OutgoingRefusedError
    return found[:MAX_ADDRESSES]


@dataclass
class _Exchange:
    """One request and its answer."""

    target: Target
    rules: Rules
    checked: frozenset[Address | None]
    sockets: list[socket.socket] = field(default_factory=list)
    was_refused: bool = False
    header_bytes: int = 0
    body_bytes: int = 0

    def run(
        self, body: bytes, headers: Mapping[str, str], addresses: list[str], *, within_s: float
    ) -> int:
        """Do it; return the status. Raises as ``post`` does."""
        if within_s <= 0:
            raise OutgoingTimeoutError("There was no answer in time.")
        curl = pycurl.Curl()
        try:
            self._prepare(curl, within_s)
            curl.setopt(pycurl.RESOLVE, [self._pinned(addresses)])
            curl.setopt(pycurl.POST, 1)
            curl.setopt(pycurl.POSTFIELDS, body)
            lines = [f"{name}: {value}" for name, value in headers.items()]
            curl.setopt(pycurl.HTTPHEADER, [*lines, "Expect:"])
            curl.perform()
        except pycurl.error as error:
            self._judge(error.args[0])
        finally:
            status = int(curl.getinfo(pycurl.RESPONSE_CODE))
            curl.close()
            for opened in self.sockets:
                opened.close()
        return status

    def _prepare(self, curl: Any, within_s: float) -> None:
        """Set everything that does not depend on what is sent."""
        options = {
            pycurl.URL: self.target.url,
            pycurl.PROTOCOLS: pycurl.PROTO_HTTPS
            | (pycurl.PROTO_HTTP if self.rules.allows_http else 0),
            pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
            pycurl.FOLLOWLOCATION: 0,
            pycurl.PROXY: "",
            pycurl.NOPROXY: "*",
            pycurl.NOSIGNAL: 1,
            pycurl.TIMEOUT_MS: max(1, int(within_s * 1000)),
            pycurl.USERAGENT: USER_AGENT,
            pycurl.SSL_VERIFYPEER: 1,
            pycurl.SSL_VERIFYHOST: 2,
            pycurl.SSLVERSION: pycurl.SSLVERSION_TLSv1_2,
            pycurl.OPENSOCKETFUNCTION: self._open,
            pycurl.HEADERFUNCTION: self._take_header,
            pycurl.WRITEFUNCTION: self._take_body,
        }
        trusted = ssl.get_default_verify_paths()  # heeds SSL_CERT_FILE and SSL_CERT_DIR
        options[pycurl.CAINFO] = trusted.cafile or certifi.where()
        if trusted.capath:
            options[pycurl.CAPATH] = trusted.capath
        for option, value in options.items():
            curl.setopt(option, value)

    def _pinned(self, addresses: list[str]) -> str:
        """Return the line that tells libcurl what the name means, so that it asks nobody."""
        shown = [f"[{each}]" if ":" in each else each for each in addresses]
        host = f"[{self.target.host}]" if ":" in self.target.host else self.target.host
        return f"{host}:{self.target.port}:{','.join(shown)}"

    def _open(self, _purpose: int, peer: Any) -> Any:
        """Open a socket for libcurl, unless it is about to connect to where it must not."""
        address, port = peer.addr[0], peer.addr[1]
        is_ours = parse(address) in self.checked and port == self.target.port
        if not is_ours or not self.rules.allow(address):
            self.was_refused = True
            return pycurl.SOCKET_BAD
        opened = socket.socket(peer.family, peer.socktype, peer.protocol)
        self.sockets.append(opened)  # libcurl works on a copy of the descriptor
        return opened

    def _take_header(self, line: bytes) -> int | None:
        self.header_bytes += len(line)
        return -1 if self.header_bytes > MAX_ANSWER_BYTES else None

    def _take_body(self, piece: bytes) -> int | None:
        self.body_bytes += len(piece)
        return -1 if self.body_bytes > MAX_ANSWER_BYTES else None

    def _judge(self, code: int) -> None:
        """Turn libcurl's complaint into ours; an answer that is only too long is one."""
        if self.was_refused:
            raise OutgoingRefusedError
        if self.body_bytes > MAX_ANSWER_BYTES:
            return
        if code == pycurl.E_OPERATION_TIMEDOUT:
            raise OutgoingTimeoutError("There was no whole answer in time.")
        if code in _TLS:
            raise OutgoingTlsError("No safe connection could be made.")
        if code in _BAD:
            raise BadAnswerError("What came back is no HTTP.")
        raise OutgoingError("The connection could not be made, or broke.")


_TLS = {
    pycurl.E_SSL_CONNECT_ERROR,
    pycurl.E_PEER_FAILED_VERIFICATION,
    pycurl.E_SSL_CERTPROBLEM,
    pycurl.E_SSL_CIPHER,
    pycurl.E_SSL_ISSUER_ERROR,
}
_BAD = {
    pycurl.E_WRITE_ERROR,  # our own callbacks: headers without end
    pycurl.E_UNSUPPORTED_PROTOCOL,  # HTTP/0.9
    pycurl.E_FTP_WEIRD_SERVER_REPLY,  # of any server, whatever the name says
    pycurl.E_GOT_NOTHING,
    pycurl.E_PARTIAL_FILE,
    100,  # CURLE_TOO_LARGE: one header line of 100 kB
}
