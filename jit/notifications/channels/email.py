"""E-mail: who asks for what, and a link. Nothing can be decided by answering or by clicking."""

from __future__ import annotations

import smtplib
from email.utils import parseaddr
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, mailers
from django.template.loader import render_to_string

from jit.notifications import wording
from jit.notifications.channels.base import DeliveryFailed, Note

FIRST_PERMANENT = 500
"""SMTP replies from here on are for good (RFC 5321, section 4.2.1)."""
NOT_ABOUT_THE_ADDRESS = frozenset({421, 454, 530, 534, 535, 538})
"""The server is closing, or wants other credentials (RFC 5321 and RFC 4954)."""


class Email:
    def deliver(self, note: Note) -> str:
        """Send the mail; return its Message-ID, the same on every try."""
        person = note.recipient
        if person is None or not person.email:
            raise DeliveryFailed("the account has no e-mail address", permanent=True)
        message = compose(note)
        try:
            with mailers.default as connection:
                connection.send_messages([message])
        except smtplib.SMTPRecipientsRefused as refused:
            code, text = next(iter(refused.recipients.values()))
            raise _answer(code, text) from refused
        except smtplib.SMTPResponseException as answer:
            raise _answer(answer.smtp_code, answer.smtp_error) from answer
        except (OSError, smtplib.SMTPException) as failure:
            why = f"the mail server does not answer: {type(failure).__name__}"
            raise DeliveryFailed(why, lane_down=True) from failure
        return str(message.extra_headers["Message-ID"])


def compose(note: Note) -> EmailMultiAlternatives:
    """Return the mail, in text and HTML, in the recipient's time zone."""
    person = note.recipient
    assert person is not None  # noqa: S101 -- a mail goes to a person
    words = wording.words(note.kind, note.payload, wording.Reader(person.username, person.timezone))
    facts = [fact for fact in words.facts if fact[0] != wording.WHY]
    context = {
        "words": words,
        "facts": facts,
        "site": settings.BASE_URL,
        "name": person.display_name,
    }
    domain = urlsplit(settings.BASE_URL).hostname or "localhost"
    message = EmailMultiAlternatives(
        subject=words.title,
        body=render_to_string("email/notification.txt", context),
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[person.email],
        headers={
            "Message-ID": f"<{note.id}@{domain}>",
            # Out-of-office answers and loops are kept away (RFC 3834, section 5).
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "All",
        },
    )
    message.attach_alternative(render_to_string("email/notification.html", context), "text/html")
    return message


def _answer(code: int, text: bytes | str) -> DeliveryFailed:
    said = text.decode(errors="replace") if isinstance(text, bytes) else text
    why = f"the mail server says {code} {said}"[:400]
    about_all = code in NOT_ABOUT_THE_ADDRESS
    return DeliveryFailed(
        why, permanent=code >= FIRST_PERMANENT and not about_all, lane_down=about_all
    )


def problem() -> str:
    """Return what is wrong with the sender's address, or nothing."""
    sender = parseaddr(settings.DEFAULT_FROM_EMAIL)[1]
    return "" if "@" in sender else f"{settings.DEFAULT_FROM_EMAIL!r} is no sender's address"
