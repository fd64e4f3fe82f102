"""The opener: urllib's chain of handlers, with those replaced that do not do the job."""

from __future__ import annotations

import contextlib
import functools
import http.client
import re
import socket
import ssl
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from spiffproxy_http.connections import Answer, Connection, Stream, connect_tcp, take_idle, wrap_tls
from spiffproxy_http.errors import RequestError
from spiffproxy_http.hosts import AllowedHosts, refuse_host
from spiffproxy_http.url import Url, parse_url

if TYPE_CHECKING:
    from http.cookiejar import CookieJar

_MAX_REDIRECTS = 30  # as many as `requests` follows
_TWICE = {"GET", "HEAD", "PUT", "DELETE"}  # may be sent again where a kept connection turns out to be dead


@dataclass
class Call:
    """What the requests of one call of a command share."""

    deadline: float
    allowed: AllowedHosts
    logs: list[str] = field(default_factory=list)
    follows: bool = True  # redirects


class Hop(urllib.request.Request):
    """One request of a call, as urllib's handlers know it, with its headers as they were written."""

    method: str

    def __init__(self, method: str, url: Url, written: dict[str, str], data: bytes | None, call: Call) -> None:
        super().__init__(str(url), data, method=method)
        self.url = url
        self.written = written
        self.body = data
        self.call = call
        self.redirects = 0
        self.cookies: CookieJar | None = None


@functools.cache
def make_opener() -> urllib.request.OpenerDirector:
    """Make the one opener of the process: for http and https alone, with the proxies that its environment names."""
    opener = urllib.request.OpenerDirector()
    for handler in (_Proxy(), _Exchange(), _Redirect()):
        opener.add_handler(handler)
    return opener


class _Proxy(urllib.request.ProxyHandler):
    """Refuses proxies that are not spoken to in plain HTTP: their credentials must not go there either."""

    def proxy_open(self, req: urllib.request.Request, proxy: str, type: str) -> None:  # noqa: A002 - the parent's names
        if urllib.request.proxy_bypass(req.host):
            return
        if re.fullmatch(r"(http://)?[^/\s]+/?", proxy, re.IGNORECASE):
            super().proxy_open(req, proxy, type)  # which changes the request
            with contextlib.suppress(RequestError):
                parse_url(f"http://{req.host}")
                return
        raise RequestError("ProxyError", f"{type.upper()}_PROXY is no URL of a proxy, http://host:port")


class _Exchange(urllib.request.BaseHandler):
    """Sends a request and returns the answer; urllib's own closes every connection and rewrites header names."""

    def http_open(self, hop: Hop) -> Answer:
        proxy = parse_url(f"http://{hop.host}") if hop.host != hop.url.netloc else None
        route = (hop.url.origin, hop.host)
        # where a proxy looks names up, or no address would make a difference, none is looked up here
        if (proxy or not hop.call.allowed.has_networks) and not hop.call.allowed.allow(hop.url, None):
            raise refuse_host(hop.url.host)
        if hop.method in _TWICE:
            connection = take_idle(route, lambda address: bool(proxy) or hop.call.allowed.allow(hop.url, address))
            if connection:
                answer = self._try_kept(connection, hop, proxy)
                if answer:
                    return answer
        connection = _connect_through(proxy, hop, route) if proxy else _connect(hop, route)
        try:
            return _send(connection, hop, proxy)
        except (OSError, http.client.HTTPException) as error:
            connection.stream.disconnect()
            raise _translate(error, hop.url) from None

    https_open = http_open

    def _try_kept(self, connection: Connection, hop: Hop, proxy: Url | None) -> Answer | None:
        """Return None where the connection was closed before a byte of the answer came."""
        try:
            return _send(connection, hop, proxy)
        except (OSError, http.client.HTTPException) as error:
            connection.stream.disconnect()
            if isinstance(error, socket.timeout) or connection.stream.received:
                raise _translate(error, hop.url) from None
            return None


def _send(connection: Connection, hop: Hop, proxy: Url | None) -> Answer:
    through = proxy is not None and hop.url.scheme == "http"  # with https there is a tunnel, and the proxy sees nothing
    headers = {"host": ("Host", hop.url.netloc), **{name.lower(): (name, value) for name, value in hop.written.items()}}
    if through and hop.has_header("Proxy-authorization"):
        headers["proxy-authorization"] = ("Proxy-Authorization", str(hop.get_header("Proxy-authorization")))
    cookies = [value for value in (headers.get("cookie", ("", ""))[1], hop.get_header("Cookie")) if value]
    if cookies:
        one_line = re.sub(r"[\r\n]+[ \t]*", " ", "; ".join(cookies))  # the header that set one may have been folded
        headers["cookie"] = ("Cookie", one_line)
    target = str(hop.url) if through else hop.url.target
    if hop.body is not None or hop.method in ("POST", "PUT", "PATCH"):
        headers["content-length"] = ("Content-Length", str(len(hop.body or b"")))
    return connection.exchange(hop.method, target, list(headers.values()), hop.body, hop.call.deadline)


def _connect(hop: Hop, route: tuple[Any, ...]) -> Connection:
    url, deadline = hop.url, hop.call.deadline
    sock, address = connect_tcp(url.host, url.port, deadline, lambda address: hop.call.allowed.allow(url, address))
    if url.scheme == "https":
        sock = wrap_tls(sock, url.host, deadline)
    return Connection(Stream(sock), route, address)


def _connect_through(proxy: Url, hop: Hop, route: tuple[Any, ...]) -> Connection:
    """Connect to an HTTP proxy, and through it with CONNECT (RFC 9110 section 9.3.6) where TLS is to come."""
    deadline = hop.call.deadline
    try:
        sock, _ = connect_tcp(proxy.host, proxy.port, deadline, lambda address: True)
    except RequestError as error:
        raise RequestError("ProxyError", f"The HTTP proxy cannot be reached: {error}") from None
    if hop.url.scheme == "http":
        return Connection(Stream(sock), route, None)
    tunnel = Connection(Stream(sock), route, None)
    host = f"[{hop.url.host}]:{hop.url.port}" if ":" in hop.url.host else f"{hop.url.host}:{hop.url.port}"
    headers = [("Host", host)]
    if hop.has_header("Proxy-authorization"):
        headers.append(("Proxy-Authorization", str(hop.get_header("Proxy-authorization"))))
    try:
        status = tunnel.exchange("CONNECT", host, headers, None, deadline).status
    except socket.timeout:
        sock.close()
        raise RequestError("ReadTimeout", "The HTTP proxy did not answer in time") from None
    except (OSError, http.client.HTTPException) as error:
        sock.close()
        raise RequestError("ProxyError", f"The HTTP proxy broke off: {type(error).__name__}") from None
    if status != 200:
        sock.close()
        raise RequestError("ProxyError", f"The HTTP proxy refused to connect to {host}: {status}")
    return Connection(Stream(wrap_tls(sock, hop.url.host, deadline)), route, None)


def _translate(error: Exception, url: Url) -> RequestError:
    """Return the error of a request that was sent and has no answer."""
    if isinstance(error, socket.timeout):
        return RequestError("ReadTimeout", f"{url.shown()} did not answer in time")
    if isinstance(error, ssl.SSLError):
        return RequestError("SSLError", f"TLS with {url.host} failed: {error.reason or error}")
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return RequestError("ConnectionError", f"{url.shown()} gave no valid answer: {reason}")


class _Redirect(urllib.request.BaseHandler):
    """Follows redirects; urllib's own sends credentials to any host, and counts and reads them otherwise."""

    def http_response(self, hop: Hop, answer: Answer) -> Answer:
        location = answer.headers.get("Location") if answer.status in (301, 302, 303, 307, 308) else None
        if not location or not hop.call.follows:
            return answer
        try:
            answer.read(65536)  # read to its end, most likely, so that the connection can be kept
        except socket.timeout as error:
            raise _translate(error, hop.url) from None
        except (OSError, http.client.HTTPException):
            pass  # the headers have said where to go
        finally:
            answer.finish()
        if hop.redirects == _MAX_REDIRECTS:
            raise RequestError(
                "TooManyRedirects", f"More than {_MAX_REDIRECTS} redirects, the last to {hop.url.shown()}"
            )
        next_hop = _follow(hop, answer.status, location)
        hop.call.logs.append(f"{hop.method} {hop.url.shown()}: {answer.status} to {next_hop.url.shown()}")
        if hop.cookies is not None or "Set-Cookie" in answer.headers:
            from http.cookiejar import CookieJar  # takes its time, and few redirects set a cookie

            next_hop.cookies = hop.cookies or CookieJar()
            next_hop.cookies.extract_cookies(answer, hop)
            next_hop.cookies.add_cookie_header(next_hop)
        return self.parent.open(next_hop)  # type: ignore[no-any-return]

    https_response = http_response


def _follow(hop: Hop, status: int, location: str) -> Hop:
    with contextlib.suppress(UnicodeError):
        location = location.encode("latin-1").decode()  # what http.client read as latin-1 is UTF-8, most likely
    try:
        target = urljoin(str(hop.url), location)
    except ValueError:
        raise RequestError("InvalidURL", f"{hop.url.shown()} redirects to what is no URL", 400) from None
    url = parse_url(target)._replace(credentials=None)
    method, body = hop.method, hop.body
    dropped = set()
    if (status in (302, 303) and method != "HEAD") or (status == 301 and method == "POST"):
        method, body = "GET", None
        dropped |= {"content-type", "content-encoding", "content-language", "content-location"}
    if url.origin != hop.url.origin:
        dropped.add("host")
        if (hop.url.origin, url.origin) != (("http", url.host, 80), ("https", url.host, 443)):
            dropped |= {"authorization", "cookie"}
    written = {name: value for name, value in hop.written.items() if name.lower() not in dropped}
    next_hop = Hop(method, url, written, body, hop.call)
    next_hop.redirects = hop.redirects + 1
    return next_hop
