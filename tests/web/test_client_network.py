"""Whose budget a request spends: by the network it came from, as far as that can be known."""

from collections.abc import Callable

import pytest
from flask import Flask

from pollsvc.network import parse_networks

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

#: Somebody calls: the peer's address and what its X-Forwarded-For says.
Call = tuple[str, str | None]
Spend = Callable[..., bool]


@pytest.fixture
def share_a_budget(make_app: Callable[..., Flask]) -> Spend:
    """Tell whether a second caller is refused after the first spent a budget of one."""

    def ask(first: Call, second: Call, trusted: str = "") -> bool:
        client = make_app(limit_voters="1/minute", trusted_proxies=parse_networks(trusted)).test_client()
        statuses = [
            client.post(
                "/v1/voters",
                environ_base={"REMOTE_ADDR": peer},
                headers={} if forwarded_for is None else {"X-Forwarded-For": forwarded_for},
            ).status_code
            for peer, forwarded_for in (first, second)
        ]
        assert statuses[0] == 201
        return statuses[1] == 429

    return ask


class TestWithoutProxies:
    @pytest.mark.parametrize(
        ("first", "second"),
        [
            pytest.param(("198.51.100.7", None), ("198.51.100.7", None), id="the same address"),
            pytest.param(("198.51.100.7", None), ("198.51.100.7", "203.0.113.5"), id="a made-up header"),
            pytest.param(("10.0.0.1", "203.0.113.5"), ("10.0.0.1", "203.0.113.6"), id="two made-up headers"),
            pytest.param(("127.0.0.1", None), ("127.0.0.1", "203.0.113.5"), id="from loopback"),
            pytest.param(("198.51.100.7", None), ("::ffff:198.51.100.7", None), id="IPv4 mapped to IPv6"),
            pytest.param(("2001:db8:1:2::1", None), ("2001:db8:1:2:ffff::9", None), id="one /64"),
            pytest.param(("", None), ("", "203.0.113.5"), id="a Unix socket"),
            pytest.param(("unix:", None), ("", None), id="two Unix sockets"),
        ],
    )
    def test_one_network_spends_one_budget(self, share_a_budget: Spend, first: Call, second: Call) -> None:
        assert share_a_budget(first, second)

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            pytest.param(("198.51.100.7", None), ("198.51.100.8", None), id="neighbours"),
            pytest.param(("2001:db8:1:2::1", None), ("2001:db8:1:3::1", None), id="two /64"),
            pytest.param(("::ffff:198.51.100.7", None), ("::ffff:198.51.100.8", None), id="two mapped ones"),
            pytest.param(("127.0.0.1", None), ("::1", None), id="loopback of each kind"),
        ],
    )
    def test_two_networks_spend_two(self, share_a_budget: Spend, first: Call, second: Call) -> None:
        assert not share_a_budget(first, second)


class TestBehindProxies:
    PROXIES = "10.0.0.0/8, 2001:db8:ffff::/48"

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            pytest.param(("10.0.0.1", "203.0.113.5"), ("10.0.0.2", "203.0.113.5"), id="by two proxies"),
            pytest.param(
                ("10.0.0.1", "203.0.113.5"),
                ("10.0.0.1", "6.6.6.6, 203.0.113.5"),
                id="what the client wrote itself",
            ),
            pytest.param(("10.0.0.1", "203.0.113.5"), ("10.0.0.1", "203.0.113.5, 10.1.1.1"), id="by a chain"),
            pytest.param(
                ("10.0.0.1", "203.0.113.5"), ("::ffff:10.0.0.1", "203.0.113.5"), id="a mapped proxy"
            ),
            pytest.param(("10.0.0.1", "203.0.113.5"), ("203.0.113.5", None), id="and directly"),
            pytest.param(
                ("2001:db8:ffff::1", "2001:db8:1:2::1"),
                ("10.0.0.1", "2001:db8:1:2::99"),
                id="one /64 behind two",
            ),
        ],
    )
    def test_one_client_spends_one_budget(self, share_a_budget: Spend, first: Call, second: Call) -> None:
        assert share_a_budget(first, second, self.PROXIES)

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            pytest.param(("10.0.0.1", "203.0.113.5"), ("10.0.0.1", "203.0.113.6"), id="two clients"),
            pytest.param(("10.0.0.1", "192.168.0.5"), ("10.0.0.1", "192.168.0.6"), id="two private clients"),
            pytest.param(("10.0.0.1", "203.0.113.5"), ("198.51.100.7", "203.0.113.5"), id="a forger"),
        ],
    )
    def test_two_clients_spend_two(self, share_a_budget: Spend, first: Call, second: Call) -> None:
        assert not share_a_budget(first, second, self.PROXIES)

    @pytest.mark.parametrize(
        "name", ["X-Real-IP", "Forwarded", "Client-IP", "CF-Connecting-IP", "X-Forwarded-Host"]
    )
    def test_no_other_header_is_believed(self, make_app: Callable[..., Flask], name: str) -> None:
        client = make_app(limit_voters="1/minute", trusted_proxies=parse_networks("127.0.0.1")).test_client()

        answers = [
            client.post("/v1/voters", headers={name: value}).status_code
            for value in ("203.0.113.5", "203.0.113.6")
        ]

        assert answers == [201, 429]

    def test_several_headers_are_one_list(self, make_app: Callable[..., Flask]) -> None:
        client = make_app(limit_voters="1/minute", trusted_proxies=parse_networks("127.0.0.1")).test_client()

        answers = [
            client.post(
                "/v1/voters", headers=[("X-Forwarded-For", spoofed), ("X-Forwarded-For", "203.0.113.5")]
            )
            for spoofed in ("6.6.6.6", "7.7.7.7")
        ]

        assert [answer.status_code for answer in answers] == [201, 429]
