"""People behind nginx, before granian: the server and the proxy that operate.md names."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

import pytest
from websockets.sync.client import connect

from jit.ops.embedded import ground
from tests.support import folders, nginx
from tests.support.nginx import HOST, Proxy
from tests.support.processes import Running

OUTER, INNER, ALONE, UNKNOWN = "127.0.9.1", "127.0.9.2", "127.0.9.3", "127.0.9.4"
TRUSTED = f"{OUTER}, {INNER}, {ALONE}"
ELSEWHERE = "203.0.113.66"
_numbers = itertools.count(1)
_CSRF = "a" * 32


@dataclass(frozen=True)
class Site:
    """One granian and the ways to it."""

    jit: Running
    granian: int
    alone: Proxy
    """What people come to, and what calls granian."""
    outer: Proxy
    """What people come to where there are two; the inner one calls granian."""
    unknown: Proxy
    """As `outer`, but the inner one trusts it, and granian has never heard of it."""


@dataclass
class Visitor:
    """Somebody with an address of their own, which no other test has."""

    port: int
    proxy: Proxy | None = None
    headers: tuple[tuple[str, str], ...] = ()
    """What they add to each call."""
    address: str = ""
    name: str = ""
    cookies: dict[str, str] = field(default_factory=lambda: {"csrftoken": _CSRF})

    def __post_init__(self) -> None:
        number = next(_numbers)
        self.address = self.address or f"127.7.{number // 250}.{number % 250 + 1}"
        self.name = self.name or f"nobody-{number}"

    def call(
        self, method: str, path: str, form: dict[str, str] | None = None, *, referer: bool = True
    ) -> http.client.HTTPResponse:
        where = {"host": HOST, "port": self.port, "timeout": 60}
        source = (self.address, 0)
        line = (
            http.client.HTTPSConnection(
                **where, source_address=source, context=self.proxy.trusting()
            )
            if self.proxy and self.proxy.tls
            else http.client.HTTPConnection(**where, source_address=source)
        )
        body = urlencode(form).encode() if form else b""
        line.putrequest(method, path)
        for name, value in self.headers:
            line.putheader(name, value)
        line.putheader("Cookie", self.cookie())
        line.putheader("Content-Type", "application/x-www-form-urlencoded")
        line.putheader("Content-Length", str(len(body)))
        if referer:
            line.putheader("Referer", f"https://{HOST}/")
        line.endheaders(body)
        answer = line.getresponse()
        answer.read()
        line.close()
        for value in answer.headers.get_all("Set-Cookie", []):
            self.cookies |= {name: it.value for name, it in SimpleCookie(value).items()}
        return answer

    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def enters(self, name: str, password: str) -> int:
        form = {"username": name, "password": password, "csrfmiddlewaretoken": _CSRF}
        return self.call("POST", "/sign-in/", form).status

    def guesses(self) -> int:
        """Try a wrong password for the name; return the answer's status."""
        return self.enters(self.name, "wrong")

    def signs_in(self, jit: Running, name: str) -> None:
        person = jit.person(name)
        assert self.enters(name, jit.demo["people"][name]["password"]) == 302
        form = {"code": person.code(), "csrfmiddlewaretoken": _CSRF}
        assert self.call("POST", "/sign-in/code/", form).status == 302


@pytest.fixture(scope="module")
def site(running: Running) -> Iterator[Site]:
    folder, port = folders.passing("granian"), ground.free_port()
    alone = Proxy(ALONE, port)
    inner = Proxy(INNER, port, tls=False)
    outer, unknown = Proxy(OUTER, inner.port), Proxy(UNKNOWN, inner.port)
    environment = running.environment | {
        "JIT_TRUSTED_PROXIES": TRUSTED,
        "JIT_BASE_URL": f"https://{HOST}",
        "JIT_PROCESS": "granian",
    }
    program = [str(Path(sys.executable).parent / "granian"), "--interface", "asgi"]
    program += ["--host", HOST, "--port", str(port), "jit.asgi:application"]
    with contextlib.ExitStack() as stack:
        stack.enter_context(
            nginx.listening("granian", program, port=port, folder=folder, environment=environment)
        )
        for proxy in (alone, inner, outer, unknown):
            stack.enter_context(nginx.running(proxy))
        yield Site(running, port, alone, outer, unknown)


def through(proxy: Proxy, *headers: tuple[str, str], **more: str) -> Visitor:
    return Visitor(proxy.port, proxy, headers, **more)


def straight(site: Site, *headers: tuple[str, str], **more: str) -> Visitor:
    return Visitor(site.granian, None, headers, **more)


def counted(site: Site, address: str) -> int:
    """Return how many wrong passwords are counted for this address, whatever the account."""
    found = site.jit.rows(
        "SELECT count FROM identity_signinattempts WHERE account = '' AND address = %s", address
    )
    return int(found[0][0]) if found else 0


def logged(site: Site, action: str, address: str) -> int:
    """Return how many events of this kind the audit log has from this address."""
    found = site.jit.rows(
        "SELECT count(*) FROM audit_event e JOIN audit_erasable x ON x.event_id = e.id"
        " WHERE e.action = %s AND right(x.field, 7) = 'address' AND x.value = %s",
        action,
        address,
    )
    return int(found[0][0])


def is_known_as(site: Site, visitor: Visitor, address: str) -> None:
    """Let the visitor guess once: it is counted and logged as from `address`."""
    before = counted(site, address), logged(site, "user.sign-in-failed", address)
    assert visitor.guesses() == 401
    after = counted(site, address), logged(site, "user.sign-in-failed", address)
    assert after == (before[0] + 1, before[1] + 1)


FORGED = (
    ("X-Forwarded-For", ELSEWHERE),
    ("X-Forwarded-For", f"{ELSEWHERE}, {ALONE}"),
    ("X-Real-IP", ELSEWHERE),
    ("Forwarded", f"for={ELSEWHERE};proto=https"),
)


class TestOneProxy:
    def test_does_not_let_one_person_slow_another(self, site: Site) -> None:
        """Behind granian's own handling of addresses, all people were the proxy."""
        one = through(site.alone)
        other = through(site.alone, name=one.name)
        assert any(one.guesses() == 429 for _ in range(12))
        assert one.guesses() == 429
        assert other.guesses() == 401
        assert counted(site, ALONE) == counted(site, HOST) == 0

    @pytest.mark.parametrize("forged", FORGED, ids=": ".join)
    def test_is_told_no_other_address_by_who_calls_it(
        self, site: Site, forged: tuple[str, str]
    ) -> None:
        visitor = through(site.alone, forged)
        is_known_as(site, visitor, visitor.address)
        assert counted(site, ELSEWHERE) == 0

    def test_is_told_no_other_address_by_many_headers(self, site: Site) -> None:
        visitor = through(site.alone, *FORGED)
        is_known_as(site, visitor, visitor.address)
        assert counted(site, ELSEWHERE) == 0

    def test_forged_addresses_buy_no_more_guesses(self, site: Site) -> None:
        guesser = through(site.alone)
        statuses = []
        for number in range(12):
            guesser.headers = (("X-Forwarded-For", f"203.0.113.{number}"),)
            statuses.append(guesser.guesses())
        assert 429 in statuses

    def test_shows_where_somebody_signed_in(self, site: Site) -> None:
        visitor = through(site.alone, ("X-Forwarded-For", ELSEWHERE))
        visitor.signs_in(site.jit, "rita")
        assert logged(site, "user.signed-in", visitor.address) == 1
        assert logged(site, "user.signed-in", ELSEWHERE) == 0

    def test_publishes_nothing_for_operations(self, site: Site) -> None:
        for path in ("/livez", "/readyz", "/metrics"):
            assert through(site.alone).call("GET", path).status == 404
            assert straight(site, address=HOST).call("GET", path).status in {200, 503}


class TestTwoProxies:
    def test_that_are_trusted_lead_to_the_person(self, site: Site) -> None:
        visitor = through(site.outer, *FORGED)
        is_known_as(site, visitor, visitor.address)
        assert counted(site, ELSEWHERE) == counted(site, OUTER) == 0

    def test_of_which_the_nearer_alone_is_trusted_lead_to_the_farther(self, site: Site) -> None:
        visitor = through(site.unknown, *FORGED)
        is_known_as(site, visitor, UNKNOWN)
        assert counted(site, visitor.address) == counted(site, ELSEWHERE) == 0


class TestStraightToGranian:
    @pytest.mark.parametrize("forged", FORGED, ids=": ".join)
    def test_nobody_says_who_they_are(self, site: Site, forged: tuple[str, str]) -> None:
        visitor = straight(site, forged)
        is_known_as(site, visitor, visitor.address)
        assert counted(site, ELSEWHERE) == 0


class TestScheme:
    """Django wants a Referer of a form that came by TLS without an Origin, and of no other."""

    FORM = {"username": "nobody", "password": "wrong", "csrfmiddlewaretoken": _CSRF}

    def status(self, visitor: Visitor) -> int:
        return visitor.call("POST", "/sign-in/", self.FORM, referer=False).status

    def test_is_what_the_proxy_says(self, site: Site) -> None:
        assert self.status(through(site.alone)) == 403
        assert self.status(through(site.alone, ("X-Forwarded-Proto", "http"))) == 403

    def test_is_what_the_first_of_two_proxies_says(self, site: Site) -> None:
        assert self.status(through(site.outer)) == 403

    def test_is_not_what_a_stranger_says(self, site: Site) -> None:
        assert self.status(straight(site, ("X-Forwarded-Proto", "https"))) == 401


class TestWebsocket:
    def test_tells_a_page_through_the_proxies(self, site: Site) -> None:
        visitor = through(site.outer)
        visitor.signs_in(site.jit, "olga")
        line = socket.create_connection(
            (HOST, site.outer.port), timeout=60, source_address=(visitor.address, 0)
        )
        with connect(
            f"wss://{HOST}:{site.outer.port}/ws/live/",
            sock=line,
            ssl=site.outer.trusting(),
            origin=f"https://{HOST}",  # type: ignore[arg-type]
            additional_headers={"Cookie": visitor.cookie()},
        ) as page:
            page.send(json.dumps({"watch": ["operators"]}))
            assert json.loads(page.recv(60))["about"] == "watching"
