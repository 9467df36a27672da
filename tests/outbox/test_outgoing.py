"""Outgoing HTTP reaches public hosts, by the address that was checked, and ends in time."""

import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pollsvc.outbox.addresses import is_public, read_target
from pollsvc.outbox.outgoing import (
    BROKEN_OFF,
    TOO_LONG,
    AddressRefused,
    Answer,
    Found,
    Outgoing,
    OutgoingFailed,
)
from tests.outbox.receiver import certificate, hold, read_request, receiving, serving

HERE = frozenset({"127.0.0.1"})
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


def found(*addresses: str, port: int = 443) -> Found:
    return [
        (socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
        for address in addresses
    ]


def post(outgoing: Outgoing, url: str, body: bytes = b"{}") -> Answer:
    return outgoing.post(url, body, {"Content-Type": "application/json"})


class TestIsPublic:
    @pytest.mark.parametrize(
        "address",
        [
            "1.1.1.1",
            "93.184.215.14",
            "100.63.255.255",
            "100.128.0.0",
            "172.32.0.1",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
            # What DNS64 makes of a public IPv4 address.
            "64:ff9b::1.1.1.1",
        ],
    )
    def test_the_internet_is(self, address: str) -> None:
        assert is_public(address)

    @pytest.mark.parametrize(
        "address",
        [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::1.1.1.1",
            "100::1",
            "2001::1",
            "2001:0:a9fe:a9fe::",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fe80::1%lo",
            "fec0::1",
            "ff02::1",
        ],
    )
    def test_everything_else_is_not(self, address: str) -> None:
        assert not is_public(address)


class TestCheck:
    @pytest.mark.parametrize(
        "url",
        [
            "http://hooks.example/",
            "ftp://hooks.example/",
            "//hooks.example/",
            "https://",
            "https:///path",
            "https://user:password@hooks.example/",
            "https://hooks.example:0x/",
            "https://hooks.example:99999/",
            "https://hooks.example/a b",
            "https://[::1/",
            "https://\u2488.\ud800/",
            "https://localhost/",
            "https://LOCALHOST./",
            "https://a.localhost/",
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0177.0.0.1/",
            "https://0/",
            "https://10.0.0.1:8443/",
            "https://169.254.169.254/latest/meta-data/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[fe80::1%25lo]/",
            "https://\uff11\uff12\uff17.0.0.1/",
        ],
    )
    def test_refuses_what_says_that_it_is_not_public(self, url: str) -> None:
        with pytest.raises(AddressRefused) as refusal:
            Outgoing().check(url)

        assert "hooks.example" not in refusal.value.reason

    @pytest.mark.parametrize(
        ("url", "host", "authority", "path"),
        [
            ("https://hooks.example", "hooks.example", "hooks.example", "/"),
            ("https://HOOKS.example:8443/a?b=c", "hooks.example", "hooks.example:8443", "/a?b=c"),
            (
                "https://b\u00fccher.example/\u00fc?q=\u00fc#x",
                "xn--bcher-kva.example",
                "xn--bcher-kva.example",
                "/%C3%BC?q=%C3%BC",
            ),
            ("https://[2606:4700::1111]/%2F%41", "2606:4700::1111", "[2606:4700::1111]", "/%2F%41"),
        ],
    )
    def test_takes_public_hosts_as_they_are_asked_for(
        self, url: str, host: str, authority: str, path: str
    ) -> None:
        target = Outgoing().check(url)

        assert (target.host, target.authority, target.path) == (host, authority, path)

    @pytest.mark.parametrize(
        "url", ["http://127.0.0.1:1/", "https://127.0.0.1/", "http://intra.example/", "http://[::1]/"]
    )
    def test_takes_named_hosts_wherever_they_are(self, url: str) -> None:
        outgoing = Outgoing(private_hosts=frozenset({"127.0.0.1", "intra.example", "[::1]"}))

        assert outgoing.check(url).is_private

    @pytest.mark.parametrize(
        "url", ["https://127.0.0.2/", "http://www.intra.example/", "http://intra.example.evil.example/"]
    )
    def test_a_named_host_is_that_host_only(self, url: str) -> None:
        with pytest.raises(AddressRefused):
            Outgoing(private_hosts=frozenset({"127.0.0.1", "intra.example"})).check(url)

    def test_an_international_host_is_named_as_it_is_sent(self) -> None:
        assert read_target("http://b\u00fccher.example/", frozenset({"xn--bcher-kva.example"})).is_private


class TestPost:
    def test_sends_the_body_and_gives_the_answer(self) -> None:
        with receiving() as receiver:
            answer = post(Outgoing(private_hosts=HERE), receiver.url + "?a=1", b'{"a": 1}')

        assert answer.status == 204
        (received,) = receiver.received
        assert received.body == b'{"a": 1}'
        assert received.path == "/hook/with-a-secret?a=1"
        assert received.headers["host"] == receiver.url.split("/")[2]
        assert received.headers["content-type"] == "application/json"
        assert received.headers["user-agent"].startswith("pollsvc/")

    def test_uses_no_proxy_of_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")

        with receiving() as receiver:
            assert post(Outgoing(private_hosts=HERE), receiver.url).status == 204

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_follows_no_redirect(self, status: int) -> None:
        with receiving() as elsewhere, receiving() as receiver:
            receiver.status, receiver.location = status, elsewhere.url
            with pytest.raises(OutgoingFailed, match=f"{status}: redirects are not followed") as failure:
                post(Outgoing(private_hosts=HERE), receiver.url)

        assert failure.value.status == status
        assert elsewhere.received == []

    def test_a_host_that_resolves_to_a_private_address_is_refused(self) -> None:
        with receiving() as receiver:
            port = int(receiver.url.split(":")[2].split("/")[0])
            outgoing = Outgoing(resolve=lambda host, _port: found("127.0.0.1", port=port))
            with pytest.raises(AddressRefused):
                post(outgoing, f"https://hooks.example:{port}/")

        assert receiver.received == []

    def test_one_private_address_among_public_ones_is_enough(self) -> None:
        with pytest.raises(AddressRefused):
            post(Outgoing(resolve=lambda host, port: found("1.1.1.1", "10.0.0.1")), "https://hooks.example/")

    def test_a_host_with_no_address_is_refused(self) -> None:
        with pytest.raises(AddressRefused):
            post(Outgoing(resolve=lambda host, port: []), "https://hooks.example/")

    def test_a_name_that_answers_differently_the_second_time_is_not_asked_twice(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """DNS rebinding: public when checked, private when connected to."""
        asked: list[str] = []
        reached: list[object] = []

        def resolve(host: str, port: int) -> Found:
            asked.append(host)
            return found("1.1.1.1" if len(asked) == 1 else "127.0.0.1", port=port)

        def connect(self: socket.socket, address: object) -> None:
            reached.append(address)
            raise ConnectionRefusedError(111, "Connection refused")

        monkeypatch.setattr(socket, "socket", type("Socket", (socket.socket,), {"connect": connect}))
        with pytest.raises(OutgoingFailed, match="not reached"):
            post(Outgoing(resolve=resolve), "https://hooks.example/")

        assert asked == ["hooks.example"]
        assert reached == [("1.1.1.1", 443)]

    def test_tries_a_host_s_addresses_one_after_the_other(self) -> None:
        with receiving() as receiver:
            port = int(receiver.url.split(":")[2].split("/")[0])
            outgoing = Outgoing(
                private_hosts=frozenset({"intra.example"}),
                resolve=lambda host, _port: [*found("127.0.0.1", port=1), *found("127.0.0.1", port=port)],
            )
            assert post(outgoing, f"http://intra.example:{port}/").status == 204

        assert receiver.received[0].headers["host"] == f"intra.example:{port}"

    def test_an_unknown_name_is_a_failure(self) -> None:
        with pytest.raises(OutgoingFailed, match="name was not found"):
            post(Outgoing(), "https://no-such-host.invalid/")

    def test_a_closed_port_is_a_failure_that_names_no_address(self) -> None:
        with pytest.raises(OutgoingFailed) as failure:
            post(Outgoing(private_hosts=HERE), "http://127.0.0.1:1/secret")

        assert failure.value.reason == "The host was not reached: Connection refused."


class TestTime:
    def test_a_look_up_that_hangs_is_given_up(self) -> None:
        released = threading.Event()

        def resolve(host: str, port: int) -> Found:
            released.wait(10)
            return found("1.1.1.1")

        with pytest.raises(OutgoingFailed, match="look-up"):
            post(Outgoing(resolve=resolve, step=0.1), "https://hooks.example/")

        released.set()

    def test_a_host_that_says_nothing_is_given_up(self) -> None:
        with serving(hold) as port, pytest.raises(OutgoingFailed, match="too long"):
            post(Outgoing(private_hosts=HERE, step=0.1), f"http://127.0.0.1:{port}/")

    @pytest.mark.parametrize(
        "dribbled", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 100 Continue\r\n\r\n"], ids=["header", "continue"]
    )
    def test_a_host_that_dribbles_is_given_up_in_total(self, dribbled: bytes) -> None:
        def dribble(connection: socket.socket) -> None:
            read_request(connection)
            while True:
                for byte in dribbled + b"x" * 50:
                    connection.sendall(bytes([byte]))
                    time.sleep(0.01)

        began = time.monotonic()
        with serving(dribble) as port, pytest.raises(OutgoingFailed):
            post(Outgoing(private_hosts=HERE, step=0.3, total=0.6), f"http://127.0.0.1:{port}/")

        assert time.monotonic() - began < 3

    def test_a_host_that_reads_slowly_is_given_up_in_total(self) -> None:
        done = threading.Event()

        def read_slowly(connection: socket.socket) -> None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
            while not done.wait(0.02) and connection.recv(1_024):
                pass

        with serving(read_slowly) as port:
            try:
                with pytest.raises(OutgoingFailed, match="too long"):
                    post(
                        Outgoing(private_hosts=HERE, step=0.3, total=0.6),
                        f"http://127.0.0.1:{port}/",
                        b"x" * 20_000_000,
                    )
            finally:
                done.set()

    def test_what_was_answered_stands_though_the_body_never_ends(self) -> None:
        def answer(connection: socket.socket) -> None:
            read_request(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
            connection.recv(1)

        with serving(answer) as port:
            assert post(Outgoing(private_hosts=HERE, total=0.3), f"http://127.0.0.1:{port}/") == Answer(
                200, b"half", BROKEN_OFF
            )


class TestLength:
    def test_of_a_body_its_first_64_kilobytes_are_read(self) -> None:
        sent: list[int] = []

        def answer(connection: socket.socket) -> None:
            read_request(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                sent.append(connection.send(b"x" * 10_000))

        with serving(answer) as port:
            answered = post(Outgoing(private_hosts=HERE), f"http://127.0.0.1:{port}/")

        assert (answered.status, answered.cut) == (200, TOO_LONG)
        assert 50_000 < len(answered.body) <= 65_536

    @pytest.mark.parametrize(
        "line", [b"X-%d: y\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"], ids=["fields", "continues"]
    )
    def test_a_header_without_an_end_is_a_failure(self, line: bytes) -> None:
        def answer(connection: socket.socket) -> None:
            read_request(connection)
            if b"%d" in line:
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while True:
                connection.sendall(line.replace(b"%d", b"1") * 100)

        with serving(answer) as port, pytest.raises(OutgoingFailed, match="no HTTP"):
            post(Outgoing(private_hosts=HERE), f"http://127.0.0.1:{port}/")

    @pytest.mark.parametrize("answered", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 abc\r\n\r\n"])
    def test_what_is_no_http_is_a_failure(self, answered: bytes) -> None:
        def answer(connection: socket.socket) -> None:
            read_request(connection)
            connection.sendall(answered)

        with serving(answer) as port, pytest.raises(OutgoingFailed):
            post(Outgoing(private_hosts=HERE), f"http://127.0.0.1:{port}/")


class TestTls:
    @pytest.fixture
    def answer(self) -> Callable[[socket.socket], None]:
        def act(connection: socket.socket) -> None:
            read_request(connection)
            connection.sendall(OK)
            connection.close()

        return act

    @pytest.mark.parametrize(
        ("host", "reason"),
        [("hooks.example", None), ("other.example", "TLS failed: the certificate is another host's.")],
    )
    def test_the_certificate_is_the_host_s_own(
        self, tmp_path: Path, answer: Callable[[socket.socket], None], host: str, reason: str | None
    ) -> None:
        server, client = certificate(tmp_path, "hooks.example", datetime.now(UTC))
        with serving(answer, server) as port:
            outgoing = Outgoing(
                private_hosts=frozenset({host}),
                resolve=lambda _host, port: found("127.0.0.1", port=port),
                tls=client,
            )
            try:
                outcome: object = post(outgoing, f"https://{host}:{port}/").status
            except OutgoingFailed as error:
                outcome = error.reason

        assert outcome == (reason or 204)

    def test_a_certificate_that_nobody_vouches_for_is_refused(
        self, tmp_path: Path, answer: Callable[[socket.socket], None]
    ) -> None:
        server, _ = certificate(tmp_path, "127.0.0.1", datetime.now(UTC))

        with serving(answer, server) as port, pytest.raises(OutgoingFailed, match="certificate is not valid"):
            post(Outgoing(private_hosts=HERE), f"https://127.0.0.1:{port}/")

    def test_a_handshake_that_hangs_is_given_up(self) -> None:
        with serving(hold) as port, pytest.raises(OutgoingFailed, match="too long"):
            post(Outgoing(private_hosts=HERE, step=0.2), f"https://127.0.0.1:{port}/")

    def test_what_is_no_tls_is_a_failure(self) -> None:
        def act(connection: socket.socket) -> None:
            connection.recv(1_024)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        with serving(act) as port, pytest.raises(OutgoingFailed, match="TLS failed"):
            post(Outgoing(private_hosts=HERE), f"https://127.0.0.1:{port}/")
