"""Composes a message and sends it to a server. Imported when a command runs."""

from __future__ import annotations

import time
from typing import Any

from connector_smtp.addresses import read_addresses
from connector_smtp.message import compose
from connector_smtp.outcomes import SentToSome, describe_error, find_error_code, find_http_status
from connector_smtp.session import Session
from connector_smtp.values import read_helo_name, read_host, read_login

__all__ = ["describe_error", "find_error_code", "find_http_status", "send"]

TIMEOUT_SECONDS = 40  # for a command; SpiffArena waits 45


def send(email: Any, config: Any) -> None:
    """Send the message; raise OSError (as smtplib and ssl do), or ValueError if a parameter is invalid."""
    deadline = time.monotonic() + float(config.get("CONNECTOR_PROXY_SMTP_TIMEOUT") or TIMEOUT_SECONDS)
    # 1. the message
    to = read_addresses("email_to", email.email_to)
    cc = read_addresses("email_cc", email.email_cc)
    bcc = read_addresses("email_bcc", email.email_bcc)
    reply_to = read_addresses("email_reply_to", email.email_reply_to)
    senders = read_addresses("email_from", email.email_from)
    if len(senders) != 1:
        raise ValueError(f"email_from must be one address, but has {len(senders)}.")
    if not to + cc + bcc:
        raise ValueError('email_to is empty. Name a recipient, such as "jane@example.org".')
    message = compose(
        subject=email.email_subject,
        body=email.email_body,
        sender=senders[0],
        to=to,
        cc=cc,
        reply_to=reply_to,
        html=email.email_html,
        attachments=email.email_attachments,
        headers=email.email_headers,
    )
    recipients = list(dict.fromkeys(mailbox.address for mailbox in to + cc + bcc))
    # 2. the server and the login
    host, helo_name = read_host(email.smtp_host), read_helo_name(config)
    token_login = None
    if email.smtp_oauth2 is None:
        user, password = read_login(email.smtp_user, email.smtp_password)
    else:
        from connector_smtp.bearer import read_token_login  # most mails do not need it

        token_login = read_token_login(
            email.smtp_oauth2, email.smtp_user or "", email.smtp_password or "", config, deadline
        )
    # 3. the conversation
    with Session(host, email.smtp_port, helo_name, deadline) as session:
        session.open(use_tls=bool(email.smtp_ssl))
        if email.smtp_starttls and not email.smtp_ssl:
            session.start_tls()
        if token_login:
            session.log_in_with_token(token_login)
        elif user:
            session.log_in(user, password)
        use_utf8 = not ("".join(recipients).isascii() and message.isascii())  # addresses alone are not encoded
        refused = session.send(message, senders[0].address, recipients, use_utf8=use_utf8)
        session.leave()
    if refused:
        raise SentToSome(refused)
