"""The HTTP client that connectors build on. It is not a connector, so no installed connector replaces it.

The connector of a JSON API is a class for each command:

    from dataclasses import dataclass

    from spiffproxy_http import HttpCommand


    @dataclass
    class GetTicket(HttpCommand):
        \"\"\"Read a ticket.

        :param number: the number of the ticket
        \"\"\"

        number: int

        def run(self, client):
            url = f"{client.config['TICKETS_URL']}/tickets/{int(self.number)}"
            headers = {"Authorization": f"Bearer {client.config['TICKETS_TOKEN']}"}
            return client.send("GET", url, headers=headers).json()

`HttpCommand`
    What `run(client)` returns is the body of a version 2 result with `http_status` 200; a `RequestError` that it raises
    is the error of the result. `client.logs` are its `spiff__logs`. `errors` lists the codes that the command can end
    with; a command with codes of its own sets `errors = {**HttpCommand.errors, "NoSeat": "the train is full"}`.
    A dataclass that sets `checks_parameters = True` gets "3" as 3 and "false" as false, as its annotations say; any
    other value is a `ValueError`. Otherwise parameters arrive as they were sent.

`Client(config, *, seconds=None)`
    Create one for each call of a command: it has one clock for all requests, and applies the operator's rules.
    `config` and `logs` are attributes. A `RequestError` from the constructor is about a setting.

`Client.send(method, url, *, params, headers, basic_auth, follow_redirects, decompress, attempts, …)`
    Sends a request and returns a `Response`. At most one of `json`, `form`, `data`, `multipart` and `file` is the body.

`Response`
    `status`; `headers` with `get`, `get_all` and `items`; `body` (bytes); `text`; `json()`.

`RequestError(error_code, message, http_status=500)`
    What a boundary event catches, what the author of the diagram reads, and how SpiffArena knows whether to try again
    (on 429, and on 500 and above). A status of 300 or above raises it as `HttpError<status>` with the `Response` as
    `response`, and at most 300 characters of the body in its message; `response` is None for every other error.
    `was_sent` is false if it is certain that the upstream received nothing of the request.

The modules of this package can be imported too: `vendor` for the API of a vendor with error messages of its own,
`request_commands` for commands whose parameters are a request, `files` for parameters and results that are files,
`url`, `hosts` and `xml`.
"""

from __future__ import annotations

from spiffproxy_http.client import Client, Response
from spiffproxy_http.command import HttpCommand
from spiffproxy_http.errors import RequestError

__all__ = ["Client", "HttpCommand", "RequestError", "Response"]
