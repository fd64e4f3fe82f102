"""Refusals: what BambooHR says of a request that failed, in its own words where it has any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector_bamboohr.errors import ERRORS, BambooHRError

if TYPE_CHECKING:
    from spiffworkflow_connector_command.command_interface import CommandErrorDict, CommandResponseDict

_ADVICE = {401, 403, 404}  # where what the code means says more than BambooHR


def read_refusal(response: CommandResponseDict, error: CommandErrorDict) -> BambooHRError:
    """Return the error of a request from what the http connector returned."""
    code, status = error["error_code"], response.get("http_status") or 500
    if not code.startswith("HttpError"):
        # the message about an answer quotes it, which may be somebody's data; without an answer there is no body
        return refuse_answer("it cannot be read") if response["body"] else BambooHRError(code, error["message"], status)
    if code not in ERRORS:
        code = f"HttpError{status // 100}00"  # what a client takes an unknown status for (RFC 9110 section 15)
    headers = {name.lower(): value for name, value in response.get("headers", {}).items()}
    words = [headers.get("x-bamboohr-error-message", "")[:1000], ERRORS[code] if status in _ADVICE else ""]
    if status in (429, 503):
        words.append(f"try again in {headers.get('retry-after', 'some')} seconds")
    return BambooHRError(code, ": ".join([f"BambooHR answered {status}", *filter(None, words)]), status)


def refuse_answer(problem: str) -> BambooHRError:
    return BambooHRError("UnexpectedAnswer", f"BambooHR's answer is not what BambooHR documents: {problem}", 502)
