"""No secret reaches a line of the log."""

from __future__ import annotations

import pytest

from jit.ops.redaction import MASK, Redactor, known_secrets


class TestRedactor:
    @pytest.mark.parametrize(
        ("text", "secret"),
        [
            ("token jit_pat_8Jh2kLmnopQrs-_x was used", "8Jh2kLmnopQrs-_x"),
            ("Authorization: Bearer abcdefgh12345678", "abcdefgh12345678"),
            ("authorization=basic YWRhOmh1bnRlcjI=", "YWRhOmh1bnRlcjI="),
            ("connect to postgresql://jit_app:hunter2@db/jit failed", "hunter2"),
            ("redis://:hunter2@cache:6379/0", "hunter2"),
            ("connection failed: host=db password=hunter2 user=jit", "hunter2"),
            ('{"password": "hunter2"}', "hunter2"),
            ("{'client_secret': 'hunter2'}", "hunter2"),
            ("otpauth://totp/JIT:rita?secret=JBSWY3DPEHPK3PXP&issuer=JIT", "JBSWY3DPEHPK3PXP"),
            ("Cookie: sessionid=q1w2e3r4", "q1w2e3r4"),
            (
                "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw\n-----END PRIVATE KEY-----",
                "MC4CAQAwBQYDK2Vw",
            ),
            ("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw", "MC4CAQAwBQYDK2Vw"),
        ],
    )
    def test_masks_what_looks_like_a_secret(self, text, secret) -> None:
        masked = Redactor(())(text)
        assert secret not in masked
        assert MASK in masked

    @pytest.mark.parametrize(
        "text",
        [
            "could not enqueue jit.workflow.activate; the sweep will find the work",
            "the second factor was refused; the token has expired",
            "GET /api/v1/requests/ 200",
            "https://jit.corp.example/tickets/OPS-1/",
        ],
    )
    def test_leaves_plain_sentences_alone(self, text) -> None:
        assert Redactor(())(text) == text

    def test_masks_known_secrets_wherever_they_stand(self) -> None:
        assert Redactor({"correct horse"})("xcorrect horsey") == f"x{MASK}y"

    def test_walks_what_is_given_as_extra(self) -> None:
        given = {"password": "hunter2", "of": [{"n": 1, "url": "redis://:hunter2@cache/0"}]}
        assert Redactor(()).deep(given) == {
            "password": MASK,
            "of": [{"n": 1, "url": f"redis://:{MASK}@cache/0"}],
        }


class TestKnownSecrets:
    def test_are_those_of_the_settings(self, settings) -> None:
        settings.TICKET_SYSTEMS = {"jira": {"token": "jira-throw-away"}}
        settings.ONCALL_SYSTEMS = {"a": {"token": "pager-token"}, "b": {"secret": "whsec_pager"}}
        settings.ONCALL_WEBHOOK_SECRETS = ["subscription-secret"]
        found = known_secrets()
        assert {settings.SECRET_KEY, settings.SEALING_KEY.hex(), "jira-throw-away"} <= found
        assert {"pager-token", "whsec_pager", "subscription-secret"} <= found

    def test_short_ones_would_mask_common_words(self, settings) -> None:
        settings.TICKET_SYSTEMS = {"jira": {"token": "the"}}
        assert "the" not in known_secrets()
