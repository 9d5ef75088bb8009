from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from jit.identity.models import User
from jit.notifications import delivering
from jit.notifications.models import Notification, Outcome
from tests.jit.notifications.conftest import tell
from tests.support.receivers import Mailbox


def run(*words: str) -> str:
    out = io.StringIO()
    call_command("notifications", *words, stdout=out)
    return out.getvalue()


class TestNotifications:
    def test_status_names_what_fails_and_why(self, ada: User, mailbox: Mailbox) -> None:
        assert run("status") == "Nothing waits.\n"
        mailbox.answer = "451 later"
        tell(ada)
        delivering.deliver_lane("email")
        shown = run("status")
        assert "email: 1 waiting, 1 of them tried in vain" in shown
        assert "asked to ada by email, try 1: the mail server says 451 later" in shown

    def test_retry_brings_back_what_was_given_up(self, ada: User, mailbox: Mailbox) -> None:
        mailbox.refuse["ada@example.com"] = "550 unknown"
        tell(ada)
        delivering.deliver_lane("email")
        mailbox.refuse.clear()
        assert run("retry", "in_app").startswith("0 ")
        assert run("retry", "email") == "1 to be tried again now.\n"
        assert delivering.deliver_lane("email") == 1

    def test_retry_does_not_wait_out_the_backoff(self, ada: User, mailbox: Mailbox) -> None:
        mailbox.answer = "451 later"
        tell(ada)
        delivering.deliver_lane("email")
        mailbox.answer = ""
        assert delivering.deliver_lane("email") == 0
        assert run("retry").startswith("1 ")
        assert delivering.deliver_lane("email") == 1

    def test_test_says_what_became_of_it(self, ada: User, mailbox: Mailbox) -> None:
        assert run("test", "ada") == "email: delivered\nin_app: delivered\n"
        assert len(mailbox.mails) == 1
        mailbox.refuse["ada@example.com"] = "550 unknown"
        with pytest.raises(CommandError, match="Not every channel"):
            run("test", "ada")
        assert Notification.objects.filter(outcome=Outcome.FAILED).count() == 1

    def test_test_wants_somebody_who_is_there(self, db: None) -> None:
        with pytest.raises(CommandError, match="no active account"):
            run("test", "nobody")
