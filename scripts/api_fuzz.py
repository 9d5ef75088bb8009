"""`make api-fuzz`: an outside tester holds what the REST interface does against docs/openapi.yaml.

A fresh embedded installation is started and filled; then Schemathesis, which knows only the
OpenAPI document, calls every address as each person of the demo and as nobody, writes included.
Prints a table and every difference; exits 1 if there is one.

  PEOPLE="rita opal"     only these (`nobody` is one of them)
  PHASES=coverage        which of its phases: coverage, fuzzing, stateful (all)
  EXAMPLES=20            how many calls of each address the last two make up
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import psycopg

ROOT = Path(__file__).resolve().parents[1]
TESTER = ROOT / ".venv" / "fuzz" / "bin" / "st"
NOBODY = "nobody"
Code = Callable[[str], str]
LIKELY = 0.7
"""How often a name in an address is one that there is."""
# What the document lets one send is taken, or was understood and is refused (422). The tester is
# told nothing else: it would also learn fields from `errors`, which it reads as another
# framework's; the document alone says what there is.
SETTINGS = """\
{headers}
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 422, 429, "5xx"]
[phases.fuzzing]
error-feedback.enabled = false
{known}
"""


class Person:
    """JSON in, JSON out, as somebody of the demo or as nobody."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self.token = url + "/api/v1/", token

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return the answer's status and document."""
        request = urllib.request.Request(self.url + path, method=method)
        request.add_header("Content-Type", "application/json")
        if self.token:
            request.add_header("Authorization", "Bearer " + self.token)
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, data, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            return refused.code, json.load(refused)


@contextmanager
def installation() -> Iterator[tuple[Any, Code]]:
    """Start a fresh one on a free port; yield its URL and what demo.json holds."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="jit-fuzz-") as data:
        environment = {
            **os.environ,
            "JIT_DATA": data,
            "JIT_PORT": str(port),
            "JIT_READS_PER_MINUTE": "1000000",  # a 429 would say nothing of the address
            "JIT_WRITES_PER_MINUTE": "1000000",
        }
        python = [sys.executable, "-m"]
        running = subprocess.Popen(
            [*python, "jit.ops.embedded.supervisor"], cwd=ROOT, env=environment, stdout=sys.stderr
        )
        try:
            demo = _ready(running, Path(data) / "demo.json")
            yield demo, lambda name: _code(python, environment, name)
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(60)
            reset = [*python, "jit.ops.embedded.reset"]
            subprocess.run(reset, cwd=ROOT, env=environment, check=False, stdout=sys.stderr)


def _ready(running: subprocess.Popen[bytes], written: Path) -> Any:
    until = time.monotonic() + 300
    while time.monotonic() < until and running.poll() is None:
        with suppress(OSError, ValueError):
            demo = json.loads(written.read_text())
            urllib.request.urlopen(demo["url"] + "/livez", timeout=5).close()
            return demo
        time.sleep(0.5)
    raise SystemExit("The installation did not start; see above.")


def _code(python: list[str], environment: dict[str, str], name: str) -> str:
    said = subprocess.run(
        [*python, "jit.ops.embedded.welcome", name],
        cwd=ROOT,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    return "".join(letter for letter in said.stdout if letter.isdigit())[:6]


def fill(people: dict[str, Person], code: Code) -> None:
    """Ask, decide, use, lend, break the glass: so that addresses have something to name."""
    rita, ada, opal = people["rita"], people["ada"], people["opal"]
    tickets = opal.call("GET", "tickets/?status=OPEN")[1]["items"]
    ask = {"justification": "The checkout times out.", "duration_seconds": 1800}
    for ticket in tickets:
        for role in ("orders-db-reader", "orders-db-writer"):
            rita.call("POST", "requests/", {**ask, "role": role, "ticket": ticket["key"]})
    for waiting in ada.call("GET", "inbox/")[1]["items"]:
        ada.call("POST", f"requests/{waiting['id']}/decisions/", {"decision": "approve"})
    _use(rita)
    ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86400))
    ada.call("POST", "delegations/", {"delegate": "bo", "ends_at": ends, "reason": "Away."})
    opal.call("POST", "webhooks/", {"name": "fuzz", "url": "https://hooks.invalid/jit"})
    broken = {**ask, "role": "orders-db-admin", "promise_ticket": True, "otp": code("rita")}
    rita.call("POST", "break-glass/", broken)


def _use(person: Person) -> None:
    """Open a session on a grant of theirs, as soon as one is active."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for grant in person.call("GET", "grants/?state=ACTIVE")[1]["items"]:
            status, way = person.call("POST", f"grants/{grant['id']}/credential/")
            if status == HTTPStatus.OK:
                found = {name: way[name] for name in ("host", "port", "user", "password")}
                with psycopg.connect(dbname=way["database"], **found) as session:
                    session.execute("SELECT 1")
                return
        time.sleep(0.5)


def names(document: Any, people: dict[str, Person]) -> dict[str, list[Any]]:
    """Return what stands in addresses, by parameter: what the lists' links say to take."""
    found: dict[str, set[Any]] = {}
    for path, methods in document["paths"].items():
        links = methods.get("get", {}).get("responses", {}).get("200", {}).get("links", {})
        for link in links.values():
            for parameter, place in link["parameters"].items():
                field = place.rpartition("/")[2]
                for person in people.values():
                    status, page = person.call("GET", path.removeprefix("/api/v1/"))
                    rows = page["items"] if status == HTTPStatus.OK else []
                    found.setdefault(parameter, set()).update(row[field] for row in rows)
    return {name: sorted(values, key=str) for name, values in found.items() if values}


def known(found: dict[str, list[Any]], people: dict[str, Person]) -> str:
    """Return the tester's settings of what there is, for addresses and bodies."""
    places = {f"path.{name}": (name, LIKELY) for name in found}
    lists = {**found, "people": sorted(people)}
    for body, name in (("role", "slug"), ("ticket", "key"), ("delegate", "people")):
        if name in lists:
            places[f"body.{body}"] = (name, LIKELY)
    lines = [f"[dictionaries.{name}]\nvalues = {json.dumps(all_)}" for name, all_ in lists.items()]
    lines.append("[parameters]")
    for place, (name, likely) in places.items():
        lines.append(f'"{place}" = {{ dictionary = "{name}", probability = {likely} }}')
    return "\n".join(lines)


def test(url: str, person: Person, settings: str) -> Any:
    """Let the tester call everything as this person; return its report."""
    header = 'headers = { Authorization = "Bearer ${JIT_FUZZ_TOKEN}" }' if person.token else ""
    with tempfile.TemporaryDirectory(prefix="jit-fuzz-") as folder:
        config, report = Path(folder) / "schemathesis.toml", Path(folder) / "report.json"
        config.write_text(SETTINGS.format(headers=header, known=settings))
        command = [TESTER, "--config-file", config, "run", f"{url}/api/v1/schema/"]
        command += ["--phases", os.environ.get("PHASES", "coverage,fuzzing,stateful")]
        command += ["--max-examples", os.environ.get("EXAMPLES", "20"), "--continue-on-failure"]
        command += ["--report", "json", "--report-json-path", report]
        environment = {**os.environ, "JIT_FUZZ_TOKEN": person.token}
        said = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        if not report.exists():
            raise SystemExit(said.stdout[-4000:])
        return json.loads(report.read_text())


def main() -> int:
    wanted = os.environ.get("PEOPLE", "").split()
    rows: list[tuple[str, int, int, int, int]] = []
    with installation() as (demo, code):
        url = demo["url"]
        people = {name: Person(url, one["token"]) for name, one in demo["people"].items()}
        request = urllib.request.Request(f"{url}/api/v1/schema/")
        request.add_header("Accept", "application/json")
        document = json.load(urllib.request.urlopen(request, timeout=60))
        fill(people, code)
        for name, person in {**people, NOBODY: Person(url, "")}.items():
            if wanted and name not in wanted:
                continue
            settings = known(names(document, people), people)
            report = test(url, person, settings)
            cases, failures = report["test_cases"], report["failures"]
            faults = sum("erver error" in json.dumps(failure) for failure in failures)
            accepted = sum(
                phase["accepted"]
                for phases in report["valid_rates"].values()
                for phase in phases.values()
            )
            wrong = len(failures) + len(report["errors"])
            rows.append((name, cases["generated"], accepted, faults, wrong))
            for found in failures + report["errors"]:
                print(f"\n{name}: {json.dumps(found, indent=1)[:6000]}", flush=True)
            print("%-8s %6d cases, %5d taken, %d x 5xx, %d differences" % rows[-1], flush=True)
    print("\n| person | cases | taken | 5xx | differences |\n|---|---|---|---|---|")
    for row in rows:
        print("| %s | %d | %d | %d | %d |" % row)
    return 1 if any(row[-1] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
