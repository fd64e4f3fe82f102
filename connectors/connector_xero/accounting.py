"""The base class of the commands: a request to the accounting API, and the result as SpiffArena expects it."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from spiffproxy_http import RequestError
from spiffproxy_http.errors import invalid_parameter
from spiffproxy_parameters import check_parameters
from spiffworkflow_connector_command.command_interface import ConnectorCommand

from connector_xero.errors import ERRORS, XERO
from connector_xero.session import Session, read_token_set

if TYPE_CHECKING:
    from spiffworkflow_connector_command.command_interface import CommandResultDictV1

AUTH = "xero/OAuth"  # the secret in which SpiffArena stores the token set
NOT_DONE = {"ConnectTimeout", "HttpError503"}  # errors after which Xero has certainly done nothing


class AccountingCommand(ConnectorCommand):
    """A version 1 command. Commands are dataclasses that name a resource and accept a token set as `access_token`.

    :param access_token: the whole token set that signing in returns: "secret:xero/OAuth"
    """

    errors = ERRORS

    resource: str
    access_token: Any

    @abstractmethod
    def make_request(self) -> dict[str, Any]:
        """Return the method of the request, and its params or JSON; raise `RequestError` if a parameter is invalid."""

    def execute(self, config: Any, task_data: Any) -> CommandResultDictV1:
        """Return the response of the API and the token set, or an error with its code."""
        session = None
        try:
            check_parameters(self, invalid_parameter)
            session = Session(config)
            tokens = read_token_set(self.access_token)
            request = self.make_request()
            session.sign_in(tokens)
            response = self._send(session, **request)
        except RequestError as error:
            return error_result(error, session)
        return result(200, add_tokens(response, session.tokens))

    def _send(self, session: Session, method: str, **parameters: Any) -> Any:
        try:
            response = session.send(method, f"api.xro/2.0/{self.resource}", **parameters)
            if not isinstance(response, dict) or self.resource not in response:
                raise XERO.unexpected_response()
            return response
        except RequestError as error:
            is_refusal = error.http_status < 500 and error.error_code != "ResponseTooLarge"
            if method == "GET" or is_refusal or error.error_code in NOT_DONE:
                raise
            message = f"{error}. Xero may have done it nevertheless: look there before you try again"
            raise RequestError(error.error_code, message, 422) from None  # another attempt would do it twice


def error_result(error: RequestError, session: Session | None) -> CommandResultDictV1:
    """Return the error, and a new refresh token that would be lost otherwise.

    SpiffArena stores it if a boundary event catches the error; else the old one is valid for 30 minutes more. The
    response may end up in the data of the workflow, so the access token is left out: without the client secret, nobody
    can use a refresh token.
    """
    body = {"error": {"error_code": error.error_code, "message": str(error)}}
    if session and session.is_refreshed:
        body |= add_tokens(dict(body), {"refresh_token": session.tokens["refresh_token"]})
    return result(error.http_status, body)


def add_tokens(response: Any, tokens: dict[str, Any]) -> dict[str, Any]:
    """Return the fields in which SpiffArena expects the token set. With `spiff__logs` it would not look for them."""
    return {"api_response": response, "refreshed_token_set": tokens, "auth": AUTH}


def result(status: int, body: Any) -> CommandResultDictV1:
    return {"response": body, "status": status, "mimetype": "application/json"}
