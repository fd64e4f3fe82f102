"""The check of settings at the start, so that a mistake does not appear in the middle of a workflow."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from spiffproxy import ProxyError, SettingError, Settings, import_part, is_installed, read_integer, read_string

URL = re.compile(r"https?://([^\s/?#:\\\[\]]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]{1,5}))?(/[^\s?#\\]*)?", re.IGNORECASE)
PREFIX = "CONNECTOR_PROXY_"
# all settings, without the prefix
SETTING_NAMES = [
    "API_KEY",
    "API_KEY_FILE",
    "AUTH_REDIRECT_URLS",
    "BAMBOOHR_URL",
    "CERTFILE",
    "COINGECKO_URL",
    "CONFIG",
    "CONNECTORS",
    "CORS_ORIGINS",
    "HOST",
    "HTTP_ALLOWED_HOSTS",
    "HTTP_CLIENT_CERTS",
    "HTTP_MAX_RESPONSE_BYTES",
    "HTTP_TIMEOUT",
    "KEYFILE",
    "LOG_FORMAT",
    "MAX_REQUEST_BYTES",
    "PORT",
    "POSTGRES_TIMEOUT",
    "PUBLIC_URL",
    "S3_URL",
    "SECRET_KEY",
    "SMTP_HELO_NAME",
    "SMTP_TIMEOUT",
    "THREADS",
    "TYPEAHEAD_PUBLIC",
    "UPSTREAMS",
    "UPSTREAMS_FILE",
    "XERO_CLIENT_ID",
    "XERO_CLIENT_SECRET",
    "XERO_IDENTITY_URL",
    "XERO_URL",
]


class Config(dict[str, Any]):
    """What commands see of the environment and the config file."""

    def __missing__(self, name: str) -> Any:
        raise KeyError(UnsetName(name))


class UnsetName(str):
    """The name of a variable that is not set. A KeyError shows the `repr` of its argument."""

    def __repr__(self) -> str:
        return f"{self} is not set in the environment or the config file of the proxy"


def complete_settings(settings: Settings) -> list[str]:
    """Raise SettingError for a setting that cannot be used; return warnings of variables that may be misspelled.

    `settings.config` becomes a mapping whose KeyError states that the name is not set.
    """
    values = settings.config
    settings.config = MappingProxyType(Config(values))
    if settings.keyfile and not settings.certfile:
        raise SettingError("CONNECTOR_PROXY_KEYFILE is set, but CONNECTOR_PROXY_CERTFILE is not. Set both")
    check_api_keys(settings.api_keys)
    check_connector_folders(settings.connector_folders)
    check_by_ending(values)
    check_ca_bundle(values)
    if "CONNECTOR_PROXY_HTTP_ALLOWED_HOSTS" in values:
        check_by_part("spiffproxy_http.hosts", "read_allowed_hosts", str(values["CONNECTOR_PROXY_HTTP_ALLOWED_HOSTS"]))
    if values.get("CONNECTOR_PROXY_HTTP_CLIENT_CERTS"):
        check_by_part("spiffproxy_http.tls", "check_client_certs", str(values["CONNECTOR_PROXY_HTTP_CLIENT_CERTS"]))
    check_sign_in_urls(settings)
    return find_misspelled(values)


def check_api_keys(keys: list[bytes]) -> None:
    if any(re.search(rb"[\0-\x1f]", key) for key in keys):
        message = "a key has a control character, which is impossible in a header. Write a file in UTF-8, not UTF-16"
        raise SettingError(f"CONNECTOR_PROXY_API_KEY: {message}")


def check_connector_folders(folders: list[str]) -> None:
    for folder in map(Path, folders):
        is_named = folder.name.startswith("connector_") and any(folder.glob("*.py"))
        if is_named or (any(folder.glob("commands/*.py")) and not any(folder.glob("connector_*"))):
            rename = "" if folder.name.startswith("connector_") else f"rename it to connector_{folder.name}, and "
            message = f"{folder} is a connector; {rename}give the folder that it is in, {folder.parent}"
            raise SettingError(f"CONNECTOR_PROXY_CONNECTORS: {message}")


def read_config_file(path: str) -> dict[str, Any]:
    """Run the Python file at `path` and return its upper-case names, as Flask's `from_pyfile` does."""
    try:
        source = Path(path).read_bytes()
    except OSError as error:
        raise SettingError(f"CONNECTOR_PROXY_CONFIG: {error}") from None
    names: dict[str, Any] = {"__name__": "config", "__file__": path}
    try:
        exec(compile(source, path, "exec", dont_inherit=True), names)  # noqa: S102 - the operator's own file
    except (Exception, SystemExit) as error:
        # without the error's text, which may contain a secret of the file
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
        line = lines[-1] if lines else getattr(error, "lineno", "?")
        reason = type(error).__name__
        if isinstance(error, (ImportError, NameError)):  # whose text names what is missing
            reason += f": {error}"
        advice = 'It must be Python, with a setting as NAME = "value" in each line.'
        raise SettingError(f"CONNECTOR_PROXY_CONFIG: {path}, line {line}: {reason}. {advice}") from None
    return {name: value for name, value in names.items() if name.isupper()}


def check_by_ending(values: Mapping[str, Any]) -> None:
    """Check settings by the end of their names, which shows what they are."""
    for name in values:
        if name.startswith(PREFIX):
            if name.endswith("_TIMEOUT"):
                check_seconds(values, name)
            elif name.endswith("_BYTES"):
                read_integer(values, name, 1, 1, 2**40)
            elif name.endswith("_URL") and name != "CONNECTOR_PROXY_PUBLIC_URL":
                check_url(values, name)
            elif name.endswith("_HELO_NAME"):
                check_helo_name(values, name)


def check_seconds(values: Mapping[str, Any], name: str) -> None:
    text = read_string(values, name, "40")
    if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]+)?", text) or not float(text):
        raise SettingError(f"{name} is {text!r}. Use a number of seconds above 0")


def check_helo_name(values: Mapping[str, Any], name: str) -> None:
    text = read_string(values, name)
    if text and not is_domain_or_address(text):
        raise SettingError(f"{name} is {text!r}. Use a domain such as proxy.example.org, or [192.0.2.1]")


def is_domain_or_address(text: str) -> bool:
    """Return whether EHLO may name it (RFC 5321 section 4.1.1.1)."""
    if not text.startswith("["):
        label = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
        return len(text) <= 253 and re.fullmatch(rf"{label}(\.{label})*", text) is not None
    address = text[1:-1]
    try:
        if address.lower().startswith("ipv6:"):
            IPv6Address(address[len("ipv6:") :])
        else:
            IPv4Address(address)
    except ValueError:
        return False
    return text.endswith("]")


def check_url(values: Mapping[str, Any], name: str) -> None:
    """Messages do not repeat the URL of your own connectors, because its query may be a secret."""
    text = read_string(values, name)
    if not text:
        return
    if name[len(PREFIX) :] not in SETTING_NAMES:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*://\S+", text):
            raise SettingError(f"{name} is not a URL such as https://host/path")
        return
    if "@" in text or "?" in text:
        raise SettingError(f"{name} has a user, a password or a query. Write the URL without them")
    match = URL.fullmatch(text)
    if not match or int(match["port"] or "1") not in range(1, 65536):
        raise SettingError(f"{name} is {text!r}. Use a URL such as https://host or http://host:8080/path")


def check_ca_bundle(values: Mapping[str, Any]) -> None:
    for name in "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE":  # the first that is set counts
        path = str(values.get(name) or "")
        if path:
            if not Path(path).exists():
                raise SettingError(f"{name}: there is no file {path}")
            return


def find_misspelled(values: Iterable[str]) -> list[str]:
    """Return a warning for each variable that is nearly a setting; one that is like none is a connector's own."""
    meant = {name: find_nearest_setting(name) for name in values if "_PROXY_" in name}
    return [f"{name} is not a setting; should it be {setting}?" for name, setting in meant.items() if setting]


def find_nearest_setting(name: str) -> str:
    """Return the setting that a variable probably means, or an empty string, also if it is a setting."""
    from difflib import SequenceMatcher, get_close_matches  # takes its time

    prefix, _, rest = name.partition("_PROXY_")
    if prefix != "CONNECTOR":
        is_near = SequenceMatcher(None, prefix, "CONNECTOR").ratio() > 0.8
        return PREFIX + rest if is_near and rest in SETTING_NAMES else ""
    if rest in SETTING_NAMES:
        return ""
    rest = "API_KEY" if rest in ("KEY", "APIKEY", "TOKEN", "SECRET") else rest
    close = [known for known in SETTING_NAMES if sorted(known) == sorted(rest)]  # two letters are exchanged
    close += get_close_matches(rest, SETTING_NAMES, n=1, cutoff=0.8)
    return PREFIX + close[0] if close else ""


def check_by_part(name: str, check: str, text: str) -> None:
    """Have a part check a setting; the message of its RequestError names the setting."""
    try:
        getattr(import_part(name), check)(text)
    except ProxyError:
        raise
    except Exception as error:
        raise SettingError(str(error)) from None


# --- The URLs of signing in ---


class UrlPrefix(NamedTuple):
    """A URL that stands for all URLs below its path."""

    scheme: str
    host: str
    port: int
    segments: tuple[str, ...]

    def contains(self, other: UrlPrefix) -> bool:
        same_origin = self[:3] == other[:3]
        return same_origin and other.segments[: len(self.segments)] == self.segments


def parse_url_prefix(url: str) -> UrlPrefix:
    """Raise ValueError if it is not an http or https URL, or if other software might read it differently."""
    parts = urlsplit(url)
    path = unquote(parts.path)
    if re.search(r"[^!-~]|\\", url) or re.search(r"/\.\.|[\0-\x1f\x7f\\]", path) or "@" in parts.netloc:
        raise ValueError("it has user information, a backslash, .., a blank or another odd character")
    host_and_port = r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]*)?"
    if parts.scheme not in ("http", "https") or not re.fullmatch(host_and_port, parts.netloc, re.IGNORECASE):
        raise ValueError("it is not an http or https URL")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    segments = parts.path.rstrip("/").split("/")[1:]
    return UrlPrefix(parts.scheme, parts.hostname or "", port, tuple(unquote(segment) for segment in segments))


def check_sign_in_urls(settings: Settings) -> None:
    if settings.public_url:
        read_url_prefix("CONNECTOR_PROXY_PUBLIC_URL", settings.public_url)
    for url in settings.auth_redirect_urls:
        read_url_prefix("CONNECTOR_PROXY_AUTH_REDIRECT_URLS", url)


def read_url_prefix(name: str, url: str) -> UrlPrefix:
    try:
        if re.search("[?#;]", url):
            raise ValueError("it has more than scheme, host, port and path")
        return parse_url_prefix(url)
    except ValueError as error:
        raise SettingError(f"{name}: {url!r} cannot be used: {error}") from None


# --- What discovery rarely needs ---


def find_hooked_packages() -> set[str]:
    """Return the packages that import hooks find, by the metadata of what is installed."""
    from importlib.metadata import distributions  # takes its time

    names: set[str] = set()
    for distribution in distributions():
        names.add(str(distribution.metadata["Name"]).replace("-", "_"))  # None if the metadata is damaged
        names.update((distribution.read_text("top_level.txt") or "").split())
    return {name for name in names if name.startswith("connector_") and is_installed(name)}


# program = ("python", "create.py")
PROGRAM = re.compile(r"""\bprogram\b[^=\n]*=\s*[(\[][^)\]]*?["'](?:\./)?([\w-]+)\.py["']""")


def find_programs(sources: Iterable[str]) -> list[str]:
    """Return the modules that commands execute as programs, by the sources of a package; they are not imported."""
    return [name for source in sources for name in PROGRAM.findall(source)]
