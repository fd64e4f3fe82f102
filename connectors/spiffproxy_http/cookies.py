"""The cookies that redirects set, which are forgotten after the call."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from spiffproxy_http.headers import Headers

if TYPE_CHECKING:
    from http.cookiejar import CookieJar

    from spiffproxy_http.request import Request
    from spiffproxy_http.url import Url

# the attributes by which a server may delete a cookie
EXPIRY = re.compile(r";\s*(?:max-age|expires)\s*(?:=[^;]*)?(?=;|\Z)", re.IGNORECASE)
# attributes that RFC 6265 section 5.2 ignores, but for which http.cookiejar would drop the whole cookie
IGNORED = re.compile(
    r""";[ \t]*(?: port[ \t]*(=[^;]*)?
          | max-age[ \t]*(?:=(?![ \t]*-?[0-9]+[ \t]*(?:;|\Z))[^;]*)?
          | path[ \t]*(?:=(?![ \t]*/)[^;]*)?
        )(?=;|\Z)""",
    re.IGNORECASE | re.VERBOSE,
)
# the bytes that http.cookiejar would strip as blanks, and the characters that replace them there
BLANKS = {0x85: 0xE085, 0xA0: 0xE0A0}


class Cookies:
    """The cookies of one call."""

    def __init__(self) -> None:
        from http.cookiejar import CookieJar  # slow to import, and few redirects set a cookie

        self._jar = CookieJar()
        self._replaced = CookieJar()  # including deleted cookies

    def store(self, url: Url, headers: Headers) -> None:
        """Store the cookies of a response from `url`."""
        lines = [IGNORED.sub("", line).translate(BLANKS) for line in headers.get_all("Set-Cookie")]
        extract(self._jar, url, lines)
        extract(self._replaced, url, [EXPIRY.sub("", line) for line in lines])

    def add_to(self, request: Request) -> Request:
        """Return the request with the cookies for its URL. Each replaces or deletes the author's of the same name."""
        pairs = split_cookies(find_cookies(self._jar, request.url))
        replaced = {name for name, _ in split_cookies(find_cookies(self._replaced, request.url))}
        headers = {}
        for name, value in request.headers.items():
            if name.lower() == "cookie":
                pairs = [pair for pair in split_cookies(value) if pair[0] not in replaced] + pairs
            else:
                headers[name] = value
        if pairs:
            headers["Cookie"] = "; ".join(text for _, text in pairs)
        return replace(request, headers=headers)


class CookieResponse:
    """A response as http.cookiejar needs it."""

    def __init__(self, headers: Headers) -> None:
        self._headers = headers

    def info(self) -> Headers:
        return self._headers


def extract(jar: CookieJar, url: Url, lines: list[str]) -> None:
    from urllib.request import Request as CookieRequest

    response = CookieResponse(Headers([("Set-Cookie", line) for line in lines]))
    jar.extract_cookies(response, CookieRequest(cookie_url(url)))  # type: ignore[arg-type]


def find_cookies(jar: CookieJar, url: Url) -> str:
    """Return the value of the Cookie header for a URL."""
    from urllib.request import Request as CookieRequest

    request = CookieRequest(cookie_url(url))
    jar.add_cookie_header(request)
    return (request.get_header("Cookie") or "").translate({there: here for here, there in BLANKS.items()})


def cookie_url(url: Url) -> str:
    return str(url._replace(host=url.name))


def split_cookies(text: str) -> list[tuple[str, str]]:
    """Return the cookies of a Cookie header, each as its name and the whole cookie."""
    cookies = [cookie.strip(" \t") for cookie in text.split(";") if cookie.strip(" \t")]
    return [(cookie.partition("=")[0].strip(" \t"), cookie) for cookie in cookies]
