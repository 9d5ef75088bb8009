"""The SSH host of the demo in the catalogue: one target, two roles that allow different things."""

from __future__ import annotations

import json
import os
from typing import Any

OBSERVER = "jit-observer"


def _told() -> dict[str, Any]:
    """Return what `make run` says of the host, or nothing where it started none."""
    told: dict[str, Any] = json.loads(os.environ.get("JIT_DEMO_HOST", "") or "{}")
    return told


def shown() -> dict[str, Any]:
    """Return what demo.json says of the host."""
    told = _told()
    return {name: told[name] for name in ("name", "address", "port", "login") if name in told}


def targets() -> list[dict[str, Any]]:
    """Return the target's entry, as an operator would write it."""
    told = _told()
    if not told:
        return []
    address = {"name": told["name"], "address": told["address"], "port": told["port"]}
    return [
        {
            "slug": "web-1",
            "name": "Web server 1",
            "kind": "ssh",
            "env": "prod",
            "team": "payments",
            "config": {
                "hosts": [address],
                "ca": f"file:{told['ca']}",
                "host_cas": [told["host_ca"]],
                "krl": told["krl"],
                "observer": {"login": told["login"], "principal": OBSERVER},
                "login": told["login"],
            },
        }
    ]


def roles() -> list[dict[str, Any]]:
    """Return the roles' entries. Both are one account of the demo's host: what differs is what
    they allow, and that root's is used through the gateway alone, which records it.
    """
    told = _told()
    if not told:
        return []
    shared = {"target": "web-1", "owner": "sre-managers"}
    web = {"host": "127.0.0.1", "port": told["web_port"]}
    return [
        {
            **shared,
            "slug": "web-1-operator",
            "name": "web-1 / operator",
            "description": "Look round and repair on web-1: a shell, commands, files.",
            "risk": "medium",
            "max_duration": "2h",
            "config": {"principals": ["web-1-operator"]},
        },
        {
            **shared,
            "slug": "web-1-root",
            "name": "web-1 / root",
            "description": "Everything on web-1, recorded, and a forward to its web server. On the "
            "demo's host nobody becomes the real root.",
            "risk": "high",
            "max_duration": "1h",
            "config": {"principals": ["web-1-root"], "forwards": [web], "direct": False},
        },
    ]
