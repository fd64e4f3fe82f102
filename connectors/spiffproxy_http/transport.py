"""Sends requests, directly or through a proxy, on a new or an idle connection, and follows redirects."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass, replace
from urllib.parse import urljoin

from spiffproxy_http.client_certs import SETTING, ClientCert, find_client_cert
from spiffproxy_http.connections import Connection, Route, idle_connections
from spiffproxy_http.cookies import Cookies
from spiffproxy_http.errors import RequestError, before_sending
from spiffproxy_http.hosts import AllowedHosts, refuse_host
from spiffproxy_http.proxies import Proxy, find_proxy
from spiffproxy_http.request import Request
from spiffproxy_http.responses import IncomingResponse, IncompleteResponse, InvalidResponse
from spiffproxy_http.sockets import connect_tcp
from spiffproxy_http.url import Url, parse_url

MAX_REDIRECTS = 30  # the maximum of `requests`
MAX_REDIRECT_BODY_BYTES = 64 * 1024  # read, so that the connection can be used again
# may be sent again if an idle connection turns out to be closed (RFC 9110 section 9.2.2)
REPEATABLE_METHODS = {"GET", "HEAD", "PUT", "DELETE"}


@dataclass(frozen=True)
class Call:
    """What the requests of one call of a command share."""

    deadline: float
    allowed_hosts: AllowedHosts
    client_certs: list[ClientCert]
    logs: list[str]


# --- One request --------------------------------------------------------------------------------------------------


def send_request(request: Request, call: Call) -> tuple[Connection, IncomingResponse]:
    """Send a request and return its response, the body unread, with the connection to finish after it."""
    url = request.url
    with before_sending():
        proxy = find_proxy(url)
        # if a proxy looks the name up, or the setting has no networks, the name alone decides
        if (proxy or not call.allowed_hosts.has_networks) and not call.allowed_hosts.allow(url, None):
            raise refuse_host(url.host)
    # a dot at the end of a name may lead elsewhere (the resolver appends no domain), so the host is as in the URL
    origin = (url.scheme, url.scoped_host, url.port)
    route = Route(origin, proxy.url.netloc if proxy else None, find_client_cert(call.client_certs, url))
    if request.method in REPEATABLE_METHODS:
        idle = idle_connections.take(route, lambda address: bool(proxy) or call.allowed_hosts.allow(url, address))
        if idle:
            with contextlib.suppress(ClosedConnection):
                return idle, send_on(idle, request, proxy, call)
    with before_sending():
        connection = open_connection(url, proxy, route, call)
    return connection, send_on(connection, request, proxy, call)


class ClosedConnection(RequestError):
    """The connection was closed before a byte of the response arrived."""


def send_on(connection: Connection, request: Request, proxy: Proxy | None, call: Call) -> IncomingResponse:
    """Send a request on a connection; if that fails, close it and raise `RequestError`."""
    headers = {"host": ("Host", request.url.netloc)}
    for name, value in request.headers.items():
        headers[name.lower()] = (name, value)
    target = request.url.target
    if proxy and request.url.scheme == "http":  # with https there is a tunnel, and the proxy sees nothing
        target = str(request.url)
        if proxy.authorization:
            headers["proxy-authorization"] = ("Proxy-Authorization", proxy.authorization)
    if request.body is not None or request.method in ("POST", "PUT", "PATCH"):
        headers["content-length"] = ("Content-Length", str(len(request.body or b"")))
    try:
        return connection.send(request.method, target, dict(headers.values()), request.body, call.deadline)
    except (OSError, InvalidResponse, IncompleteResponse) as error:
        connection.close()
        raise translate_error(error, request.url, has_response=connection.stream.received > 0) from None


def translate_error(error: Exception, url: Url, *, has_response: bool = True) -> RequestError:
    """Return the error of a request that was sent and has no response, an invalid one, or only a part of it."""
    if isinstance(error, socket.timeout):
        return RequestError("ReadTimeout", f"{url.redacted()} did not respond in time")
    if isinstance(error, InvalidResponse):
        message = f"The response of {url.redacted()} is not valid HTTP: {error}"
        return RequestError("InvalidResponse", message, 502)
    error_class = RequestError if has_response else ClosedConnection
    if url.scheme == "https" and type(error).__module__ == "ssl":
        reason = str(getattr(error, "reason", None) or error)
        if reason.endswith("CERTIFICATE_REQUIRED"):
            reason = f"the server requires a certificate of the proxy ({SETTING})"
        return error_class("SSLError", f"TLS with {url.host} failed: {reason}")
    if isinstance(error, IncompleteResponse):
        return error_class("ConnectionError", f"{url.redacted()} {error}")
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return error_class("ConnectionError", f"The connection to {url.redacted()} failed: {reason}")


# --- New connections ----------------------------------------------------------------------------------------------


def open_connection(url: Url, proxy: Proxy | None, route: Route, call: Call) -> Connection:
    """Connect directly or through the proxy, with TLS for https."""
    address = None
    if proxy is None:
        allowed = call.allowed_hosts
        sock, address = connect_tcp(
            url.scoped_host, url.port, call.deadline, lambda address: allowed.allow(url, address)
        )
    else:
        sock = connect_to_proxy(proxy, call)
        if url.scheme == "https":
            open_tunnel(sock, url, proxy, route, call)
    if url.scheme == "https":
        from spiffproxy_http.tls import wrap_tls

        sock = wrap_tls(sock, url.name, url.port, call.deadline, route.client_cert)
    return Connection(sock, route, address)


def connect_to_proxy(proxy: Proxy, call: Call) -> socket.socket:
    try:
        return connect_tcp(proxy.url.scoped_host, proxy.url.port, call.deadline, lambda address: True)[0]
    except RequestError as error:
        raise RequestError("ProxyError", f"The HTTP proxy cannot be reached: {error}") from None


def open_tunnel(sock: socket.socket, url: Url, proxy: Proxy, route: Route, call: Call) -> None:
    """Have the proxy connect to the host of the URL (CONNECT, RFC 9110 section 9.3.6); close the socket on failure."""
    host = f"[{url.host}]:{url.port}" if ":" in url.host else f"{url.host}:{url.port}"
    headers = {"Host": host}
    if proxy.authorization:
        headers["Proxy-Authorization"] = proxy.authorization
    try:
        status = Connection(sock, route, None).send("CONNECT", host, headers, None, call.deadline).status
    except socket.timeout:
        sock.close()
        raise RequestError("ReadTimeout", "The HTTP proxy did not respond in time") from None
    except InvalidResponse as error:
        sock.close()
        raise RequestError("ProxyError", f"The response of the HTTP proxy is not valid HTTP: {error}") from None
    except (OSError, IncompleteResponse) as error:
        sock.close()
        reason = getattr(error, "strerror", None) or error
        raise RequestError("ProxyError", f"The HTTP proxy did not connect to {host}: {reason}") from None
    if not 200 <= status <= 299:
        sock.close()
        raise RequestError("ProxyError", f"The HTTP proxy refused to connect to {host}: {status}")


# --- Redirects ----------------------------------------------------------------------------------------------------


def send_following_redirects(request: Request, call: Call) -> tuple[Connection, IncomingResponse, Request]:
    """Send a request, and the requests that redirects ask for; return the first response that is not a redirect, and
    the request that led to it.
    """
    cookies: Cookies | None = None
    for number in range(MAX_REDIRECTS + 1):
        connection, response = send_request(cookies.add_to(request) if cookies else request, call)
        locations = set(response.headers.get_all("Location"))
        if response.status not in (301, 302, 303, 307, 308) or locations <= {""}:
            return connection, response, request
        discard_body(connection, response, request.url)
        if len(locations) > 1:
            message = f"The response of {request.url.redacted()} has several Location headers, which differ"
            raise RequestError("InvalidResponse", message, 502)
        if number < MAX_REDIRECTS:
            next_request = redirect(request, response.status, locations.pop())
            call.logs.append(
                f"{request.method} {request.url.redacted()}: {response.status} to {next_request.url.redacted()}"
            )
            if "Set-Cookie" in response.headers:
                cookies = cookies or Cookies()
                cookies.store(request.url, response.headers)
            request = next_request
    raise RequestError("TooManyRedirects", f"More than {MAX_REDIRECTS} redirects, the last to {request.url.redacted()}")


def discard_body(connection: Connection, response: IncomingResponse, url: Url) -> None:
    """Read the body of a redirect, or the start of a long one, and finish the connection."""
    size = 0
    try:
        for part in response.read_parts():
            size += len(part)
            if size >= MAX_REDIRECT_BODY_BYTES:
                break
    except socket.timeout as error:
        raise translate_error(error, url) from None
    except (OSError, InvalidResponse, IncompleteResponse):
        pass  # the headers have said where to go
    finally:
        connection.finish(response)


def redirect(request: Request, status: int, location: str) -> Request:
    """Return the request that a redirect asks for; raise `RequestError` if its location is not a URL of http."""
    with contextlib.suppress(UnicodeError):
        location = location.encode("latin-1").decode()  # headers are read as latin-1, but this is UTF-8 most likely
    try:
        target = urljoin(str(request.url), location)
    except ValueError:
        message = f"{request.url.redacted()} redirects to something that is not a URL"
        raise RequestError("InvalidURL", message, 400) from None
    url = parse_url(target)._replace(credentials=None)
    if url.zone not in ("", request.url.zone):
        message = f"{request.url.redacted()} redirects to a URL with a zone, which only the proxy's machine can know"
        raise RequestError("InvalidURL", message, 400)
    if url.host == request.url.host:
        url = url._replace(zone=request.url.zone)  # which the server does not know (RFC 6874 section 3)
    dropped = find_dropped_headers(request.url, url)
    method, body = request.method, request.body
    if (status in (302, 303) and method != "HEAD") or (status == 301 and method == "POST"):
        method, body = "GET", None
        dropped |= {"content-type", "content-encoding", "content-language", "content-location"}
    headers = {name: value for name, value in request.headers.items() if name.lower() not in dropped}
    return replace(request, method=method, url=url, headers=headers, body=body)


def find_dropped_headers(url: Url, next_url: Url) -> set[str]:
    """Return the names of the headers that are for the first host alone."""
    if url.origin == next_url.origin:
        return set()
    is_upgrade = url.origin == ("http", next_url.name, 80) and next_url.origin == ("https", next_url.name, 443)
    return {"host"} if is_upgrade else {"host", "authorization", "cookie"}
