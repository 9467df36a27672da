"""Which addresses are sent to: those of public hosts, and of private ones that a setting names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import quote, urlsplit

import idna

#: What is no public address, by IANA's registries of special-purpose addresses (RFC 6890). Written out, because Python's
#: own lists change between its patch releases.
_SPECIAL_4 = [
    ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' NAT
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's platform, seen from its machines
        "169.254.0.0/16",  # link-local, with the metadata services of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
]
#: Only this part of IPv6 is given out (RFC 4291); with it fall ::1, IPv4-compatible, unique local, link-local, multicast.
_GLOBAL_6 = ip_network("2000::/3")
_SPECIAL_6 = [
    ip_network(network)
    for network in (
        "2001::/23",  # Teredo, which hides an IPv4 address, and other protocols
        "2001:db8::/32",
        "2002::/16",  # 6to4, which hides an IPv4 address
        "3fff::/20",
    )
]
#: Networks with DNS64 give every IPv4 host such an address (RFC 6052): what it hides decides.
_NAT64 = ip_network("64:ff9b::/96")


class NoTarget(ValueError):
    """This is no http or https address."""


@dataclass(frozen=True)
class Target:
    """An address in parts, as it is sent."""

    is_tls: bool
    host: str
    port: int
    authority: str
    path: str
    is_private: bool


def read_target(url: str, private_hosts: frozenset[str]) -> Target:
    """Take an address apart.

    :raises NoTarget: if it is none of http or https.
    """
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
        if not host.isascii():
            host = idna.encode(host, uts46=True).decode()
    except (ValueError, UnicodeError) as error:
        raise NoTarget from error
    is_sound = re.fullmatch(r"[a-z0-9._:-]+", host) and not re.search(r"[\s\0]", url)
    if parts.scheme not in ("http", "https") or "@" in parts.netloc or not is_sound:
        raise NoTarget
    is_tls = parts.scheme == "https"
    bracketed = f"[{host}]" if ":" in host else host
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    if parts.query:
        path += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~-._?[]")
    return Target(
        is_tls=is_tls,
        host=host,
        port=port or (443 if is_tls else 80),
        authority=bracketed if port is None else f"{bracketed}:{port}",
        path=path,
        is_private=host in private_hosts or bracketed in private_hosts,
    )


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv4Address):
        return found.is_global and not any(found in network for network in _SPECIAL_4)
    hidden = _hidden(found)
    if hidden is not None:
        return is_public(str(hidden))
    return found.is_global and found in _GLOBAL_6 and not any(found in network for network in _SPECIAL_6)


def _hidden(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one only stands for."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped
