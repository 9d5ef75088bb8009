"""pgJDBC through the gateway, by a Java program of some length."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.sessions.gateways.postgresql.ground import Ground

DRIVER = Path("/usr/share/java/postgresql.jar")
PROGRAM = Path(__file__).with_name("Visit.java")


class TestJdbc:
    def test_prepares_batches_fetches_and_hears_of_errors(self, ground: Ground) -> None:
        where = f"jdbc:postgresql://127.0.0.1:{ground.port}/shop"
        url = f"{where}?sslmode=verify-full&sslrootcert={ground.authority}"
        done = subprocess.run(
            [
                "java",
                "-cp",
                DRIVER,
                PROGRAM,
                url,
                "jit_writer",
                ground.broker.password_for("jit_writer"),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr
        assert ground.closed() == "logout"
        facts = ground.recording.statements
        doubled = [fact["parameters"] for fact in facts if "* 2" in fact["text"]]
        assert doubled == [[str(number), "naïve"] for number in range(6)]
        added = [fact for fact in facts if fact["text"].startswith("INSERT")]
        assert [fact["parameters"][0] for fact in added] == [str(number) for number in range(500)]
        fetched = [fact for fact in facts if fact["text"].startswith("SELECT id")]
        assert sum(fact["rows"] for fact in fetched) == 500
        assert len(fetched) == 3
        errors = [fact["error"][:5] for fact in facts if fact["error"]]
        assert errors == ["22012", "57014"]
