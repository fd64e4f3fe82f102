"""The message: addresses, texts and attachments, checked before anything is sent."""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, getaddresses, make_msgid
from typing import Any, NamedTuple
from urllib.parse import unquote

# base64 or quoted-printable for what is not ASCII: not every server takes eight bits
_POLICY = SMTP.clone(cte_type="7bit")
# the name stands in front of base64, behind what else the type of the file has
_DATA_URL = re.compile(
    r"data:(?P<type>[^;,]*)(?:;(?!name=)[^;,]*)*(?:;name=(?P<name>[^;,]*))?(?:;[^;,]*)*;base64,(?P<data>.*)", re.DOTALL
)
_MEDIA_TYPE = re.compile(r"([\w.+-]+)/([\w.+-]+)", re.ASCII)


class Attachment(NamedTuple):
    filename: str
    media_type: str
    content: bytes


def compose(
    *,
    subject: Any,
    body: Any,
    sender: Address,
    to: list[Address],
    cc: list[Address],
    reply_to: list[Address],
    html: Any,
    attachments: list[Attachment],
) -> EmailMessage:
    """Return the message; raise ValueError that names the parameter which makes none."""
    message = EmailMessage(_POLICY)
    message["Subject"] = check_text("email_subject", subject, one_line=True)
    message["From"] = sender
    for name, addresses in ("To", to), ("Cc", cc), ("Reply-To", reply_to):
        if addresses:
            message[name] = addresses
    message["Date"] = formatdate(localtime=True)
    message["Message-ID"] = make_msgid(domain=sender.domain)  # without a domain it would ask DNS for ours
    message.set_content(check_text("email_body", body))
    if html:
        message.add_alternative(check_text("email_html", html), subtype="html")
    for filename, media_type, content in attachments:
        maintype, _, subtype = media_type.partition("/")
        message.add_attachment(content, maintype=maintype, subtype=subtype, filename=filename)
    for part in message.walk():
        for name, value in part.items():
            _check_header(name, value)
    return message


def encode(message: EmailMessage, *, utf8: bool) -> bytes:
    """Return what is sent; with `utf8` addresses may have letters beyond ASCII (RFC 6532)."""
    return message.as_bytes(policy=_POLICY.clone(utf8=utf8))


def _check_header(name: str, value: Any) -> None:
    """Refuse what would be two headers on the wire: the standard library decodes encoded words that it is given."""
    for policy in (_POLICY, _POLICY.clone(utf8=True)):
        if re.search(r"\n[^ \t]", policy.fold(name, value).rstrip()):
            raise ValueError(f"the header {name} would hold a line break")


def check_login(parameter: str, value: Any) -> str:
    """Return the user or the password, empty where there is none; smtplib sends ASCII alone."""
    text = check_text(parameter, value or "")
    if not text.isascii():
        raise ValueError(f"{parameter} holds a letter beyond ASCII")
    return text


def check_text(parameter: str, value: Any, *, one_line: bool = False) -> str:
    """Return a text that can be sent; a line break in a header would let its author add others."""
    if not isinstance(value, str):
        raise ValueError(f"{parameter} must be text, not {type(value).__name__}")
    if one_line and (len(f"{value}.".splitlines()) > 1 or "\0" in value):
        raise ValueError(f"{parameter} holds a line break")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{parameter} holds half of a surrogate pair") from None
    return value


def read_addresses(parameter: str, value: Any) -> list[Address]:
    """Read one address, several with commas between them, or a list of these; none for null and empty."""
    texts = value if isinstance(value, list) else [value] if value else []
    addresses = []
    for text in texts:
        for name, address in getaddresses([check_text(parameter, text, one_line=True).strip(" ,")]):
            local, at, domain = address.rpartition("@")
            if not (local and at and domain) or re.search(r"[\s<>]", address):
                raise ValueError(f"{parameter}: {text!r} is no address")
            addresses.append(_make_address(parameter, name, local, domain))
    return addresses


def _make_address(parameter: str, name: str, local: str, domain: str) -> Address:
    try:
        return Address(name, local.strip('"'), _encode_domain(domain))
    except (ValueError, IndexError) as error:  # the parser of the standard library has many ways to say no
        raise ValueError(f"{parameter}: {local}@{domain} is no address: {error}") from None


def _encode_domain(domain: str) -> str:
    """Return a domain in ASCII, label by label: in a header it would become an encoded word, which is no domain."""
    labels = unicodedata.normalize("NFKC", domain).lower().split(".")
    return ".".join(x if x.isascii() else "xn--" + x.encode("punycode").decode() for x in labels)


def read_attachments(value: Any) -> list[Attachment]:
    """Read SpiffArena's data URLs, and objects with `filename`, `content_base64` and `mimetype`."""
    items = value if isinstance(value, list) else [value] if value else []
    return [_read_attachment(f"email_attachments, number {number}", item) for number, item in enumerate(items, 1)]


def _read_attachment(place: str, item: Any) -> Attachment:
    if isinstance(item, str):
        match = _DATA_URL.fullmatch(item)
        if not match:
            raise ValueError(f"{place}: a text must be a data URL, data:<mimetype>;name=<name>;base64,<data>")
        name, media_type, data = unquote(match["name"] or "attachment"), match["type"], match["data"]
    elif isinstance(item, dict) and "content_base64" in item:
        name, media_type, data = item.get("filename") or "attachment", item.get("mimetype"), item["content_base64"]
    else:
        raise ValueError(f"{place} must be a data URL, or an object with filename, content_base64 and mimetype")
    media_type = media_type or "application/octet-stream"
    if not isinstance(media_type, str) or not _MEDIA_TYPE.fullmatch(media_type):
        raise ValueError(f"{place}: {media_type!r} is no mimetype")
    try:
        content = base64.b64decode(re.sub(r"\s", "", check_text(place, data)), validate=True)
    except binascii.Error as error:
        raise ValueError(f"{place}: its data is not base64: {error}") from None
    return Attachment(check_text(f"{place}: filename", name, one_line=True), media_type, content)
