"""The message as bytes. It is written without the standard library's generator, so it is the same on every Python."""

from __future__ import annotations

import base64
import re
import secrets
from email import quoprimime
from email.utils import formatdate, make_msgid
from typing import TYPE_CHECKING, Any, NamedTuple

from spiffproxy_http.files import read_line, read_text

from connector_smtp.attachments import Attachment, read_attachments
from connector_smtp.content_ids import read_content_ids
from connector_smtp.custom_headers import encode_headers
from connector_smtp.headers import MAX_LINE_BYTES, encode_mailboxes, encode_parameters, encode_text

if TYPE_CHECKING:
    from connector_smtp.addresses import Mailbox

# mail programs would put the pieces together, or fetch the body from elsewhere, instead of showing a file
ACTIVE_MESSAGES = {"message/partial", "message/external-body"}


class Part(NamedTuple):
    """A part of a message, or the whole: its header fields, and its body with CRLF at each end of a line."""

    fields: list[str]
    body: bytes

    def encode(self) -> bytes:
        return "\r\n".join([*self.fields, "", ""]).encode() + self.body


def compose(
    *,
    subject: Any,
    body: Any,
    sender: Mailbox,
    to: list[Mailbox],
    cc: list[Mailbox],
    reply_to: list[Mailbox],
    html: Any,
    attachments: Any,
    headers: dict[str, Any] | None,
) -> bytes:
    """Return the message; raise ValueError that names the parameter that is invalid."""
    fields = [encode_text("Subject", read_line("email_subject", subject))]
    for name, mailboxes in ("From", [sender]), ("To", to), ("Cc", cc), ("Reply-To", reply_to):
        if mailboxes:
            fields.append(encode_mailboxes(name, mailboxes))
    fields.append(f"Date: {formatdate(localtime=True)}")
    fields.append(f"Message-ID: {make_msgid(domain=sender.domain)}")  # without a domain it would ask DNS
    fields += encode_headers(headers)
    fields.append("MIME-Version: 1.0")
    content = make_text_part("plain", read_text("email_body", body))
    files: list[Part] = []
    images: list[Part] = []
    for attachment, content_id in zip(read_attachments(attachments), read_content_ids(attachments, html)):
        part = make_attachment_part(attachment, content_id)
        if content_id:
            images.append(part)
        else:
            files.append(part)
    if html:
        content = join("alternative", [content, make_html_part(read_text("email_html", html), images)])
    if files:
        content = join("mixed", [content, *files])
    return Part(fields + content.fields, content.body).encode()


def make_html_part(html: str, images: list[Part]) -> Part:
    """Return the HTML, with the images that it refers to by their content ids (RFC 2387, RFC 2392)."""
    part = make_text_part("html", html)
    return join("related", [part, *images], type="text/html") if images else part


def join(subtype: str, parts: list[Part], **parameters: str) -> Part:
    """Return a multipart part (RFC 2046 section 5.1.1)."""
    boundary = f"=_{secrets.token_hex(16)}"
    body = b"".join(b"--%b\r\n%b\r\n" % (boundary.encode(), part.encode()) for part in parts)
    return Part(
        [encode_parameters("Content-Type", f"multipart/{subtype}", {**parameters, "boundary": boundary})],
        body + b"--%b--\r\n" % boundary.encode(),
    )


def make_text_part(subtype: str, text: str) -> Part:
    content = re.sub("\r\n|\r|\n", "\r\n", text).encode()
    field = encode_parameters("Content-Type", f"text/{subtype}", {"charset": "utf-8"})
    if is_seven_bit(content):
        return Part([field, "Content-Transfer-Encoding: 7bit"], content)
    # binascii.b2a_qp() folds some strings with bare LF, and some lines after 77 characters
    quoted = quoprimime.body_encode(content.decode("latin-1"), 76, "\r\n").encode()
    encoded = encode_base64(content)
    if len(quoted) < len(encoded):
        return Part([field, "Content-Transfer-Encoding: quoted-printable"], quoted)
    return Part([field, "Content-Transfer-Encoding: base64"], encoded)


def make_attachment_part(attachment: Attachment, content_id: str = "") -> Part:
    """Return a file, or an image in the HTML if it has a content id.

    A message must not be encoded (RFC 2046 section 5.2.1). A message that needs an encoding is therefore sent as
    application/octet-stream, and so are types that mail programs do not show as a file.
    """
    filename, media_type, parameters, content = attachment
    encoding = "base64"
    if media_type.startswith("message/") and media_type not in ACTIVE_MESSAGES:
        lines = re.sub(rb"\r?\n", b"\r\n", content)
        if is_seven_bit(lines):
            encoding, content = "7bit", lines
    if encoding == "base64" and media_type.startswith(("message/", "multipart/")):
        media_type, parameters = "application/octet-stream", {}
    fields = [
        encode_parameters("Content-Type", media_type, parameters),
        f"Content-Transfer-Encoding: {encoding}",
        encode_parameters("Content-Disposition", "inline" if content_id else "attachment", {"filename": filename}),
    ]
    if content_id:
        fields.append(f"Content-ID: <{content_id}>")
    return Part(fields, content if encoding == "7bit" else encode_base64(content))


def is_seven_bit(content: bytes) -> bool:
    """Return whether lines that end in CRLF can be sent as they are (RFC 2045 section 2.7)."""
    lines = content.split(b"\r\n")
    is_short = max(map(len, lines)) <= MAX_LINE_BYTES
    return is_short and content.isascii() and not any(re.search(rb"[\r\n\0]", line) for line in lines)


def encode_base64(content: bytes) -> bytes:
    return base64.encodebytes(content).replace(b"\n", b"\r\n")
