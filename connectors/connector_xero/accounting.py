"""What the commands share: a request to the accounting API, and its answer as SpiffArena takes it."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from spiffproxy_http.errors import RequestError
from spiffworkflow_connector_command.command_interface import ConnectorCommand

from connector_xero.errors import ERRORS, XERO
from connector_xero.session import Session, read_token_set
from connector_xero.settings import api_url

if TYPE_CHECKING:
    from spiffproxy_http.request import RequestV2
    from spiffworkflow_connector_command.command_interface import CommandResultDictV1

_AUTH = "xero/OAuth"  # the secret that SpiffArena keeps the token set in
_NOT_DONE = {"ConnectTimeout", "HttpError503"}  # for certain


class AccountingCommand(ConnectorCommand):
    """A version 1 command. Commands are dataclasses that name a resource and take a token set as `access_token`.

    :param access_token: the whole token set that signing in gives: "secret:xero/OAuth"
    """

    errors = ERRORS

    resource: str
    access_token: Any

    @abstractmethod
    def make_request(self, url: str) -> RequestV2:
        """Return what is asked of the resource at `url`; raise `RequestError` where the parameters make no request."""

    def execute(self, config: Any, task_data: Any) -> CommandResultDictV1:
        """Return what the API answered, and the token set; or an error with its code."""
        session = Session(config)
        try:
            tokens = read_token_set(self.access_token)
            request = self.make_request(f"{api_url(config)}/api.xro/2.0/{self.resource}")
            session.sign_in(tokens)
            answer = self._ask(session, request)
        except RequestError as error:
            return _report(error, session)
        return _answer(200, _add_tokens(answer, session.tokens))

    def _ask(self, session: Session, request: RequestV2) -> Any:
        try:
            answer = session.ask(request)
            if not isinstance(answer, dict) or self.resource not in answer:
                raise XERO.refuse_answer()
            return answer
        except RequestError as error:
            is_refusal = error.http_status < 500 and error.error_code != "ResponseTooLarge"
            if request.method == "GET" or is_refusal or error.error_code in _NOT_DONE:
                raise
            message = f"{error}. Xero may have done it nevertheless: look there before you try again"
            raise RequestError(error.error_code, message, 422) from None  # another try would do it twice


def _report(error: RequestError, session: Session) -> CommandResultDictV1:
    """Return the error, and a new refresh token that would be lost otherwise.

    SpiffArena stores it where a boundary event catches the error; else the old one is good for 30 minutes more. The
    answer may end up in the data of the workflow, so the access token is left out: the rest is no use to anybody
    without the client secret.
    """
    body = {"error": {"error_code": error.error_code, "message": str(error)}}
    if session.is_refreshed:
        body |= _add_tokens(dict(body), {"refresh_token": session.tokens["refresh_token"]})
    return _answer(error.http_status, body)


def _add_tokens(answer: Any, tokens: dict[str, Any]) -> dict[str, Any]:
    """Return what SpiffArena takes apart; beside `spiff__logs` it would not see the token set."""
    return {"api_response": answer, "refreshed_token_set": tokens, "auth": _AUTH}


def _answer(status: int, body: Any) -> CommandResultDictV1:
    return {"response": body, "status": status, "mimetype": "application/json"}
