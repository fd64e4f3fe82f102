from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connector_smtp.mail import EmailV2


@dataclass(repr=False)
class SendEmailV2(EmailV2):
    """Send a mail, optionally with copies, HTML and attachments."""

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
