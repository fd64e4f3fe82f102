"""What the proxy offers, what runs, and what is missing or broken: for `/v1/status`, `list` and the page."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from spiffproxy import Connector, Proxy, ProxyError, Response, __version__, encode_json

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment  # novm


def show_status(proxy: Proxy, environ: WSGIEnvironment, _: str) -> Response:
    """Return the state as JSON, always with status 200, because a broken connector is not a reason for a restart."""
    return Response(200, encode_json(describe_state(proxy)))


def describe_state(proxy: Proxy) -> dict[str, Any]:
    """Import all connectors, and return the state of the proxy, of each connector and of each upstream.

    `ok` is false if something is broken; a missing requirement does not count. `since` is in UTC. `connections` is null
    if another server than the built-in one serves the proxy.
    """
    proxy.connectors.load_all("commands")
    connectors = [describe_connector(connector) for connector in proxy.connectors]
    upstreams = proxy.upstreams.describe_state() if proxy.upstreams else []
    allowed = proxy.settings.max_running_commands
    return {
        "ok": all(described["ok"] for described in [*connectors, *upstreams]),
        "version": __version__,
        "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(proxy.started)),
        "commands": {"running": allowed - proxy.slots._value, "allowed": allowed},
        "connections": None if proxy.connections is None else len(proxy.connections),
        "connectors": connectors,
        "upstreams": upstreams,
    }


def describe_connector(connector: Connector) -> dict[str, Any]:
    """Return what a connector offers (nothing while it is being imported), and what is missing or broken."""
    is_late = connector.import_timed_out
    state: dict[str, Any] = {"name": connector.name, "ok": not connector.failures and not is_late}
    for kind, entries in connector.entries.items():
        state[kind] = [] if is_late else [entry.id for entry in entries.values()]
    faults = {"missing": list_missing(connector), "failures": dict(connector.failures)}
    return {**state, **faults, "importing": is_late}


def list_missing(connector: Connector) -> list[str]:
    """Return what a connector or one of its entries needs and is not installed."""
    missing = list(connector.missing_requirements)
    for entry in [entry for entries in connector.entries.values() for entry in list(entries.values())]:
        try:
            missing += entry.find_missing_requirements()
        except ProxyError as error:
            missing.append(f"{entry.id}: find_missing_requirements raised {error.error_code}: {error.message}")
    return missing
