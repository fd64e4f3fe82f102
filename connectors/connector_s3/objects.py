"""What the commands share: a signed request, and the answer of S3 as a result of version 2."""

from __future__ import annotations

import re
from abc import abstractmethod
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Callable
from xml.parsers.expat import ExpatError

from connector_http.commands.delete_request_v2 import DeleteRequestV2
from connector_http.commands.get_request_v2 import GetRequestV2
from connector_http.commands.put_request_v2 import PutRequestV2
from connector_http.errors import RequestError
from connector_http.request import start_call
from connector_http.xml import decode_xml, parse_xml
from spiffworkflow_connector_command.command_interface import ConnectorCommand

from connector_s3.endpoint import find_bucket, read_signer
from connector_s3.errors import SHARED_ERRORS, S3Error

if TYPE_CHECKING:
    from connector_http.request import Received, RequestV2
    from spiffworkflow_connector_command.command_interface import CommandErrorDict, ConnectorProxyResponseDict

_JSON = "application/json"
_REQUESTS: dict[str, Callable[..., RequestV2]] = {"DELETE": DeleteRequestV2, "GET": GetRequestV2, "PUT": PutRequestV2}


class S3Command(ConnectorCommand):
    """Commands are dataclasses that take these parameters, and some of their own."""

    errors: dict[str, str] = SHARED_ERRORS

    bucket: str
    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    addressing_style: str | None = "auto"

    @abstractmethod
    def run(self, config: Any, logs: list[str]) -> dict[str, Any]:
        """Return the body of the result; raise `S3Error` or `RequestError`."""

    def execute(self, config: Any, task_data: Any) -> ConnectorProxyResponseDict:
        """Return what came of it, and an `http_status` by which SpiffArena knows whether to try again."""
        body: dict[str, Any] = {}
        logs: list[str] = []
        status, failure = 200, None
        try:
            body = self.run(config, logs)
        except S3Error as error:
            status, failure = error.status, _report(error)
        except RequestError as error:
            status, failure = error.http_status, _report(error)
        return {
            "command_response": {"body": body, "mimetype": _JSON, "http_status": status},
            "command_response_version": 2,
            "error": failure,
            "spiff__logs": logs,
        }

    def ask(
        self,
        method: str,
        target: str,
        config: Any,
        logs: list[str],
        *,
        headers: dict[str, str] | None = None,
        data: bytes = b"",
    ) -> Received:
        """Return the answer to a signed request; `target` goes behind the bucket. Raise as `run` does."""
        url = find_bucket(self, config)
        url = url._replace(target=url.target + target)
        signer = read_signer(self, config)
        signed = signer.sign(method, url.netloc, url.target, headers or {}, data, datetime.now(timezone.utc))
        request = _REQUESTS[method](str(url), headers={**signed, "Accept-Encoding": "identity"})
        if method == "PUT":
            request.data, request.body_format = data, "raw"
        call = start_call(config, logs)
        call.follows = False  # the signature is for this host, and so is the session token
        # an object that was stored compressed is returned as it was stored
        answer = request.send(request.build(call), config, decompress=False)
        if answer.status >= 300:
            raise _read_refusal(answer, self.errors)
        return answer


def _report(error: S3Error | RequestError) -> CommandErrorDict:
    return {"error_code": error.error_code, "message": str(error)}


def read_etag(answer: Received) -> str:
    """Return what S3 calls the content; an answer without it is from something else."""
    etag = answer.headers.get("ETag", "").strip('"')
    if not etag:
        raise refuse_answer()
    return etag


def read_xml(answer: Received, root: str) -> dict[str, Any]:
    try:
        element = parse_xml(decode_xml(answer.body, None)).get(root)
    except (ExpatError, LookupError, ValueError):
        element = None
    if not isinstance(element, dict):
        raise refuse_answer()
    return element


def refuse_answer() -> S3Error:
    return S3Error("UnexpectedAnswer", "The answer is not what S3 documents; is the endpoint right?", 502)


def _read_refusal(answer: Received, errors: dict[str, str]) -> S3Error:
    """Return S3's own code and words; some gateways have none, and HTML in their place."""
    try:
        error = read_xml(answer, "Error")
    except S3Error:
        error = {}
    code, words = str(error.get("Code") or ""), str(error.get("Message") or "")[:1000]
    if not re.fullmatch("[A-Za-z0-9.]{1,80}", code):
        code = ""
    message = ": ".join(filter(None, [f"S3 answered {answer.status}", code, words or errors.get(code)]))
    return S3Error(code if code in errors else "S3Error", message, answer.status)
