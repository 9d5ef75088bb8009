"""What must hold before anything is served. Each finding says what to set, and why."""

from __future__ import annotations

import logging
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from jit import env
from jit.audit import signing
from jit.connectors import registry as connectors
from jit.notifications.channels import addresses as webhook_addresses
from jit.notifications.channels import email
from jit.oncall.adapters import registry as on_call
from jit.ops import callers
from jit.tickets.adapters import registry as tickets

log = logging.getLogger(__name__)
SHORTEST_SECRET_KEY = 50
FEWEST_LETTERS = 10
SEALING_KEY_BYTES = 32
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

type Finding = checks.CheckMessage
type Findings = Iterator[Finding]


def _error(number: int, message: str, hint: str) -> checks.Error:
    return checks.Error(message, hint=hint, id=f"jit.E{number:03d}")


def _secret_key() -> Findings:
    hint = "Set JIT_SECRET_KEY_FILE to a file with 50 or more random characters."
    try:
        key = str(settings.SECRET_KEY)
    except ImproperlyConfigured:
        yield _error(1, "The secret key is not set.", hint)
        return
    if len(key) < SHORTEST_SECRET_KEY or len(set(key)) < FEWEST_LETTERS or "insecure" in key:
        yield _error(1, "The secret key can be guessed: it signs cookies.", hint)


def _sealing_key() -> Findings:
    if settings.SEALING_KEY_BYTES != SEALING_KEY_BYTES:
        yield _error(
            2,
            f"The sealing key has {settings.SEALING_KEY_BYTES} bytes; it must have 32.",
            "Set JIT_SEALING_KEY_FILE to a file made by `openssl rand -base64 32`. "
            "It opens every secret at rest: keep a copy apart from the database's.",
        )


def _audit_key() -> Findings:
    hint = (
        "Set JIT_AUDIT_KEY_FILE to a file made by `openssl genpkey -algorithm ed25519`, "
        "mode 0400, readable by the application's account alone."
    )
    try:
        signing.signer()
        mode = Path(settings.AUDIT_KEY_FILE).stat().st_mode
    except (ImproperlyConfigured, OSError) as unusable:
        yield _error(3, f"The audit log can't be signed: {unusable}", hint)
        return
    if mode & stat.S_IRWXO or mode & stat.S_IWGRP:
        yield _error(
            3, f"{settings.AUDIT_KEY_FILE} is open to others (mode {mode & 0o777:04o}).", hint
        )


def _backends() -> Findings:
    for name in ("APPROVALS_BACKEND", "SESSIONS_BACKEND"):
        try:
            import_string(getattr(settings, name, "") or "")()
        except Exception as failure:  # noqa: BLE001 -- whatever a backend's import raises is the finding
            yield _error(
                4,
                f"{name} leads nowhere: {type(failure).__name__}: {failure}",
                "It is the dotted path of a class made without arguments.",
            )


def _connectors() -> Findings:
    for problem in connectors.problems():
        yield _error(
            5, f"{problem[:1].upper()}{problem[1:]}.", "See CONNECTORS and JIT_CONNECTOR_PLUGINS."
        )


def _ticket_systems() -> Findings:
    for name in settings.TICKET_SYSTEMS:
        try:
            tickets.system(name)
        except Exception as failure:  # noqa: BLE001 -- whatever an adapter raises is the finding
            yield _error(
                6,
                f"The ticket system {name!r} can't be used: {type(failure).__name__}: {failure}",
                "See TICKET_SYSTEMS, and for Jira the variables JIT_JIRA_….",
            )
    if settings.DEFAULT_TICKET_SYSTEM not in settings.TICKET_SYSTEMS:
        yield _error(
            6,
            f"JIT_TICKET_SYSTEM names {settings.DEFAULT_TICKET_SYSTEM!r}, which is not set up.",
            f"Use one of: {', '.join(settings.TICKET_SYSTEMS)}.",
        )


def _on_call() -> Findings:
    try:
        for name in settings.ONCALL_SYSTEMS:
            on_call.system(name)
        on_call.services()
    except Exception as failure:  # noqa: BLE001 -- whatever an adapter raises is the finding
        yield _error(
            11,
            f"The on-call systems can't be used: {type(failure).__name__}: {failure}",
            "See JIT_ONCALL_SERVICES and the variables JIT_ONCALL_….",
        )


def _debug() -> Findings:
    if settings.DEBUG and not settings.EMBEDDED:
        yield _error(
            7,
            "Debugging is on: error pages would show settings and rows to anybody.",
            "Unset JIT_DEBUG. It is for the embedded mode alone.",
        )


def _address() -> Findings:
    address = urlsplit(settings.BASE_URL)
    if address.scheme not in {"http", "https"} or not address.hostname:
        yield _error(
            8,
            f"JIT_BASE_URL is {settings.BASE_URL!r}, which is no address of a site.",
            "Give it as people type it: https://jit.corp.example",
        )
    elif address.scheme == "http" and address.hostname not in LOOPBACK:
        yield _error(
            8,
            "The site would be served without TLS: cookies and credentials could be read.",
            "Put TLS in front and set JIT_BASE_URL to the https:// address.",
        )
    if "*" in settings.ALLOWED_HOSTS and not settings.EMBEDDED:
        yield _error(
            9,
            "Any Host header is accepted.",
            "List the site's names in JIT_ALLOWED_HOSTS.",
        )


def _operations() -> Findings:
    try:
        callers.networks(settings.METRICS_HOST)
    except ValueError as malformed:
        yield _error(
            10,
            f"JIT_METRICS_HOST can't be read: {malformed}",
            "List addresses and networks: 10.0.0.5, 10.1.0.0/16",
        )


def _proxies() -> Findings:
    hint = "List the addresses and networks of your proxies: 10.0.0.5, 10.1.0.0/16"
    try:
        trusted = callers.networks(settings.TRUSTED_PROXIES)
    except ValueError as malformed:
        yield _error(10, f"JIT_TRUSTED_PROXIES can't be read: {malformed}", hint)
        return
    if any(network.prefixlen == 0 for network in trusted):
        yield _error(
            10, "JIT_TRUSTED_PROXIES lists everybody: whoever calls could claim any address.", hint
        )
    if not trusted and urlsplit(settings.BASE_URL).scheme == "https":
        yield checks.Warning(
            "JIT_TRUSTED_PROXIES lists no proxy: if one stands in front, everybody shares its "
            "address, and one person's wrong passwords slow all.",
            hint=f"{hint}. Where the web nodes end TLS themselves, nothing is to be done.",
            id="jit.W004",
        )


def _notifications() -> Findings:
    for name, path in settings.NOTIFICATION_CHANNELS.items():
        try:
            import_string(path)()
        except Exception as failure:  # noqa: BLE001 -- whatever a channel's import raises is the finding
            yield _error(
                12,
                f"The channel {name!r} can't be used: {type(failure).__name__}: {failure}",
                "See NOTIFICATION_CHANNELS: a dotted path of a class made without arguments.",
            )
    try:
        webhook_addresses.networks(settings.WEBHOOK_NETWORKS)
    except ValueError as malformed:
        yield _error(
            12,
            f"JIT_WEBHOOK_NETWORKS can't be read: {malformed}",
            "List the private networks that webhooks may go to: 10.1.0.0/16, fd00::/8",
        )
    if "email" in settings.NOTIFICATION_CHANNELS and (wrong := email.problem()):
        yield _error(12, f"JIT_EMAIL_FROM: {wrong}.", "Give it as `JIT <jit@corp.example>`.")


ALL: tuple[Callable[[], Findings], ...] = (
    _secret_key,
    _sealing_key,
    _audit_key,
    _backends,
    _connectors,
    _ticket_systems,
    _debug,
    _address,
    _operations,
    _proxies,
    _on_call,
    _notifications,
)


@checks.register(checks.Tags.security)
def check_settings(**_kwargs: Any) -> list[Finding]:
    """Return everything in the settings that may not be served with."""
    return [finding for each in ALL for finding in each()]


def refuse_to_start_if_misconfigured() -> None:
    """Run every check, the database's too, and raise env.Misconfigured if one fails.

    Web and worker call this before they serve: a process that would have to guess, or to trust
    a weak key, does not start. Warnings are written to the log.
    """
    findings = checks.run_checks(databases=["default"])
    for finding in findings:
        if not finding.is_serious():
            log.warning("%s (%s) %s", finding.msg, finding.id, finding.hint or "")
    refused = [each for each in findings if each.is_serious() and not each.is_silenced()]
    if refused:
        told = "\n".join(f"- {each.msg} ({each.id})\n  {each.hint or ''}" for each in refused)
        raise env.Misconfigured(f"This installation can't be started:\n{told}")
