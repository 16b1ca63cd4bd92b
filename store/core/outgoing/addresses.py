"""Which addresses of the internet are everybody's, whatever form they are written in.

Python's ``is_global`` alone is not enough: measured on 3.11 it says ``True`` for
``64:ff9b::7f00:1``, ``2002:7f00:1::``, ``::127.0.0.1``, ``fec0::1`` and ``224.0.0.1``.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are the IPv4 address a translator connects to."""
_COMPATIBLE = IPv6Network("::/96")
"""RFC 4291, 2.5.5.1: deprecated, still understood by some systems."""
_UNICAST = IPv6Network("2000::/3")
"""All global unicast addresses that exist; what lies outside is special in one way or another."""
_NEAREST = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))
"""Whoever is nearest: protocol assignments (a gateway of our own, RFC 7723) and 6to4 relays."""
_DOCUMENTATION = IPv6Network("3fff::/20")
"""RFC 9637; Python 3.11 does not know it."""


def parse(text: str) -> Address | None:
    """Return the address ``text`` is, ``None`` when it is none; ``%eth0`` makes it none, too."""
    try:
        return None if "%" in text else ip_address(text)
    except ValueError:
        return None


def is_public(address: Address) -> bool:
    """Whether a connection to ``address`` can only end on the public internet."""
    embedded = list(_embedded_in(address))
    if embedded:
        return all(is_public(inner) for inner in embedded)
    if not address.is_global or address.is_multicast:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NEAREST)
    return address in _UNICAST and address not in _DOCUMENTATION


def _embedded_in(address: Address) -> Iterator[IPv4Address]:
    """Yield the IPv4 addresses that gateways between the two internets read in ``address``."""
    if isinstance(address, IPv4Address):
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if address in _NAT64 or address in _COMPATIBLE:
        yield IPv4Address(int(address) & 0xFFFF_FFFF)
