"""Whose request it is, as far as the network tells.

The address is what limits are counted by, so nobody may choose their own: a forwarding header is text from a
stranger until the machine that wrote it is one we were told to trust.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

# A port is what some load balancers add; a zone (%eth0) means something only on the machine that wrote it.
_IPV4_WITH_PORT = re.compile(r"([0-9.]+):[0-9]{1,5}")
_IPV6_IN_BRACKETS = re.compile(r"\[([0-9a-fA-F.]*:[0-9a-fA-F:.]*)(?:%[^\[\]]*)?\](?::[0-9]{1,5})?")
_IPV6_WITH_ZONE = re.compile(r"([0-9a-fA-F.]*:[0-9a-fA-F:.]*)%.*")

_MAPPED = IPv6Network("::ffff:0:0/96")


def client_address(
    peer: str, forwarded_for: str | None, trusted: Sequence[IPv4Network | IPv6Network]
) -> IPv4Address | IPv6Address | None:
    """Return the address of the client, or None where the peer is not an address (a Unix socket).

    `peer` is the other end of the connection, `forwarded_for` the X-Forwarded-For headers joined by commas.
    The header counts only if the peer is in `trusted`; then it is read from the right, past every trusted
    address, to the first that is not. Private addresses there are clients like others. If all are trusted,
    the leftmost is the client. Where an entry is not an address, an empty one included, reading stops at the
    last good one: what stands further left may be of the client's own making.

    An IPv4-mapped IPv6 address is the IPv4 address, in the result and in `trusted`; a zone is dropped.
    """
    client = _parse_address(peer)
    if client is None:
        return None
    networks = [_unmapped(network) for network in trusted]
    # From the right one entry at a time, lest a long header costs more than the part that is read.
    remaining = forwarded_for
    while remaining is not None and any(client in network for network in networks):
        head, comma, entry = remaining.rpartition(",")
        address = _parse_address(entry)
        if address is None:
            break
        client = address
        remaining = head if comma else None
    return client


def network_of(address: IPv4Address | IPv6Address) -> str:
    """Return the network that stands for one subscriber: an IPv4 address as /32, an IPv6 address by its /64.

    A household is handed a whole /64 and picks a new address from it at will. An IPv4-mapped address is IPv4.
    """
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        # From the number, which has no zone.
        return str(IPv6Network((int(address), 64), strict=False))
    return f"{_unmapped_address(address)}/32"


def parse_networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the networks of a comma-separated setting such as `10.0.0.0/8, ::1`, in its order.

    A single address is a network of one; empty items are skipped, so an empty text trusts nobody. IPv4-mapped
    networks are returned as IPv4. Raises ValueError naming the item that is not a network, and one whose
    address has bits beyond its prefix, which more often is a slip than a wish.
    """
    return tuple(_parse_network(item.strip()) for item in text.split(",") if item.strip())


def _parse_network(item: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(item, strict=False)
        is_exact = ip_address(item.partition("/")[0]) == network.network_address
    except ValueError:
        network, is_exact = None, False
    if network is None or "%" in item:
        raise ValueError(f"{item!r} is not a network: write an address, or a prefix such as 10.0.0.0/8.")
    if not is_exact:
        raise ValueError(f"{item!r} has bits set beyond its prefix: did you mean {network}?")
    return _unmapped(network)


def _parse_address(text: str) -> IPv4Address | IPv6Address | None:
    text = text.strip()
    bare = (
        _IPV6_IN_BRACKETS.fullmatch(text)
        or _IPV4_WITH_PORT.fullmatch(text)
        or _IPV6_WITH_ZONE.fullmatch(text)
    )
    try:
        return _unmapped_address(ip_address(bare[1] if bare else text))
    except ValueError:
        return None


def _unmapped_address(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    return address if isinstance(address, IPv4Address) else address.ipv4_mapped or address


def _unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    # A wider one, ::/0 for instance, is about IPv6 and stays so.
    if isinstance(network, IPv4Network) or not network.subnet_of(_MAPPED):
        return network
    return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
