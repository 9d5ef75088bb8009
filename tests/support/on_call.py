"""The demo's world with a policy that asks who is on call for `orders`, and a pager to ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.cache import cache

from jit.identity.models import User
from tests.standins.on_call_fake import POLICY, SERVICE, FakeOnCall
from tests.support.world import World

_POLICY = """
apiVersion: jit/v1
kind: AccessPolicy
metadata: {name: on-call, owner: sre-managers}
mode: enforce
rules:
  - id: on-call
    description: Whoever has the pager and took the incident needs nobody, till the shift ends
    match: {role.slug: orders-db-writer}
    who: '"orders" in user.on_call_for && "orders" in user.acknowledged_for'
    grant:
      max_duration: 'user.on_call_left < duration("2h") ? user.on_call_left : duration("2h")'
      approvals: [{if: 'true', chain: []}]
  - id: others
    description: Everybody else asks who is on call, or a lead
    match: {role.slug: orders-db-writer}
    who: 'true'
    grant:
      max_duration: 2h
      approvals:
        - {if: 'true', chain: [{any_of: ["oncall:orders", "group:payments-leads"]}]}
  - id: only-on-call
    description: Only people on call may read, and only people on call may answer
    match: {role.slug: orders-db-reader}
    who: '"orders" in user.on_call_for'
    grant:
      max_duration: 30m
      approvals: [{if: 'true', chain: [{any_of: ["oncall:orders"]}]}]
tests:
  defaults:
    user: {id: rita, groups: [payments-sre]}
    role: {slug: orders-db-writer, target: orders-db, risk: medium, max_duration: 4h}
    ticket: {system: local, key: OPS-1, known: true, is_open: true, severity: 2, assignee: rita}
    request: {duration: 30m, channel: web, change_freeze: false}
  cases:
    - name: the pager and the incident
      given: {user.on_call_for: [orders], user.acknowledged_for: [orders], user.on_call_left: 1h}
      expect: {outcome: auto, rule: on-call, max_duration: 1h}
    - {name: anybody else, expect: {outcome: needs_approval, rule: others}}
    - name: reading while on call
      given: {role.slug: orders-db-reader, user.on_call_for: [orders]}
      expect: {outcome: needs_approval, rule: only-on-call}
"""


def world_with_a_pager(pager: FakeOnCall, settings: Any, folder: Path) -> World:
    cache.clear()
    (folder / "demo.yaml").write_text(_POLICY)
    settings.POLICY_DIR = folder
    settings.ONCALL_SYSTEMS = {
        "pagerduty": {
            "adapter": "jit.oncall.adapters.pagerduty.PagerDuty",
            "token": "the-api-token-of-the-tests",
            "url": pager.url,
        }
    }
    settings.ONCALL_SERVICES = [f"orders=pagerduty/policy:{POLICY}+service:{SERVICE}"]
    made = World()
    for name in ("rita", "ada", "bo", "olga", "otto"):
        User.objects.filter(username=name).update(email=f"{name}@example.com")
    return made
