"""Other connector proxies behind this one: what they list is listed here, and called through this proxy.

Imported when CONNECTOR_PROXY_UPSTREAMS or CONNECTOR_PROXY_UPSTREAMS_FILE is set.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
import time
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from spiffproxy_http import RequestError
from spiffproxy_http.url import SAFE_CHARACTERS
from spiffproxy_upstream import Upstream, UpstreamClient, fetch_all, log_once, read_upstreams

from spiffproxy import (
    Proxy,
    ProxyError,
    Response,
    Route,
    Settings,
    convert_exceptions,
    encode_json,
    import_part,
    read_json,
)

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment  # novm

    from spiffproxy_upstream import Entries

LIST_SECONDS = 5  # for the lists of all upstreams, which are fetched at the same time; SpiffArena waits 15 s
CALL_SECONDS = 44  # SpiffArena waits 45 s
SUGGEST_SECONDS = 14  # SpiffArena waits 15 s
MAX_LOGGED_IDS = 100
MAX_HOPS = 10  # in Via; ends a loop through replicas on several hosts, whose pseudonyms differ
PSEUDONYM = re.compile(r"spiffproxy-[0-9a-f]{16}")


class Upstreams:
    """The upstreams of a proxy. Its own entries come first. If an id occurs twice, the first entry is used."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        # without the list of allowed hosts: the operator has named the upstreams
        own_rules = {"CONNECTOR_PROXY_HTTP_TIMEOUT": CALL_SECONDS, "CONNECTOR_PROXY_HTTP_ALLOWED_HOSTS": ""}
        config = {**proxy.settings.config, **own_rules}
        self._upstreams = [Upstream(url, key, config) for url, key in read_upstreams(proxy.settings).items()]
        self._pseudonym = make_pseudonym(proxy.settings, self._upstreams)
        self._lock = threading.Lock()
        self._update: threading.Thread | None = None  # the last one
        self._merged: dict[str, tuple[list[Any], bytes]] = {}  # kind → what was merged, and the result

    def dispatch(self, environ: WSGIEnvironment, route: Route, names: str) -> Response | None:
        """Return the response of upstreams, or None if the request is for this proxy alone; raise ProxyError."""
        via = environ.get("HTTP_VIA", "")
        if route.guarded and (self._pseudonym in via or via.count(",") >= MAX_HOPS):
            message = f"This request has come through this proxy before, or through more than {MAX_HOPS} others:"
            message += " the upstreams of one of them lead back to it."
            raise ProxyError(508, "loop_detected", message)
        if route.handler in ("list_commands", "list_auths"):
            return Response(200, self.list_entries(route.handler[len("list_") :], environ))
        if route.handler == "execute_command":
            return self._execute_command(environ, names)
        if route.handler == "suggest":
            return self._suggest(environ, names)
        if route.handler in ("begin_sign_in", "end_sign_in"):
            return self._redirect(environ, names, "/callback" if route.handler == "end_sign_in" else "")
        return None

    def describe_state(self) -> list[dict[str, Any]]:
        """Return the URL, the error and the ids of each upstream, from lists that are at most 30 s old."""
        self._update_lists({}, wait=True)
        return [upstream.describe_state() for upstream in self._upstreams]

    def _add_via(self, environ: WSGIEnvironment) -> str:
        """Return the Via of a request on its way to an upstream (RFC 9110 section 7.6.3)."""
        return f"{environ.get('HTTP_VIA', '')}, 1.1 {self._pseudonym}".lstrip(", ")

    # lists

    def list_entries(self, kind: str, environ: WSGIEnvironment) -> bytes:
        """Return the JSON of `/v1/commands` or `/v1/auths`: this proxy's entries, and those of the upstreams."""
        proxies = PSEUDONYM.findall(environ.get("HTTP_VIA", ""))
        if proxies:  # stored lists may have come from the proxy that asks, and would be passed on in circles
            pass_turn(environ)
            seconds = max(LIST_SECONDS - len(proxies), 1)  # the proxy that asks waits no longer than LIST_SECONDS
            lists = fetch_all(self._upstreams, self._add_via(environ), seconds)
            own = self._proxy.connectors.list_entries(kind)
            return self._merge(own, [fetched.entries(kind) for fetched in lists])
        self._update_lists(environ, wait=False)
        own = self._proxy.connectors.list_entries(kind)  # while the lists are fetched
        self._update_lists(environ, wait=True)
        entries = [upstream.fetched.entries(kind) for upstream in self._upstreams]
        sources, merged = self._merged.get(kind, ([], b""))
        if sources != [own, *entries]:  # costs nothing if they are the same objects
            merged = self._merge(own, entries)
            self._merged[kind] = [own, *entries], merged
        return merged

    def _merge(self, own: bytes, lists: list[Entries]) -> bytes:
        owners = {entry["id"]: "this proxy" for entry in json.loads(own)}
        parts = [own[1:-1]] if owners else []
        for upstream, entries in zip(self._upstreams, lists):
            left_out: dict[str, list[str]] = {}
            for entry_id, entry in entries.items():
                owner = owners.setdefault(entry_id, upstream.url)
                if owner == upstream.url:
                    parts.append(entry)
                else:
                    left_out.setdefault(owner, []).append(entry_id)
            for owner, ids in left_out.items():
                first = ", ".join(ids[:MAX_LOGGED_IDS]) + (" …" if len(ids) > MAX_LOGGED_IDS else "")
                log_once(f"the upstream {upstream.url}: {len(ids)} left out, because {owner} has the same: {first}")
        return b"[" + b", ".join(parts) + b"]"

    def _update_lists(self, environ: WSGIEnvironment, *, wait: bool) -> None:
        """Begin to fetch the lists if they are old; with `wait`, wait for the thread that does it."""
        with self._lock, suppress(RuntimeError):  # no thread can be started
            if not (self._update and self._update.is_alive()):
                old = [upstream for upstream in self._upstreams if time.monotonic() >= upstream.next_fetch]
                if old:
                    update = threading.Thread(target=self._fetch_and_store, args=(old,), daemon=True)
                    update.start()
                    self._update = update
        if wait and self._update and self._update.is_alive():
            pass_turn(environ)
            self._update.join(LIST_SECONDS + 2)

    def _fetch_and_store(self, upstreams: list[Upstream]) -> None:
        for upstream, fetched in zip(upstreams, fetch_all(upstreams, self._add_via({}), LIST_SECONDS)):
            upstream.store(fetched)

    # one entry

    def _find_own_error(self, kind: str, entry_id: str) -> ProxyError | None:
        """Return None if the entry is this proxy's, else why it is not; raise ProxyError if it cannot be used now.

        If a connector of this proxy is broken, its ids are not known, and an upstream's entry is used.
        """
        try:
            self._proxy.connectors.load_entry(kind, entry_id)
        except ProxyError as error:
            connector_name, _, name = entry_id.partition("/")
            connectors = [connector for connector in self._proxy.connectors if connector.name == connector_name]
            if any(not connector.wait_for_import(0) or name in connector.entries[kind] for connector in connectors):
                raise
            return error
        return None

    def _find_upstream(self, kind: str, entry_id: str, environ: WSGIEnvironment) -> Upstream | None:
        """Return the upstream that lists an entry. If the lists already have the entry, do not wait for new ones."""
        for wait in (False, True):
            self._update_lists(environ, wait=wait)
            for upstream in self._upstreams:
                if entry_id in upstream.fetched.entries(kind):
                    return upstream
        return None

    def _execute_command(self, environ: WSGIEnvironment, command_id: str) -> Response | None:
        own_error = self._find_own_error("commands", command_id)
        if own_error is None:
            return None
        environ.get("spiffproxy.log", {})["command"] = command_id
        body = read_bytes(environ, self._proxy.settings.max_request_bytes)
        deadline = time.monotonic() + CALL_SECONDS
        upstream = self._find_upstream("commands", command_id, environ)
        if upstream:
            if own_error.status == 503:
                log_once(f"{command_id} of the upstream {upstream.url} is used: {own_error.message}")
            return self._call(environ, upstream, "POST", f"/v1/do/{quote(command_id)}", deadline, body)
        for upstream in self._upstreams:
            if own_error.status == 404 and upstream.fetched.lists is None:
                message = f"Nothing was executed: this proxy does not have {command_id}, and it is unknown whether the"
                message += f" upstream {upstream.url} has it, which sent no lists: {upstream.fetched.error}"
                raise ProxyError(503, "upstream_unavailable", message)
        message = f"{own_error.message.rstrip('.')}. No upstream lists it either."
        raise ProxyError(own_error.status, own_error.error_code, message)

    def _suggest(self, environ: WSGIEnvironment, category: str) -> Response | None:
        """Ask the upstreams in turn, because typeaheads are not listed; upstreams that sent no lists come last."""
        try:
            import_part("spiffproxy_typeahead").load_typeahead(self._proxy.connectors, category)
        except ProxyError as error:
            if error.error_code != "typeahead_not_found":
                raise
            failure = error
        else:
            return None
        path = f"/v1/typeahead/{quote(category, safe='')}{read_query(environ)}"
        end = time.monotonic() + SUGGEST_SECONDS
        upstreams = sorted(self._upstreams, key=lambda upstream: upstream.fetched.error is not None)
        for left in range(len(upstreams), 0, -1):
            share = (end - time.monotonic()) / left  # which leaves time for the others
            try:
                response = self._call(environ, upstreams[-left], "GET", path, time.monotonic() + share, None)
            except ProxyError as error:
                failure = error
            else:
                if response.status != 404:
                    return response
        raise failure

    def _redirect(self, environ: WSGIEnvironment, auth_id: str, suffix: str) -> Response | None:
        """Redirect the browser of a sign-in to the upstream."""
        try:
            own_error = self._find_own_error("auths", auth_id)
        except ProxyError:  # the sign-in of this proxy reports it
            own_error = None
        upstream = self._find_upstream("auths", auth_id, environ) if own_error else None
        if upstream is None:
            return None
        location = f"{upstream.url}/v1/auth/{quote(auth_id)}{suffix}{read_query(environ)}"
        # the query has a token of SpiffArena
        headers = {"Location": location, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        return Response(302, b"", "text/plain", headers)

    def _call(
        self, environ: WSGIEnvironment, upstream: Upstream, method: str, path: str, deadline: float, body: bytes | None
    ) -> Response:
        """Return the response of an upstream as it is; raise ProxyError, 502 or 503, if there is none."""
        environ.get("spiffproxy.log", {})["upstream"] = upstream.url
        pass_turn(environ)
        failure = None
        with convert_exceptions(f"the upstream {upstream.url}", self._proxy.slots):
            client = UpstreamClient(upstream.config, seconds=deadline - time.monotonic())
            try:
                response = upstream.send(client, method, path, self._add_via(environ), body)
            except RequestError as error:
                failure = error
        if failure is None:
            if response.status == 401:
                log_once(
                    f"the upstream {upstream.url} responded 401; is its key in CONNECTOR_PROXY_UPSTREAMS_FILE right?"
                )
            retry_after = response.headers.get("Retry-After")
            headers = {"Retry-After": retry_after} if retry_after else {}
            content_type = response.headers.get("Content-Type") or "application/octet-stream"
            return Response(response.status, response.body, content_type, headers)
        if failure.was_sent:
            message = f"The upstream {upstream.url} sent no complete response: {failure}"
            message += ". The command may have been executed." if body is not None else ""
            raise ProxyError(502, "upstream_failed", message)
        message = f"The upstream {upstream.url} cannot be reached, and nothing was executed: {failure}"
        raise ProxyError(503, "upstream_unavailable", message)


def make_pseudonym(settings: Settings, upstreams: list[Upstream]) -> str:
    """Return the name of this installation in Via. Its workers share it, and replicas with the same PUBLIC_URL."""
    place = settings.public_url or socket.gethostname()
    words = [place, settings.host, settings.port, *(upstream.url for upstream in upstreams)]
    return f"spiffproxy-{hashlib.sha256(encode_json(words)).hexdigest()[:16]}"


def pass_turn(environ: WSGIEnvironment) -> None:
    """Let another thread of the built-in server accept, before this one waits."""
    if "spiffproxy.pass_turn" in environ:
        environ["spiffproxy.pass_turn"]()


def read_bytes(environ: WSGIEnvironment, limit: int) -> bytes:
    """Return the body as it is, after the checks that every call goes through; raise ProxyError."""
    parts: list[bytes] = []

    def read(size: int) -> bytes:
        parts.append(environ["wsgi.input"].read(size))
        return parts[-1]

    read_json({**environ, "wsgi.input": SimpleNamespace(read=read)}, limit)
    return b"".join(parts)


def read_query(environ: WSGIEnvironment) -> str:
    """Return the query of a request with its question mark, or an empty string."""
    query = environ.get("QUERY_STRING", "")
    return "?" + quote(query.encode("latin-1"), safe=SAFE_CHARACTERS) if query else ""
