"""Fetching a file from an address somebody typed in, from inside the studio's network.

The name is resolved once; any address of it that is not public ends it; the connection goes to the address that was
checked, under the certificate of the name. No redirect is followed, nothing is unpacked, and both size and time are
bounded, however slowly the other side speaks.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from django.utils.translation import gettext as _

Resolve = Callable[[str, int], Sequence[str]]
Allow = Callable[[str], bool]

MOST_BYTES = 5_000_000
SECONDS = 20.0
CHUNK = 65_536
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class FetchRefused(Exception):
    """It was not fetched; `sentence` says why to the person who typed the address."""

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence
        super().__init__(sentence)


def system_resolve(host: str, port: int) -> list[str]:
    """Every address of a name, as the system knows them. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def is_public(address: str) -> bool:
    """Whether an address is one of the open internet. IPv4 inside IPv6 is judged by the IPv4 that is meant."""
    try:
        seen = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(seen, ipaddress.IPv6Address):
        inner = seen.ipv4_mapped or seen.sixtofour or (seen.teredo[1] if seen.teredo else None)
        if seen in NAT64:
            inner = ipaddress.IPv4Address(int(seen) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if seen.is_site_local:
            return False
    return seen.is_global and not seen.is_multicast and not seen.is_unspecified and not seen.is_reserved


@dataclass(frozen=True, slots=True)
class Fetcher:
    """How to fetch. The defaults are for the open internet; tests bring a resolver and a loopback server."""

    allows_http: bool = False
    resolve: Resolve = system_resolve
    allow: Allow = is_public
    most_bytes: int = MOST_BYTES
    seconds: float = SECONDS
    trust: Callable[[], ssl.SSLContext] = field(default=ssl.create_default_context)

    def get(self, url: str) -> bytes:
        """The body of a 200 answer. Raises FetchRefused."""
        parts = self.check(url)
        line = _Line(parts, self._address(parts), self)
        watch = threading.Timer(self.seconds, line.cut)
        watch.daemon = True
        watch.start()
        try:
            return self._read(line, parts)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if line.was_cut or isinstance(error, TimeoutError):
                raise FetchRefused(_("The other side was too slow.")) from error
            words = _("The other side could not be reached (%(what)s).") % {"what": type(error).__name__}
            raise FetchRefused(words) from error
        finally:
            watch.cancel()
            line.close()

    def check(self, url: str) -> SplitResult:
        """An address that may be asked for, before any name is looked up. Raises FetchRefused."""
        try:
            parts = urlsplit(url.strip())
            host, _port = parts.hostname, parts.port
        except ValueError as error:
            raise FetchRefused(_("This is not an address.")) from error
        if any(letter.isspace() or ord(letter) < 32 for letter in url.strip()) or not host:
            raise FetchRefused(_("This is not an address."))
        if parts.scheme != "https" and not (self.allows_http and parts.scheme == "http"):
            raise FetchRefused(_("Only https addresses are read."))
        if parts.username or parts.password:
            raise FetchRefused(_("An address with a name and password in it is not read."))
        return parts

    def _address(self, parts: SplitResult) -> str:
        host = parts.hostname or ""
        try:
            found = self.resolve(host.encode("idna").decode() if not host.isascii() else host, _port(parts))
        except (OSError, UnicodeError) as error:
            raise FetchRefused(_("There is no such host.")) from error
        if not found or not all(self.allow(address) for address in found):
            raise FetchRefused(_("This host is not on the open internet."))
        return found[0]

    def _read(self, line: "_Line", parts: SplitResult) -> bytes:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        line.request(
            "GET",
            path,
            headers={"Accept-Encoding": "identity", "User-Agent": "Likeness", "Connection": "close"},
        )
        answer = line.getresponse()
        if 300 <= answer.status < 400:
            raise FetchRefused(_("The other side sends us elsewhere; please use the address it leads to."))
        if answer.status != 200:
            raise FetchRefused(_("The other side answered %(status)d.") % {"status": answer.status})
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise FetchRefused(_("The other side sent something packed."))
        if int(answer.headers.get("Content-Length") or 0) > self.most_bytes:
            raise FetchRefused(self._too_big())
        body = bytearray()
        while chunk := answer.read(CHUNK):
            body += chunk
            if len(body) > self.most_bytes:
                raise FetchRefused(self._too_big())
        if line.was_cut:
            raise FetchRefused(_("The other side was too slow."))
        return bytes(body)

    def _too_big(self) -> str:
        return _("It is larger than %(size)d MB.") % {"size": self.most_bytes // 1_000_000}


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


class _Line(http.client.HTTPConnection):
    """A connection to the address that was checked, and a way to cut it from outside."""

    def __init__(self, parts: SplitResult, address: str, fetcher: Fetcher) -> None:
        super().__init__(parts.hostname or "", parts.port, timeout=fetcher.seconds)
        self._address, self._is_tls, self._trust = address, parts.scheme == "https", fetcher.trust
        self.port = _port(parts)
        self.was_cut = False

    def connect(self) -> None:
        self._open: socket.socket = socket.create_connection((self._address, self.port), timeout=self.timeout)
        if self._is_tls:
            self._open = self._trust().wrap_socket(
                self._open, server_hostname=self.host, do_handshake_on_connect=False
            )
        self.sock = self._open
        if self.was_cut:
            raise TimeoutError
        if isinstance(self._open, ssl.SSLSocket):
            self._open.do_handshake()

    def cut(self) -> None:
        """The time is over, whatever it is doing. Not `self.sock`: http.client forgets it while the answer is read."""
        self.was_cut = True
        with suppress(OSError, AttributeError):
            self._open.shutdown(socket.SHUT_RDWR)
