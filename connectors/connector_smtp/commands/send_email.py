from __future__ import annotations

from dataclasses import dataclass

from connector_smtp.mail import Email


@dataclass(repr=False)
class SendEmail(Email):
    """Send a mail; the result is empty, or has the error as a string."""

    smtp_host: str
    smtp_port: int
    email_subject: str
    email_body: str
    email_to: str
    email_from: str
    smtp_user: str | None = None
    smtp_password: str | None = None
    smtp_starttls: bool | None = None
