"""`manage.py policy`: check, test, compare, explain, propose and activate policies.

`--as` names whose word it is, and a code of theirs proves it, as on the page: with a shell alone
one person would be the two who change a policy.
"""

from __future__ import annotations

import datetime as dt
import difflib
import getpass
import re
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from jit.catalog import recorded
from jit.elevation import queries as elevation
from jit.identity import operations as people
from jit.identity import queries as identity
from jit.identity.management.terminal import terminal_actor
from jit.identity.models import User
from jit.identity.permissions import Permission
from jit.kernel import clock
from jit.kernel.actor import Actor, ActorKind, Channel
from jit.kernel.errors import DomainError
from jit.policy import compiled, lint, operations, queries, simulation
from jit.policy.compiler import PolicyNotCompiled, compile_bundle
from jit.policy.engine import rule
from jit.policy.explain import explain
from jit.policy.facts import Facts
from jit.policy.files import read_folder
from jit.policy.ruling import Ruling


class Command(BaseCommand):
    help = "Check, test, compare, explain, propose and activate policies."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        for verb, what in (
            ("check", "type and lint the files; exit 1 on an error"),
            ("test", "run the tests that the files carry"),
            ("diff", "compare the files with the bundle in force"),
            ("propose", "store the files as a candidate; asks for a code"),
            ("install", "put the very first policy in force, which takes one person"),
        ):
            sub = verbs.add_parser(verb, help=what)
            sub.add_argument("folder", nargs="?", type=Path, default=settings.POLICY_DIR)
            if verb == "check":
                sub.add_argument("--offline", action="store_true", help="without a database")
            if verb == "propose":
                sub.add_argument("--as", dest="user", required=True, help="who proposes")
                sub.add_argument("--comment", default="")
        sub = verbs.add_parser("explain", help="show why a request was ruled as it was")
        sub.add_argument("request", type=UUID)
        sub.add_argument("--candidate", type=Path, help="rule again by these files")
        sub = verbs.add_parser("simulate", help="replay past requests through a candidate")
        sub.add_argument("--since", type=_days, default=dt.timedelta(days=90), help="such as 90d")
        sub.add_argument("--candidate", type=Path, default=settings.POLICY_DIR)
        sub = verbs.add_parser("activate", help="put a proposed bundle in force; asks for a code")
        sub.add_argument("digest", help="the first 8 characters or more")
        sub.add_argument("--as", dest="user", required=True, help="who activates; not who proposed")
        sub.add_argument("--comment", default="")
        sub = verbs.add_parser("show", help="list the bundles, and which is in force")
        sub.add_argument("digest", nargs="?", help="print the files of this bundle")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['verb']}")(**options)
        except PolicyNotCompiled as error:
            raise CommandError(str(error)) from error
        except DomainError as error:
            lines = [error.detail, *error.extra.get("problems", [])]
            raise CommandError("\n".join(lines)) from error

    def _check(self, *, folder: Path, offline: bool, **_: Any) -> None:
        directory = None if offline else queries.directory()
        report = lint.check(read_folder(folder), directory)
        for problem in report.problems:
            self.stderr.write(str(problem))
        if report.errors:
            raise CommandError(f"{len(report.errors)} error(s)")
        if not offline:
            for sentence in recorded.ways_round(now=clock.now(), bundle=report.bundle):
                self.stderr.write(f"warning: {sentence}")
        self.stdout.write(
            f"{report.bundle.digest[:12] if report.bundle else ''} has no errors; "
            f"{len(report.results)} tests pass"
        )

    def _test(self, *, folder: Path, **_: Any) -> None:
        report = lint.check(read_folder(folder))
        if report.bundle is None:
            raise CommandError("\n".join(map(str, report.problems)))
        for result in report.results:
            self.stdout.write(f"{'ok  ' if result.passed else 'FAIL'} {result.file} {result.name}")
            for failure in result.failures:
                self.stdout.write(f"       {result.file}:{result.line}: {failure}")
        failed = sum(not result.passed for result in report.results)
        if failed:
            raise CommandError(f"{failed} of {len(report.results)} tests fail")

    def _diff(self, *, folder: Path, **_: Any) -> None:
        activation = queries.active()
        ours = compiled.canonical(activation.bundle.files) if activation else {}
        theirs = compiled.canonical(read_folder(folder))
        for name in sorted(ours.keys() | theirs.keys()):
            lines = difflib.unified_diff(
                ours.get(name, "").splitlines(),
                theirs.get(name, "").splitlines(),
                f"in force/{name}",
                f"{folder}/{name}",
                lineterm="",
            )
            for line in lines:
                self.stdout.write(line)

    def _propose(self, *, folder: Path, user: str, comment: str, **_: Any) -> None:
        person, files = _person(user), read_folder(folder)
        operations.require(person, Permission.POLICY_PROPOSE)
        _require_code(person, act=f"policy.propose:{compiled.digest(compiled.canonical(files))}")
        bundle = operations.propose(
            files=files,
            actor=_actor(person),
            user=person,
            now=clock.now(),
            comment=comment,
        )
        self.stdout.write(
            f"proposed {bundle.digest}\nlet somebody else run: "
            f"manage.py policy activate {bundle} --as THEM"
        )

    def _activate(self, *, digest: str, user: str, comment: str, **_: Any) -> None:
        person = _person(user)
        bundle = queries.bundle_by_digest(digest)
        operations.require(person, Permission.POLICY_ACTIVATE)
        _require_code(person, act=f"policy.activate:{bundle.digest}")
        operations.activate(
            bundle=bundle, user=person, actor=_actor(person), now=clock.now(), comment=comment
        )
        self.stdout.write(f"{bundle.digest} is in force")
        for sentence in recorded.ways_round(now=clock.now()):
            self.stderr.write(f"warning: {sentence}")

    def _install(self, *, folder: Path, **_: Any) -> None:
        activation = operations.install_first(
            files=read_folder(folder), actor=terminal_actor(), now=clock.now()
        )
        self.stdout.write(f"{activation.bundle.digest} is in force; changing it takes two people")

    def _show(self, *, digest: str | None, **_: Any) -> None:
        if digest:
            for name, text in compiled.canonical(queries.bundle_by_digest(digest).files).items():
                self.stdout.write(f"# --- {name}\n{text}")
            return
        active = queries.active_digest()
        for bundle in queries.bundles():
            mark = "*" if bundle.digest == active else " "
            by = bundle.proposed_by or "the installation"
            at = clock.rfc3339(bundle.proposed_at)
            self.stdout.write(f"{mark} {bundle.digest} by {by} {at} {bundle.comment}".rstrip())
        for activation in queries.history():
            by = activation.activated_by or "the installation"
            at = clock.rfc3339(activation.activated_at)
            self.stdout.write(f"  {at} {activation.bundle} activated by {by}")
        drift = queries.drift()
        if drift is not None:
            self.stdout.write(f"drift: {settings.POLICY_DIR} is not what is in force: {drift}")

    def _explain(self, *, request: UUID, candidate: Path | None, **_: Any) -> None:
        stored = elevation.stored_ruling(request)
        ruling = Ruling.from_json(stored)
        if candidate is not None:
            bundle = compile_bundle(read_folder(candidate))
            ruling = rule(bundle=bundle, facts=Facts.from_json(ruling.facts), now=clock.now())
        self.stdout.write(explain(ruling))

    def _simulate(self, *, since: dt.timedelta, candidate: Path, **_: Any) -> None:
        found = simulation.simulate(
            rulings=elevation.rulings_since(clock.now() - since),
            current=queries.active_bundle(),
            candidate=compile_bundle(read_folder(candidate)),
        )
        for line in simulation.report(found):
            self.stdout.write(line)


def _days(text: str) -> dt.timedelta:
    match = re.fullmatch(r"(\d{1,4})d", text)
    if match is None:
        raise ValueError("write a number of days, such as 90d")
    return dt.timedelta(days=int(match.group(1)))


def _person(username: str) -> User:
    person = identity.user_by_username(username)
    if person is None or not person.is_active:
        raise CommandError(f"There is no active account called {username}.")
    return person


def _require_code(person: User, *, act: str) -> None:
    """Ask at the terminal, or in the first line of the input, for a code that `person` gives for
    this act. Raises as `verify_second_factor`.
    """
    asked = f"Code of {person.username}'s authenticator: "
    given = getpass.getpass(asked) if sys.stdin.isatty() else sys.stdin.readline()
    if not given.strip():
        raise CommandError(
            f"This takes a code of {person.username}'s authenticator: type it when asked, or send "
            "it as the first line of the input."
        )
    people.verify_second_factor(
        user=person, code=given.strip(), actor=_actor(person), now=clock.now(), act=act
    )


def _actor(person: User) -> Actor:
    return Actor(kind=ActorKind.USER, id=str(person.pk), name=person.username, channel=Channel.CLI)
