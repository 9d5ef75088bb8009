from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage

import pytest
from django.conf import LazySettings

from jit.identity.models import User
from jit.notifications import delivering
from jit.notifications.kinds import Kind
from jit.notifications.models import Notification, Outcome
from jit.ops import checks
from tests.jit.notifications.conftest import PAYLOAD, REQUEST_ID, tell
from tests.support import people
from tests.support.receivers import Mailbox


def only(mailbox: Mailbox) -> EmailMessage:
    assert len(mailbox.mails) == 1
    content = mailbox.mails[0].content
    assert isinstance(content, bytes)
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def parts(message: EmailMessage) -> tuple[str, str]:
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text
    assert html
    return text.get_content(), html.get_content()


def sent() -> Notification:
    return Notification.objects.get(channel="email")


class TestDeliver:
    def test_says_who_asks_for_what_and_links_to_the_request(
        self, ada: User, mailbox: Mailbox
    ) -> None:
        tell(ada, payload=PAYLOAD | {"answer_by": "2030-06-01T12:00:00Z"})
        assert delivering.deliver_lane("email") == 1
        message = only(mailbox)
        assert message["Subject"] == "rita asks for orders-db-writer: your decision is needed"
        assert message["From"] == "Access <jit@example.com>"
        assert message["To"] == "ada@example.com"
        assert message["Auto-Submitted"] == "auto-generated"
        assert message["Message-ID"] == f"<{sent().pk}@127.0.0.1>"
        for body in parts(message):
            assert f"http://127.0.0.1:8000/requests/{REQUEST_ID}/" in body
            assert "OPS-1" in body
            assert "15 min" in body
            assert "2030-06-01 14:00 CEST" in body, "in the reader's own zone"
        assert sent().receipt == message["Message-ID"]

    def test_offers_nothing_to_do_but_to_open_pages(self, ada: User, mailbox: Mailbox) -> None:
        tell(ada)
        delivering.deliver_lane("email")
        html = parts(only(mailbox))[1].lower()
        assert "<form" not in html
        assert "<img" not in html, "nothing that tells who read it"
        assert "<script" not in html
        assert html.count("href=") == 2

    def test_hostile_words_stay_words(self, ada: User, mailbox: Mailbox) -> None:
        hostile = "</td><script>alert(1)</script>\r\nBcc: all@example.com \u202egnp.exe"
        tell(ada, payload=PAYLOAD | {"ticket": hostile, "role": hostile, "requester": hostile})
        assert delivering.deliver_lane("email") == 1
        message = only(mailbox)
        assert mailbox.mails[0].rcpt_tos == ["ada@example.com"]
        assert message["Bcc"] is None
        text, html = parts(message)
        assert "<script>" not in html
        assert "&lt;script&gt;" in html
        for drawn in (text, html, message["Subject"]):
            assert "\u202e" not in drawn
        assert "⟦U+202E⟧" in text

    def test_carries_no_justification_and_no_comment(self, ada: User, mailbox: Mailbox) -> None:
        tell(ada, payload=PAYLOAD | {"justification": "see http://evil", "comment": "http://evil"})
        delivering.deliver_lane("email")
        assert all("evil" not in body for body in parts(only(mailbox)))

    def test_a_refused_address_is_given_up_with_the_servers_words(
        self, ada: User, bo: User, mailbox: Mailbox
    ) -> None:
        mailbox.refuse["ada@example.com"] = "550 5.1.1 no such person"
        tell(ada)
        tell(bo)
        assert delivering.deliver_lane("email") == 1
        row = Notification.objects.get(channel="email", recipient=ada)
        assert row.outcome == Outcome.FAILED
        assert "550 5.1.1 no such person" in row.reason

    def test_a_full_mailbox_is_tried_again(self, ada: User, bo: User, mailbox: Mailbox) -> None:
        mailbox.refuse["ada@example.com"] = "452 4.2.2 mailbox full"
        tell(ada)
        tell(bo)
        assert delivering.deliver_lane("email") == 1, "others get theirs"
        row = Notification.objects.get(channel="email", recipient=ada)
        assert row.outcome == Outcome.WAITING
        assert "452" in row.reason

    @pytest.mark.parametrize(
        ("answer", "outcome"), [("554 5.7.1 spam", "FAILED"), ("451 4.3.0 later", "WAITING")]
    )
    def test_keeps_to_what_the_server_says_of_the_mail(
        self, ada: User, mailbox: Mailbox, answer: str, outcome: str
    ) -> None:
        mailbox.answer = answer
        tell(ada)
        delivering.deliver_lane("email")
        assert sent().outcome == outcome

    def test_a_server_that_is_down_is_tried_again_later(
        self, ada: User, bo: User, mailbox: Mailbox, settings: LazySettings
    ) -> None:
        port = settings.MAILERS["default"]["OPTIONS"]["port"]
        settings.MAILERS["default"]["OPTIONS"]["port"] = 1
        tell(ada)
        tell(bo)
        assert delivering.deliver_lane("email") == 0
        assert delivering.due_lanes() == ["in_app"], "the lane rests"
        settings.MAILERS["default"]["OPTIONS"]["port"] = port
        Notification.objects.filter(channel="email").update(next_try_at=sent_at())
        assert delivering.deliver_lane("email") == 2

    def test_somebody_without_an_address_is_shown_as_such(self, mailbox: Mailbox, db: None) -> None:
        tell(people.person("rita"))
        delivering.deliver_lane("email")
        assert (sent().outcome, sent().reason) == ("FAILED", "the account has no e-mail address")


def sent_at() -> object:
    return Notification.objects.order_by("created_at").values_list("created_at", flat=True)[0]


class TestKinds:
    @pytest.mark.parametrize("kind", list(Kind))
    def test_every_kind_has_words(self, ada: User, mailbox: Mailbox, kind: Kind) -> None:
        from jit.notifications import operations

        operations.set_preferences(
            user=ada,
            wanted={kind.value: {"email": True}} if kind is not Kind.TEST else {},
        )
        more = {
            "until": "2030-06-01T12:00:00Z",
            "due_at": "2030-06-01T12:00:00Z",
            "left": "10 minutes",
            "verdict": "approve",
            "by": "bo",
            "final": True,
            "position": 1,
            "reason": "expired",
            "endpoint": "siem",
            "why": "nobody answers",
        }
        tell(ada, kind=kind, payload=PAYLOAD | more)
        assert delivering.deliver_lane("email") == 1
        assert len(only(mailbox)["Subject"]) > 10


class TestProblem:
    @pytest.mark.parametrize("sender", ["", "nobody", "JIT <>"])
    def test_keeps_an_installation_without_a_sender_from_starting(
        self, mailbox: Mailbox, settings: LazySettings, sender: str
    ) -> None:
        assert "jit.E012" not in {finding.id for finding in checks.check_settings()}
        settings.DEFAULT_FROM_EMAIL = sender
        assert "jit.E012" in {finding.id for finding in checks.check_settings()}
