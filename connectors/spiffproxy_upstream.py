"""Another connector proxy: the requests to it, and its lists."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from spiffproxy_http import Client, RequestError
from spiffproxy_http.url import parse_url
from spiffproxy_settings import URL

import spiffproxy
from spiffproxy import JSON, SettingError, Settings, encode_json

if TYPE_CHECKING:
    import spiffproxy_http

    Entries = dict[str, bytes]  # id → the entry as JSON

KINDS = ("commands", "auths")
LIST_AGE_SECONDS = 30  # after which lists are fetched again
MAX_LIST_BYTES = 16 * 1024**2
# two segments of a path, neither of them only dots
ENTRY_ID = re.compile(r"(?!\.+/)[\w.~:@+$-]+/(?!\.+\Z)[\w.~:@+$-]+")


class UpstreamClient(Client):
    """A client that returns the response whatever its status."""

    def check(self, response: spiffproxy_http.Response) -> None:
        pass


class Fetched(NamedTuple):
    """The lists of an upstream by kind, or None if it has never sent them."""

    lists: dict[str, Entries] | None
    error: str | None  # why they are not recent
    seconds: float = 0  # how long the attempt took

    def entries(self, kind: str) -> Entries:
        return self.lists[kind] if self.lists else {}


class Upstream:
    """Another connector proxy."""

    def __init__(self, url: str, key: str, config: dict[str, Any]) -> None:
        self.url = url
        self.config = config  # of the client
        self.fetched = Fetched(None, None)
        self.next_fetch = 0.0
        self._key = key

    def send(self, client: Client, method: str, path: str, via: str, body: bytes | None) -> spiffproxy_http.Response:
        """Send a request with the upstream's own key; only its path and body are those of the caller's request."""
        headers = {"Via": via}
        if self._key:
            headers["Spiff-Connector-Proxy-Api-Key"] = self._key
        if body is not None:
            headers["Content-Type"] = JSON
        return client.send(method, self.url + path, headers=headers, data=body)

    def fetch(self, via: str, seconds: float) -> Fetched:
        """Return the lists, or the last ones if there is an error."""
        started = time.monotonic()
        fetched = self._fetch_lists(via, seconds)
        return fetched._replace(seconds=time.monotonic() - started)

    def _fetch_lists(self, via: str, seconds: float) -> Fetched:
        config = {**self.config, "CONNECTOR_PROXY_HTTP_MAX_RESPONSE_BYTES": MAX_LIST_BYTES}
        client = UpstreamClient(config, seconds=seconds)
        lists = {}
        try:
            for kind in KINDS:
                response = self.send(client, "GET", f"/v1/{kind}", via, None)
                if response.status == 508:  # the request came from that proxy, which lists its own entries itself
                    return Fetched({kind: {} for kind in KINDS}, "it leads back to this proxy (508)")
                is_missing = kind == "auths" and response.status == 404  # the protocol does not require this list
                lists[kind] = {} if is_missing else self._read_entries(kind, response)
        except (RequestError, ValueError) as error:
            reason = str(error)
            if getattr(error, "error_code", "") == "ResponseTooLarge":
                reason = f"/v1/{kind} has more than {MAX_LIST_BYTES} bytes"
            last = self.fetched.lists
            if "commands" in lists:  # they do not depend on the other list
                last = {"auths": {}, **(last or {}), **lists}
            return Fetched(last, reason)
        return Fetched(lists, None)

    def _read_entries(self, kind: str, response: spiffproxy_http.Response) -> Entries:
        """Return the valid entries of a list, as they are; raise RequestError or ValueError if it is not a list."""
        if response.status != 200:
            advice = ""
            if response.status in (401, 403):
                advice = ". Check its key in CONNECTOR_PROXY_UPSTREAMS_FILE"
            elif response.status < 500:
                advice = ". Check its URL"
            raise ValueError(f"GET /v1/{kind} has the status {response.status}{advice}")
        listed = response.json()
        if not isinstance(listed, list):
            raise ValueError(f"/v1/{kind} is not a list")
        entries: Entries = {}
        faults = []
        for number, entry in enumerate(listed, 1):
            try:
                entries[check_entry(entry, entries)] = encode_json(entry)
            except (ValueError, RecursionError) as error:
                faults.append(f"number {number}: {error}")
        if faults:
            count = f"{len(faults)} of {len(listed)} entries of /v1/{kind}"
            log_once(f"the upstream {self.url}: {count} are left out; the first is {faults[0]}")
        return entries

    def store(self, fetched: Fetched) -> None:
        if fetched.error and fetched.error != self.fetched.error:
            spiffproxy.logger.warning("the upstream %s has no new lists: %s", self.url, fetched.error)
        elif self.fetched.error and not fetched.error:
            spiffproxy.logger.info("the upstream %s has sent its lists again", self.url)
        self.fetched = fetched
        # an upstream that fails at once is asked again soon; one that hangs, less often
        age = LIST_AGE_SECONDS if fetched.error is None else min(1 + 5 * fetched.seconds, LIST_AGE_SECONDS)
        self.next_fetch = time.monotonic() + age

    def describe_state(self) -> dict[str, Any]:
        error = self.fetched.error
        ids = {kind: list(self.fetched.entries(kind)) for kind in KINDS}
        return {"url": self.url, "ok": error is None, "error": error, **ids}


def check_entry(entry: Any, others: Entries) -> str:
    """Return the id of an entry; raise ValueError if it cannot be listed."""
    entry_id = entry.get("id") if isinstance(entry, dict) else None
    if not isinstance(entry_id, str) or not ENTRY_ID.fullmatch(entry_id):
        raise ValueError("it has no id such as connector/Command")
    if entry_id in others:
        raise ValueError(f"the id {entry_id} occurs twice")
    parameters = entry.get("parameters", [])
    if not isinstance(parameters, list):
        raise ValueError(f"the parameters of {entry_id} are not a list")
    if not all(isinstance(parameter, dict) and isinstance(parameter.get("id"), str) for parameter in parameters):
        raise ValueError(f"a parameter of {entry_id} is not an object with an id")
    return entry_id


def fetch_all(upstreams: list[Upstream], via: str, seconds: float) -> list[Fetched]:
    """Fetch the lists of all upstreams at the same time."""
    late = "it did not send its lists in time"
    results = {upstream: upstream.fetched._replace(error=late, seconds=seconds) for upstream in upstreams}

    def fetch(upstream: Upstream) -> None:
        results[upstream] = upstream.fetch(via, seconds)

    threads = [threading.Thread(target=fetch, args=(upstream,), daemon=True) for upstream in upstreams]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + 1)
    return list(results.values())


logged: set[str] = set()


def log_once(line: str) -> None:
    if line not in logged:
        logged.add(line)
        spiffproxy.logger.warning("%s", line)


# --- The settings -------------------------------------------------------------------------------------------------


def read_upstreams(settings: Settings) -> dict[str, str]:
    """Return the key of each upstream by its URL, in order; an empty key if it needs none. Raise SettingError."""
    name = "CONNECTOR_PROXY_UPSTREAMS"
    keys: dict[str, str] = {}
    for number, text in enumerate(settings.upstreams.replace(",", " ").split(), 1):
        url = read_upstream_url(f"{name}: URL {number}", text)
        if url in keys:
            raise SettingError(f"{name} has {url} twice. Remove one of them")
        keys[url] = ""
    if settings.upstreams_file:
        keys.update(read_upstreams_file(settings.upstreams_file))
    if not keys:
        raise SettingError(f"{name} has no URL. Write one, such as http://host:7004, or unset it")
    return keys


def read_upstreams_file(path: str) -> dict[str, str]:
    """Read lines of a URL and a key, which may be missing; a line that begins with # is a comment."""
    name = "CONNECTOR_PROXY_UPSTREAMS_FILE"
    try:
        lines = Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()
    except OSError as error:
        raise SettingError(f"{name}: {error}") from None
    keys: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        url, *key = line.split() or [b"#"]
        if url.startswith(b"#"):
            continue
        place = f"{name}: line {number}"
        if len(key) > 1 or re.search(rb"[\0-\x1f\x7f]", b"".join(key)):
            raise SettingError(f"{place} is not a URL and a key without control characters. Write: URL KEY")
        text = read_upstream_url(place, url.decode("utf-8", "surrogateescape"))
        if text in keys:
            raise SettingError(f"{place} has {text}, which is in an earlier line, too. Remove one of them")
        keys[text] = key[0].decode("latin-1") if key else ""  # the header has the bytes of the file
    if not keys:
        raise SettingError(f"{name}: {path} has no URL. Write one a line, with its key after a blank: URL KEY")
    return keys


def read_upstream_url(place: str, text: str) -> str:
    """Return the base URL of an upstream; raise SettingError, without the text in its message: it may be a secret."""
    if re.search("[@?#]", text):
        raise SettingError(f"{place} has a user, a password, a query or a fragment. Write the URL without them")
    if not URL.fullmatch(text):
        raise SettingError(f"{place} is not a URL such as https://host or http://host:8080/path")
    try:
        return str(parse_url(text)).rstrip("/")
    except RequestError as error:  # for a host or a port
        raise SettingError(f"{place}: {error}") from None
