"""All outgoing HTTP. Whoever names an address here may want us to reach what only we can reach (SSRF).

A host is looked up once, every address it has is checked, and the connection goes to the very address that was checked:
a name that answers differently the second time (DNS rebinding) is never asked a second time. Redirects are not followed,
proxies of the environment not used.
"""

from __future__ import annotations

import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any

from pollsvc import __version__
from pollsvc.outbox.addresses import NoTarget, Target, is_public, read_target

#: Bytes of an answer that are read, its header included.
MOST_READ = 65_536
#: Why a body is not whole.
TOO_LONG, BROKEN_OFF = "The answer is too long.", "The answer did not come whole."
#: Seconds for one step (a look-up, a connection, a read), and for everything together.
STEP, TOTAL = 10.0, 30.0
#: Addresses of a host that are tried, one after the other.
MOST_ADDRESSES = 4

Address = tuple[Any, ...]
#: What `socket.getaddrinfo` gives: family, kind, protocol, canonical name, address.
Found = Sequence[tuple[int, int, int, str, Address]]
Resolve = Callable[[str, int], Found]


class OutgoingFailed(Exception):
    """A request was not answered as it should be.

    :param reason: why, without the address that was asked for.
    :param status: the HTTP status, where one was answered.
    """

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason, self.status = reason, status


class AddressRefused(OutgoingFailed):
    """Nothing is sent there: it is no https address of a public host."""


class AnswerTooLong(HTTPException):
    """Even the header of an answer is longer than what is read."""


@dataclass(frozen=True)
class Answer:
    """What was answered; of a long body only its beginning.

    :param cut: why the body is not whole, in one sentence; empty where it is.
    """

    status: int
    body: bytes
    cut: str = ""


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """Sends requests to addresses that somebody gave us.

    :param private_hosts: names whose addresses may be private, and that may be reached by http.
    :param resolve: looks a host up; a test hands in another.
    :param tls: which certificates are believed; None for those of the system.
    :param step: seconds for a look-up, a connection, a read.
    :param total: seconds for everything.
    """

    private_hosts: frozenset[str] = frozenset()
    resolve: Resolve = lambda host, port: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    tls: ssl.SSLContext | None = None
    step: float = STEP
    total: float = TOTAL

    def check(self, url: str) -> Target:
        """Refuse an address for what it says, without a look-up; :meth:`post` also refuses what its host resolves to.

        :raises AddressRefused: if nothing would be sent there.
        """
        try:
            target = read_target(url, self.private_hosts)
        except NoTarget as error:
            raise AddressRefused("This is no address.") from error
        if target.is_private:
            return target
        if not target.is_tls:
            raise AddressRefused("The address must begin with https://.")
        if target.host == "localhost" or target.host.endswith(".localhost"):
            raise AddressRefused(_NOT_PUBLIC)
        try:
            # As the look-up takes them: 127.1, 2130706433 and 0x7f.1 are addresses too.
            found = socket.getaddrinfo(
                target.host, target.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
            )
        except (OSError, UnicodeError):
            return target  # a name
        _refuse_private(found)
        return target

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send a POST.

        :raises OutgoingFailed: if no answer came in time, or one that leads elsewhere.
        """
        clock = Clock(self.step, time.monotonic() + self.total)
        target = self.check(url)
        addresses = self._look_up(target, clock)
        try:
            with self._connect(target, addresses, clock) as connected:
                return _exchange(Line(connected, clock), target, body, headers)
        except ssl.SSLError as error:
            raise OutgoingFailed(f"TLS failed: {_tls_reason(error)}.") from error
        except TimeoutError as error:
            raise OutgoingFailed("The host took too long to answer.") from error
        except OSError as error:
            raise OutgoingFailed(
                f"The host was not reached: {error.strerror or type(error).__name__}."
            ) from error
        except (HTTPException, ValueError) as error:
            raise OutgoingFailed(f"The answer is no HTTP: {type(error).__name__}.") from error

    def _look_up(self, target: Target, clock: Clock) -> Found:
        try:
            found: Found = _within(clock, lambda: self.resolve(target.host, target.port))
        except TimeoutError as error:
            raise OutgoingFailed("The look-up of the host's name took too long.") from error
        except (OSError, UnicodeError) as error:
            raise OutgoingFailed("The host's name was not found.") from error
        if not target.is_private:
            _refuse_private(found)
        return found[:MOST_ADDRESSES]

    def _connect(self, target: Target, addresses: Found, clock: Clock) -> socket.socket:
        failure: OSError = OSError("no address")
        for family, kind, protocol, _, address in addresses:
            plain = socket.socket(family, kind, protocol)
            try:
                plain.settimeout(clock.left())
                plain.connect(address)
                if not target.is_tls:
                    return plain
                plain.settimeout(clock.left())
                # The host's own name: the address was only the way there.
                return (self.tls or _system_tls()).wrap_socket(plain, server_hostname=target.host)
            except OSError as error:
                plain.close()
                failure = error
        raise failure


class Clock:
    """What is left of the time.

    :param step: seconds for one step.
    :param end: when everything has to be done, by the monotonic clock.
    """

    def __init__(self, step: float, end: float) -> None:
        self._step, self._end = step, end

    def left(self) -> float:
        """Seconds for the next step.

        :raises TimeoutError: if there are none.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(self._step, left)


class Line:
    """A connection, as far as http.client knows sockets, that ends in time however slowly it drips."""

    def __init__(self, connected: socket.socket, clock: Clock) -> None:
        self._socket, self._clock = connected, clock

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What the answer is read from."""
        return io.BufferedReader(_Reader(self._socket, self._clock))

    def sendall(self, data: bytes) -> None:
        """Send everything, in the time that is left."""
        rest = memoryview(data)
        while rest:
            self._socket.settimeout(self._clock.left())
            rest = rest[self._socket.send(rest) :]

    def close(self) -> None:
        """Stay: http.client lets go before the body is read. Whoever connected hangs up."""


class _Reader(io.RawIOBase):
    def __init__(self, connected: socket.socket, clock: Clock) -> None:
        super().__init__()
        self._socket, self._clock, self._unread = connected, clock, MOST_READ

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._unread <= 0:
            raise AnswerTooLong
        self._socket.settimeout(self._clock.left())
        got = self._socket.recv_into(memoryview(buffer)[: self._unread])
        self._unread -= got
        return got


_NOT_PUBLIC = "The host lies in a network that is not public. POLLSVC_PRIVATE_HOSTS names those that may be reached there."


def _refuse_private(found: Found) -> None:
    # One that is private is enough: a host with both kinds is set up wrongly, or on purpose.
    if not found or not all(is_public(str(address[0])) for *_, address in found):
        raise AddressRefused(_NOT_PUBLIC)


def _within(clock: Clock, call: Callable[[], Any]) -> Any:
    """Call what knows no time-out: after our time we go on without it, and its thread ends by itself."""
    outcome: list[Any] = []
    failure: list[Exception] = []

    def run() -> None:
        try:
            outcome.append(call())
        except Exception as error:  # noqa: BLE001 (raised again in the thread that waits)
            failure.append(error)

    thread = threading.Thread(target=run, name="look-up", daemon=True)
    thread.start()
    thread.join(clock.left())
    if failure:
        raise failure[0]
    if not outcome:
        raise TimeoutError
    return outcome[0]


def _exchange(line: Line, target: Target, body: bytes, headers: Mapping[str, str]) -> Answer:
    connection = HTTPConnection(target.host, target.port)
    connection.sock = line
    sent = {
        "Host": target.authority,
        "User-Agent": f"pollsvc/{__version__}",
        "Connection": "close",
        **headers,
    }
    connection.request("POST", target.path, body, sent)
    response = connection.getresponse()
    if 300 <= response.status < 400:
        raise OutgoingFailed(
            f"The host answered {response.status}: redirects are not followed.", response.status
        )
    return _answer(response)


def _answer(response: HTTPResponse) -> Answer:
    """The answer, with its body as far as it comes in time and is not too long: what counts came before it."""
    read, cut = b"", ""
    try:
        while piece := response.read1(8_192):
            read += piece
    except AnswerTooLong:
        cut = TOO_LONG
    except (OSError, HTTPException, ValueError):
        cut = BROKEN_OFF
    return Answer(response.status, read, cut or (BROKEN_OFF if response.length else ""))


@cache
def _system_tls() -> ssl.SSLContext:
    # Read once: a hundred certificates take their time.
    return ssl.create_default_context()


def _tls_reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        # OpenSSL's own sentence would name the host.
        is_other = "mismatch" in error.verify_message
        return (
            "the certificate is another host's"
            if is_other
            else f"the certificate is not valid: {error.verify_message}"
        )
    return (error.reason or "the connection broke").lower().replace("_", " ")
