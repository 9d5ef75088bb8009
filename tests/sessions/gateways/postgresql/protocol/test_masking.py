"""Which passwords are covered, and that nothing else is."""

from __future__ import annotations

import pytest

from sessions.gateways.postgresql.protocol import masking


class TestMask:
    @pytest.mark.parametrize(
        ("text", "masked"),
        [
            ("ALTER ROLE a PASSWORD 'hush'", "ALTER ROLE a PASSWORD '********'"),
            ("ALTER ROLE a password E'hu\\'sh' VALID", "ALTER ROLE a password '********' VALID"),
            ("ALTER ROLE a PASSWORD $x$hush$x$", "ALTER ROLE a PASSWORD '********'"),
            ("ALTER ROLE a PASSWORD /* x */ 'hush'", "ALTER ROLE a PASSWORD /* x */ '********'"),
            ("ALTER ROLE a PASSWORD U&'hush'", "ALTER ROLE a PASSWORD U&'********'"),
            ("UPDATE u SET password = 'hush'", "UPDATE u SET password = '********'"),
            ("UPDATE u SET password = $1", "UPDATE u SET password = $1"),
            ("SELECT password FROM u", "SELECT password FROM u"),
            (
                "CREATE SUBSCRIPTION s CONNECTION 'host=a password=hush user=b' PUBLICATION p",
                "CREATE SUBSCRIPTION s CONNECTION 'host=a password=******** user=b' PUBLICATION p",
            ),
            (
                "SELECT dblink('postgresql://me:hush@host/db')",
                "SELECT dblink('postgresql://me:********@host/db')",
            ),
        ],
    )
    def test_covers_passwords(self, text: str, masked: str) -> None:
        assert masking.mask(text) == masked

    @pytest.mark.parametrize(
        "text",
        [
            "SELECT 1 /* password ' */; DROP TABLE orders; -- '",
            "SELECT 1 -- password '\n; DROP TABLE orders; -- '",
            "SELECT \"password '\"; DROP TABLE orders; -- '",
            "SELECT 'password '' '; DROP TABLE orders; -- '",
            "SELECT 'a\\' password ', 'b'; DROP TABLE orders; -- '",
            "ALTER ROLE a PASSWORD 'a\\'; DROP TABLE orders; --'",
        ],
    )
    def test_never_covers_what_is_run(self, text: str) -> None:
        assert "DROP TABLE orders" in masking.mask(text)

    def test_a_call_compared_with_a_password_is_shown(self):
        text = "SELECT password=pg_terminate_backend(123) FROM users"
        assert masking.mask(text) == text
