"""What connectors for the API of one vendor share: JSON, and errors in the vendor's own words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from spiffproxy_http.errors import RequestError
from spiffproxy_http.excerpts import show

if TYPE_CHECKING:
    from spiffproxy_http.client import Client, Response


class Vendor(NamedTuple):
    """A vendor's API. `hint` is what to check if a response cannot be understood; `explain` returns the code of an
    error response, and what to say about it.
    """

    name: str
    hint: str
    explain: Callable[[Response], tuple[str, list[str]]]

    def send(self, client: Client, method: str, url: str, **parameters: Any) -> Any:
        """Return the JSON of the response; `parameters` are those of `Client.send`. Raise `RequestError`.

        A message never quotes a response that is not as documented: it may contain secrets.
        """
        try:
            return client.send(method, url, **parameters).json()
        except RequestError as error:
            if error.error_code == "JSONDecodeError":
                raise self.unexpected_response() from None
            if error.response is None:
                raise
            response: Response = error.response
        if response.status < 400:
            raise self.unexpected_response()
        code, words = self.explain(response)
        message = ": ".join([f"{self.name} responded with {response.status}", *filter(None, words)])
        raise RequestError(code, message, response.status)

    def unexpected_response(self, hint: str = "") -> RequestError:
        message = f"The response is not what {self.name} documents{hint or self.hint}"
        return RequestError("UnexpectedAnswer", message, 502)


def code_of_status(status: int, errors: dict[str, str]) -> str:
    """Return the code of the status if `errors` has it, else that of its class: 400 for 418 (RFC 9110 section 15)."""
    code = f"HttpError{status}"
    return code if code in errors else f"HttpError{status // 100}00"


def read_json(response: Response) -> Any:
    """Return the JSON of an error response, or None if it is something else."""
    try:
        return response.json()
    except RequestError:
        return None


def advise_retry(response: Response) -> str:
    seconds = response.headers.get("Retry-After") or ""  # or a date
    return f"try again in {seconds if seconds.isdecimal() else 'some'} seconds"


def invalid_value(parameter: str, value: Any, expected: str) -> RequestError:
    return RequestError("ValueError", f"{parameter} is {show(str(value)[:30])}. Use {expected}", 400)
