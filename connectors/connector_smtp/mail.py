"""What the commands share: their parameters, and the result that reports success or failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from spiffproxy_parameters import check_parameters
from spiffworkflow_connector_command.command_interface import CommandErrorDict, ConnectorCommand

from connector_smtp.errors import ERRORS

if TYPE_CHECKING:
    from spiffworkflow_connector_command.command_interface import CommandResultDictV1, ConnectorProxyResponseDict

JSON = "application/json"
REQUIRED_ADDRESSES = {"type": ["string", "array"], "items": {"type": "string"}}
ADDRESSES = {**REQUIRED_ADDRESSES, "type": ["string", "array", "null"]}


class Email(ConnectorCommand):
    """A version 1 command. Commands are dataclasses that accept some of these parameters.

    :param smtp_user: with smtp_password; both are empty if the server requires no login
    :param smtp_starttls: true encrypts by STARTTLS, and sends nothing if the server does not offer it
    :param smtp_ssl: true uses TLS from the start, as on port 465; smtp_starttls then has no effect
    :param email_to: addresses with commas between them, or a list of them; with names as in "Jane <jane@example.org>"
    :param email_from: one address
    :param email_cc: as email_to
    :param email_bcc: as email_to, but the other recipients do not see these addresses
    :param email_reply_to: as email_to
    :param email_html: the same as email_body, in HTML
    :param email_attachments: a list of SpiffArena's file data, or of objects with filename, content_base64, mimetype,
        and content_id if email_html shows it: "logo" for <img src="cid:logo">
    :param email_headers: an object of strings such as {"X-Priority": "1"}, which become headers of the message
    :param smtp_oauth2: in place of smtp_password, an object by which the proxy gets an access token: token_url,
        client_id, client_secret, optionally scope, audience, refresh_token, auth (basic or post); or access_token alone
    """

    smtp_host: str
    smtp_port: int
    email_subject: str
    email_body: str
    email_to: str
    email_from: str
    smtp_user: str | None = None
    smtp_password: str | None = None
    smtp_starttls: bool | None = None
    smtp_ssl: bool | None = None
    email_cc: Any = None
    email_bcc: Any = None
    email_reply_to: Any = None
    email_html: str | None = None
    email_attachments: Any = None
    email_headers: dict[str, Any] | None = None
    smtp_oauth2: dict[str, Any] | None = None
    parameter_schemas: ClassVar[dict[str, Any]] = {
        "smtp_port": {"minimum": 1, "maximum": 65535, "examples": [587]},
        "email_headers": {"examples": [{"X-Priority": "1"}]},
        "smtp_oauth2": {"examples": [{"token_url": "https://login.example.org/token", "client_id": "mailer"}]},
        **dict.fromkeys(["email_to", "email_from"], REQUIRED_ADDRESSES),
        **dict.fromkeys(["email_cc", "email_bcc", "email_reply_to"], ADDRESSES),
    }

    def execute(self, config: Any, task_data: Any) -> CommandResultDictV1 | ConnectorProxyResponseDict:
        """Return status 200 with `{}`, or with `{"error": …}`, which the diagram must look at."""
        from connector_smtp.delivery import (
            describe_error,
            send,
        )  # slow, and not needed for a list

        try:
            check_parameters(self, ValueError)
            send(self, config)
        except (OSError, ValueError) as error:  # all errors of smtplib and ssl are OSErrors
            return {"response": {"error": describe_error(error)}, "status": 200, "mimetype": JSON}
        return {"response": {}, "status": 200, "mimetype": JSON}


class EmailV2(Email):
    """A version 2 command: a failure is an error that a boundary event catches by the name of its exception."""

    errors = ERRORS

    def execute(self, config: Any, task_data: Any) -> ConnectorProxyResponseDict:
        """Return an `http_status` by which SpiffArena knows whether to try again."""
        from connector_smtp.delivery import describe_error, find_error_code, find_http_status, send

        status, failure = 200, None
        try:
            check_parameters(self, ValueError)
            send(self, config)
        except (OSError, ValueError) as error:
            status = find_http_status(error)
            failure = CommandErrorDict(error_code=find_error_code(error), message=describe_error(error))
        return {
            "command_response": {"body": {}, "mimetype": JSON, "http_status": status},
            "command_response_version": 2,
            "error": failure,
            "spiff__logs": [],
        }
