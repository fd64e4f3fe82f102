"""Refusals: what CoinGecko says of a request that failed, in its own words where it has any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from connector_coingecko.errors import ERRORS, CoinGeckoError

if TYPE_CHECKING:
    from spiffworkflow_connector_command.command_interface import CommandErrorDict, CommandResponseDict

_PRO = "a Pro key is for CONNECTOR_PROXY_COINGECKO_URL=https://pro-api.coingecko.com/api/v3, a Demo key for the default"


def read_refusal(response: CommandResponseDict, error: CommandErrorDict) -> CoinGeckoError:
    """Return the error of a request from what the http connector returned."""
    code, status = error["error_code"], response.get("http_status") or 500
    if not code.startswith("HttpError"):
        # without an answer there is no body, and the message says why
        return refuse_answer() if response["body"] else CoinGeckoError(code, error["message"], status)
    if code not in ERRORS:
        code = f"HttpError{status // 100}00"  # what a client takes an unknown status for (RFC 9110 section 15)
    words = [_read_words(response["body"]) or ERRORS[code]]
    if status == 401:
        words.append(_PRO)
    if status == 429:
        headers = {name.lower(): value for name, value in response.get("headers", {}).items()}
        words.append(f"try again in {headers.get('retry-after', 'some')} seconds")
    return CoinGeckoError(code, ": ".join([f"CoinGecko answered {status}", *words]), status)


def refuse_answer() -> CoinGeckoError:
    message = "CoinGecko's answer is not what CoinGecko documents; is CONNECTOR_PROXY_COINGECKO_URL right?"
    return CoinGeckoError("UnexpectedAnswer", message, 502)


def _read_words(body: Any) -> str:
    """Return what is wrong: `{"error": text}`, or `{"status": {"error_message": text}}`, by itself or as the error."""
    for name in ("error", "status", "error_message"):
        if isinstance(body, dict):
            body = body.get(name, body)
    return body[:1000] if isinstance(body, str) else ""
