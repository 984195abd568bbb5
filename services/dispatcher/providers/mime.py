"""E-mail as bytes, as it goes over the wire.

EmailMessage's own policy, which aiosmtplib uses again for a message object, folds a long List-Unsubscribe into an encoded
word, and one-click unsubscribe dies; so messages are written here, and sent as bytes. What we made ourselves is ASCII and
goes as it is; what people wrote goes the same way where it is plain, and through the library's folding where it is not.
"""

import re
from binascii import b2a_qp
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from functools import lru_cache

from services.dispatcher.providers.base import EmailContent, Parcel

POLICY = SMTP_POLICY.clone(max_line_length=998)
CORRELATION_HEADER = "X-Orderwake-Message-Id"
LONGEST_LINE = 990

_PLAIN_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*"
)


def serialise(parcel: Parcel, sender_email: str) -> bytes:
    """The message as it goes over the wire. Raises ValueError when a header cannot hold its value."""
    if not isinstance(parcel.content, EmailContent):
        message = "only e-mail is written as MIME"
        raise TypeError(message)
    content = parcel.content
    sender, domain = _from(content.sender_name, sender_email)
    boundary = (
        f"=_{parcel.message_id.hex}"  # no quoted-printable line can hold "=_"; a plain one is looked at
    )
    own = (
        f"Date: {format_datetime(content.written_at)}\r\n"
        f"Message-ID: <{parcel.message_id}@{domain}>\r\n"
        f"List-Unsubscribe: <{content.unsubscribe_url}>\r\n"
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
        f"{CORRELATION_HEADER}: {parcel.message_id}\r\n"
        "MIME-Version: 1.0\r\n"
        f'Content-Type: multipart/alternative; boundary="{boundary}"\r\n'
    )
    head = sender + _to(parcel.recipient) + _subject(content.subject) + own.encode("ascii")
    parts = (_part(boundary, "plain", content.text), _part(boundary, "html", content.html))
    return b"".join((head, b"\r\n", *parts, f"--{boundary}--\r\n".encode()))


def is_address(recipient: str) -> bool:
    """Whether `recipient` is one that these headers and SMTP without SMTPUTF8 can carry."""
    if _PLAIN_ADDRESS.fullmatch(recipient):
        return True
    try:
        return recipient.isascii() and bool(Address(addr_spec=recipient).domain)
    except (ValueError, HeaderParseError, IndexError):
        return False


@lru_cache(maxsize=256)
def _from(name: str, address: str) -> tuple[bytes, str]:
    sender = Address(name, addr_spec=address)
    return _folded("From", sender), sender.domain


def _to(recipient: str) -> bytes:
    if len(recipient) < LONGEST_LINE and _PLAIN_ADDRESS.fullmatch(recipient):
        return f"To: {recipient}\r\n".encode()
    return _folded("To", Address(addr_spec=recipient))


def _subject(text: str) -> bytes:
    if text.isascii() and text.isprintable() and len(text) < LONGEST_LINE and "=?" not in text:
        return f"Subject: {text}\r\n".encode()
    return _folded("Subject", text)


def _folded(name: str, value: object) -> bytes:
    mail = EmailMessage(POLICY)
    mail[name] = value
    return b"".join(POLICY.fold_binary(field, written) for field, written in mail.raw_items())


def _part(boundary: str, subtype: str, text: str) -> bytes:
    lines = text.splitlines()
    plain = text.isascii() and boundary not in text and max(map(len, lines), default=0) <= LONGEST_LINE
    body = ("\r\n".join(lines) + "\r\n").encode()
    head = (
        f"--{boundary}\r\nContent-Type: text/{subtype}; charset=utf-8\r\n"
        f"Content-Transfer-Encoding: {'7bit' if plain else 'quoted-printable'}\r\n\r\n"
    )
    return head.encode() + (body if plain else b2a_qp(body, istext=True)) + b"\r\n"
