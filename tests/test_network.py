from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollsvc.network import client_address, network_of, parse_networks

TRUSTED = parse_networks("10.0.0.0/8, 192.168.1.1, 2001:db8:ffff::/48")


def found(peer: str, forwarded_for: str | None, trusted: str = "10.0.0.0/8") -> str:
    return str(client_address(peer, forwarded_for, parse_networks(trusted)))


class TestClientAddress:
    @pytest.mark.parametrize("header", [None, "", "203.0.113.5", "10.0.0.1, 10.0.0.2"], ids=repr)
    @pytest.mark.parametrize("peer", ["198.51.100.7", "127.0.0.1", "192.168.0.1", "::1"])
    def test_no_header_is_trusted_by_default(self, peer: str, header: str | None) -> None:
        assert found(peer, header, trusted="") == peer

    def test_header_from_a_peer_outside_the_trusted_is_ignored(self) -> None:
        assert found("198.51.100.7", "203.0.113.5") == "198.51.100.7"

    @pytest.mark.parametrize(
        ("header", "client"),
        [
            pytest.param(None, "10.0.0.1", id="no header"),
            pytest.param("", "10.0.0.1", id="empty header"),
            pytest.param("203.0.113.5", "203.0.113.5", id="one hop"),
            pytest.param(" 203.0.113.5 ,\t10.0.0.2 ", "203.0.113.5", id="white space around"),
            pytest.param("203.0.113.5, 10.9.9.9, 192.168.1.1", "203.0.113.5", id="past every trusted one"),
            pytest.param(
                "6.6.6.6, 203.0.113.5", "203.0.113.5", id="what the client wrote itself is not read"
            ),
            pytest.param("10.0.0.7, 203.0.113.5", "203.0.113.5", id="nor is a trusted address it wrote"),
            pytest.param(
                "203.0.113.5,10.0.0.2,6.6.6.6,10.0.0.3", "6.6.6.6", id="joined headers: the rightmost"
            ),
            pytest.param("192.168.7.7, 10.0.0.2", "192.168.7.7", id="a private client"),
            pytest.param("127.0.0.1", "127.0.0.1", id="a loopback client"),
            pytest.param("10.0.0.3, 10.0.0.2", "10.0.0.3", id="all trusted: the leftmost"),
            pytest.param("2001:db8:1::5, 2001:db8:ffff::2", "2001:db8:1::5", id="IPv6"),
        ],
    )
    def test_header_from_a_trusted_peer_is_read_from_the_right(self, header: str | None, client: str) -> None:
        assert str(client_address("10.0.0.1", header, TRUSTED)) == client

    @pytest.mark.parametrize(
        ("header", "client"),
        [
            pytest.param("203.0.113.5, unknown", "10.0.0.1", id="garbage beside the peer"),
            pytest.param("203.0.113.5, unknown, 10.0.0.2", "10.0.0.2", id="garbage in the middle"),
            pytest.param("unknown, 203.0.113.5", "203.0.113.5", id="garbage left of the client"),
            pytest.param("203.0.113.5, , 10.0.0.2", "10.0.0.2", id="empty entry in the middle"),
            pytest.param("203.0.113.5,", "10.0.0.1", id="empty entry at the end"),
            pytest.param(",10.0.0.2", "10.0.0.2", id="empty entry at the start"),
            pytest.param("203.0.113.5, unix:", "10.0.0.1", id="Unix socket"),
        ],
    )
    def test_garbage_stops_at_the_last_good_address(self, header: str, client: str) -> None:
        assert found("10.0.0.1", header) == client

    @pytest.mark.parametrize(
        "entry",
        [
            "256.1.1.1", "1.2.3", "01.2.3.4", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:123456", "1.2.3.4%eth0",
            "1.2.3.4/32", "[1.2.3.4]", "[::1", "::1]", "[]", "[::1]:x", "[::1]x", "1::2::3", "%", "%eth0",
            "'1.2.3.4'", '"[::1]"', "for=1.2.3.4", "\u0661.2.3.4", "1.2.3.4:\u0661", "1.2.3.4 5.6.7.8",
            "_hidden", "localhost", "16909060",
        ],
    )  # fmt: skip
    def test_what_is_not_an_address_is_garbage(self, entry: str) -> None:
        assert found("10.0.0.1", entry) == "10.0.0.1"

    @pytest.mark.parametrize(
        ("entry", "client"),
        [
            pytest.param("1.2.3.4:567", "1.2.3.4", id="IPv4 with port"),
            pytest.param("[2001:db8::1]:80", "2001:db8::1", id="IPv6 with port"),
            pytest.param("[2001:db8::1]", "2001:db8::1", id="IPv6 in brackets"),
            pytest.param("2001:DB8:0::1", "2001:db8::1", id="IPv6 written at length"),
            pytest.param("fe80::1%eth0", "fe80::1", id="zone"),
            pytest.param("[fe80::1%25eth0]:80", "fe80::1", id="zone in brackets"),
            pytest.param("::ffff:1.2.3.4", "1.2.3.4", id="mapped"),
            pytest.param("::ffff:102:304", "1.2.3.4", id="mapped in hex"),
            pytest.param("[::ffff:1.2.3.4]:80", "1.2.3.4", id="mapped with port"),
            pytest.param("::ffff:1.2.3.4%eth0", "1.2.3.4", id="mapped with zone"),
            pytest.param("::1.2.3.4", "::102:304", id="compatible is not mapped"),
        ],
    )
    def test_ports_zones_and_mapping_are_taken_off(self, entry: str, client: str) -> None:
        address = ip_address(client)
        assert client_address("10.0.0.1", entry, TRUSTED) == address
        assert client_address(entry, None, ()) == address

    @pytest.mark.parametrize("peer", ["", "unix:", "unix:/run/app.sock", "localhost", "@"])
    def test_peer_that_is_no_address_has_no_client(self, peer: str) -> None:
        assert client_address(peer, "203.0.113.5", TRUSTED) is None

    @pytest.mark.parametrize("peer", ["::ffff:10.0.0.1", "[::ffff:10.0.0.1]:5000", "10.0.0.1:5000"])
    def test_mapped_peer_is_in_an_ipv4_network(self, peer: str) -> None:
        assert found(peer, "203.0.113.5") == "203.0.113.5"

    @pytest.mark.parametrize("peer", ["10.0.0.1", "::ffff:10.0.0.1"])
    def test_mapped_network_trusts_ipv4(self, peer: str) -> None:
        mapped = [IPv6Network("::ffff:10.0.0.0/104")]
        assert str(client_address(peer, "203.0.113.5", mapped)) == "203.0.113.5"

    @pytest.mark.parametrize("peer", ["10.0.0.1", "::ffff:10.0.0.1"])
    def test_trust_in_all_of_ipv6_is_no_trust_in_ipv4(self, peer: str) -> None:
        assert found(peer, "203.0.113.5", trusted="::/0") == "10.0.0.1"

    def test_trusted_peer_with_a_zone_is_trusted(self) -> None:
        assert found("fe80::1%eth0", "203.0.113.5", trusted="fe80::/10") == "203.0.113.5"

    @given(st.text(st.sampled_from("0123456789abf.:,[]% \t")) | st.text())
    def test_no_header_moves_an_untrusted_peer(self, header: str) -> None:
        assert found("198.51.100.7", header) == "198.51.100.7"

    @given(st.text(st.sampled_from("0123456789abf.:,[]% \t")) | st.text())
    def test_what_a_client_writes_left_of_its_address_does_not_matter(self, header: str) -> None:
        assert found("10.0.0.1", f"{header},203.0.113.5, 10.0.0.2") == "203.0.113.5"


class TestNetworkOf:
    @pytest.mark.parametrize(
        ("address", "network"),
        [
            pytest.param("203.0.113.9", "203.0.113.9/32", id="IPv4 alone"),
            pytest.param("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", id="IPv6 by its /64"),
            pytest.param("2001:db8::", "2001:db8::/64", id="the first of a /64"),
            pytest.param("::1", "::/64", id="loopback"),
            pytest.param("fe80::1%eth0", "fe80::/64", id="zone is dropped"),
            pytest.param("::ffff:203.0.113.9", "203.0.113.9/32", id="mapped is IPv4"),
        ],
    )
    def test_network(self, address: str, network: str) -> None:
        assert network_of(ip_address(address)) == network

    @given(st.ip_addresses())
    def test_address_is_in_its_network(self, address: str) -> None:
        parsed = client_address(str(address), None, ())
        assert parsed is not None
        assert parsed in ip_network(network_of(parsed))


class TestParseNetworks:
    @pytest.mark.parametrize(
        ("text", "networks"),
        [
            pytest.param("", [], id="nothing"),
            pytest.param(" , ", [], id="empty items"),
            pytest.param("10.0.0.0/8", ["10.0.0.0/8"], id="one"),
            pytest.param(" 10.0.0.0/8,::1 ,", ["10.0.0.0/8", "::1/128"], id="several in their order"),
            pytest.param("192.0.2.1", ["192.0.2.1/32"], id="a single address"),
            pytest.param("10.0.0.0/255.0.0.0", ["10.0.0.0/8"], id="a netmask"),
            pytest.param("0.0.0.0/0,::/0", ["0.0.0.0/0", "::/0"], id="everybody"),
            pytest.param("::ffff:10.0.0.0/104", ["10.0.0.0/8"], id="mapped network"),
            pytest.param("::ffff:192.0.2.1", ["192.0.2.1/32"], id="mapped address"),
            pytest.param("::ffff:0:0/96", ["0.0.0.0/0"], id="all of the mapped"),
            pytest.param("::/64", ["::/64"], id="wider than the mapped"),
        ],
    )
    def test_networks(self, text: str, networks: list[str]) -> None:
        assert parse_networks(text) == tuple(ip_network(network) for network in networks)

    @pytest.mark.parametrize(
        "item",
        ["proxy", "10.0.0.0/33", "10.0.0/8", "10.0.0.0 /8", "1.2.3.4:80", "[::1]", "fe80::1%eth0", "*", "/8"],
    )
    def test_item_that_is_no_network_is_named(self, item: str) -> None:
        with pytest.raises(ValueError, match="is not a network") as caught:
            parse_networks(f"10.0.0.0/8, {item}")
        assert repr(item) in str(caught.value)

    @pytest.mark.parametrize(
        ("item", "meant"), [("10.0.0.1/8", "10.0.0.0/8"), ("2001:db8::1/32", "2001:db8::/32")]
    )
    def test_bits_beyond_the_prefix_are_refused_with_what_was_meant(self, item: str, meant: str) -> None:
        with pytest.raises(ValueError, match="beyond its prefix") as caught:
            parse_networks(item)
        assert f"did you mean {meant}?" in str(caught.value)

    def test_types_are_of_the_standard_library(self) -> None:
        assert parse_networks("10.0.0.0/8,::1") == (IPv4Network("10.0.0.0/8"), IPv6Network("::1/128"))
