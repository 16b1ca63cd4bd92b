"""Where the store sends requests that strangers ask for, and where never."""

import re
from dataclasses import dataclass
from typing import Literal, cast
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from store.core.errors import InvalidError
from store.core.outgoing.addresses import Network, is_public, parse

MAX_URL_CHARS = 2000
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*")
_VISIBLE = re.compile(r"[!-~]+")
_STANDARD_PORTS = {"http": 80, "https": 443}


class OutgoingRefusedError(InvalidError):
    """The store does not send there. The text never tells which rule it was.

    Whoever chooses an address would otherwise learn from the answers what is inside our network.
    """

    code = "address_refused"

    def __init__(self) -> None:
        super().__init__(
            _(
                "The store does not send to this address. It takes https addresses of the public"
                " internet, without a user name, on one of the ports its operators allow."
            )
        )


@dataclass(frozen=True, slots=True)
class Rules:
    """What one site allows."""

    allows_http: bool = False
    ports: frozenset[int] = frozenset({80, 443})
    """Empty: any."""
    networks: tuple[Network, ...] = ()
    """Not public, and allowed all the same."""

    def allow(self, text: str) -> bool:
        """Whether connections may go to the address ``text``."""
        address = parse(text)
        if address is None:
            return False
        return is_public(address) or any(address in network for network in self.networks)


@dataclass(frozen=True, slots=True)
class Target:
    """An address in its parts, none of which can be read in two ways."""

    scheme: Literal["http", "https"]
    host: str
    """A lower-case name, or an IP address without brackets."""
    port: int
    path: str
    """With the query; begins with ``/``."""

    @property
    def url(self) -> str:
        """The whole address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _STANDARD_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"


def current_rules() -> Rules:
    """Return the rules of this site."""
    env = settings.ENV
    return Rules(
        allows_http=env.outgoing_http,
        ports=frozenset(env.outgoing_ports) - {0} if 0 not in env.outgoing_ports else frozenset(),
        networks=tuple(env.outgoing_networks),
    )


def target_of(url: str, rules: Rules) -> Target:
    """Return the parts of ``url``, looking nothing up.

    Raises:
        OutgoingRefusedError: the rules do not allow it, or it is no address.
    """
    if len(url) > MAX_URL_CHARS or not _VISIBLE.fullmatch(url) or "\\" in url:
        raise OutgoingRefusedError
    try:
        parts = urlsplit(url)
        port, host = parts.port, _host_of(parts)
    except ValueError as error:
        raise OutgoingRefusedError from error
    schemes = {"http", "https"} if rules.allows_http else {"https"}
    if parts.scheme not in schemes or "@" in parts.netloc or host is None:
        raise OutgoingRefusedError
    port = _STANDARD_PORTS[parts.scheme] if port is None else port
    if rules.ports and port not in rules.ports:
        raise OutgoingRefusedError
    if parse(host) is not None and not rules.allow(host):
        raise OutgoingRefusedError
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(cast("Literal['http', 'https']", parts.scheme), host, port, path)


def _host_of(parts: SplitResult) -> str | None:
    """Return the host in one spelling, ``None`` when it is neither a name nor an address."""
    host = (parts.hostname or "").removesuffix(".")
    if "[" in parts.netloc:
        address = parse(host)
        return None if address is None else str(address)
    return host if _HOST.fullmatch(host) else None
