"""Which addresses belong to everybody, in every form they can be written in."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.core.outgoing.addresses import is_public, parse

FORBIDDEN = [
    "0.0.0.0",  # noqa: S104 - an example, nothing listens
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.9",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "4000::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "2606:4700:4700::1111",
    "2a00:1450:4001:80b::200e",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
]


@pytest.mark.parametrize("text", FORBIDDEN)
def test_nothing_of_our_own_is_public(text: str) -> None:
    address = parse(text)

    assert address is not None
    assert not is_public(address)


@pytest.mark.parametrize("text", PUBLIC)
def test_the_internet_is_public(text: str) -> None:
    address = parse(text)

    assert address is not None
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_wrapping_an_address_never_makes_it_public(address) -> None:
    if is_public(address):
        return
    number = int(address)
    wrapped = [
        (0xFFFF << 32) | number,
        (0x0064FF9B << 96) | number,
        (0x2002 << 112) | (number << 80) | 1,
        (0x20010000 << 96) | (number << 64) | 1,
        number,
    ]

    assert not any(is_public(ip_address(each.to_bytes(16))) for each in wrapped)


@pytest.mark.parametrize(
    "text", ["fe80::1%eth0", "1.2.3", "0x7f.1", "2130706433", "", "a.b", "::g"]
)
def test_other_spellings_are_no_addresses(text: str) -> None:
    assert parse(text) is None
