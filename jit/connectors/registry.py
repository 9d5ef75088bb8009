"""Which connectors there are: ours from settings, others' from allow-listed entry points."""

from __future__ import annotations

import atexit
import importlib.metadata
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from functools import cache
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from jit.connectors.base import API_VERSION, Connector, Context, InvalidConfig

GROUP = "jit.connectors"
_KEPT = 200
_instances: OrderedDict[str, Connector] = OrderedDict()
_lock = threading.Lock()


class UnknownConnector(InvalidConfig):
    """No connector of that kind is installed and allowed."""

    title = "There is no such connector"


def _plugins() -> dict[str, importlib.metadata.EntryPoint]:
    """Return the entry points of allow-listed distributions: an entry point is code."""
    allowed = {name.lower() for name in settings.CONNECTOR_PLUGINS}
    return {
        point.name: point
        for point in importlib.metadata.entry_points(group=GROUP)
        if point.dist and point.dist.name.lower() in allowed
    }


@cache
def _class_for(kind: str) -> type[Connector]:
    path = settings.CONNECTORS.get(kind)
    if path:
        found = import_string(path)
    elif kind in (plugins := _plugins()):
        found = plugins[kind].load()
    else:
        raise UnknownConnector(f"There is no connector {kind!r}; there are: {', '.join(kinds())}.")
    if not (isinstance(found, type) and issubclass(found, Connector)):
        raise UnknownConnector(f"The connector {kind!r} is not a Connector.")
    if found.api_version != API_VERSION:
        raise UnknownConnector(
            f"The connector {kind!r} speaks version {found.api_version} of the interface, "
            f"this installation version {API_VERSION}."
        )
    return found


def _close_all(owner: int) -> None:
    """Close what is kept, before the interpreter takes its modules apart; a forked child
    leaves its parent's connections alone.
    """
    if os.getpid() != owner:
        return
    with _lock:
        kept = list(_instances.values())
        _instances.clear()
    for connector in kept:
        connector.close()


atexit.register(_close_all, os.getpid())


def class_for(kind: str) -> type[Connector]:
    """Return the connector's class. Raises UnknownConnector, or what importing it raises."""
    return _class_for(kind)


def kinds() -> tuple[str, ...]:
    """Return the names of all connectors that may be used, in order."""
    return tuple(sorted({*settings.CONNECTORS, *_plugins()}))


def connector_for(
    kind: str, config: Mapping[str, Any], *, context: Context | None = None
) -> Connector:
    """Return the connector of a target with this configuration, behind the door `context`.

    Equal configurations share one instance and its connections within a process. Raises
    UnknownConnector or InvalidConfig.
    """
    key = json.dumps([kind, config], sort_keys=True, default=str)
    with _lock:
        kept = _instances.get(key)
        if kept is None:
            cls = class_for(kind)
            kept = _instances[key] = cls(cls.config_model.parse(config))
        _instances.move_to_end(key)
        dropped = _instances.popitem(last=False)[1] if len(_instances) > _KEPT else None
    if dropped:
        dropped.close()
    return kept.within(context) if context else kept


def check(kind: str, config: Mapping[str, Any], *role_configs: Mapping[str, Any]) -> None:
    """Refuse a target's configuration, and its roles', that can't work; asks no target.

    Raises UnknownConnector or InvalidConfig.
    """
    cls = class_for(kind)
    connector = cls(cls.config_model.parse(config))
    for role_config in role_configs:
        connector.check_role(role_config)


def way_round(kind: str, config: Mapping[str, Any], role_config: Mapping[str, Any]) -> str | None:
    """Return what would close the way round the gateway to such a role, or None where there is
    no such way. Raises UnknownConnector or InvalidConfig.
    """
    cls = class_for(kind)
    direct = cls(cls.config_model.parse(config)).is_direct(role_config)
    return cls.closing if direct else None


def sealed_secrets(kind: str, config: Mapping[str, Any]) -> list[str]:
    """Return the names of the secrets in the sealed store that this configuration refers to.

    Raises UnknownConnector or InvalidConfig.
    """
    parsed = class_for(kind).config_model.parse(config)
    return [each.removeprefix("db:") for each in parsed.references() if each.startswith("db:")]


def problems() -> list[str]:
    """Return what is wrong with the installed connectors, for the check at start."""
    found = [
        f"JIT_CONNECTOR_PLUGINS names {name!r}, which brings no connector"
        for name in settings.CONNECTOR_PLUGINS
        if name.lower() not in {p.dist.name.lower() for p in _plugins().values() if p.dist}
    ]
    found += [
        f"the plug-in connector {kind!r} has the name of a built-in one"
        for kind in set(settings.CONNECTORS) & set(_plugins())
    ]
    for kind in kinds():
        try:
            class_for(kind)
        except Exception as failure:  # noqa: BLE001 -- whatever a plug-in's import raises is the finding
            found.append(f"the connector {kind!r} can't be loaded: {failure}")
    return found
