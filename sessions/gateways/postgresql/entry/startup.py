"""What a client's startup message asks for, and what of it may be had."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sessions.gateways.postgresql.interfaces import AccessRefused, TargetConnection
from sessions.gateways.postgresql.protocol import framing

_IDENTITY = {"role", "session_authorization"}
_OFF = {"off", "false", "no", "0", ""}
_SETTING = re.compile(r"([A-Za-z_][\w.-]*)=(.*)", re.DOTALL)
"""As the server reads it (ParseLongOption): a dash in the name is an underscore."""


@dataclass(frozen=True, slots=True)
class StartupParameters:
    """A startup message, understood. `settings` are what is passed on to the target, `unknown`
    the protocol options (`_pq_.…`) that we don't speak.
    """

    user: str
    database: str
    settings: Mapping[str, str]
    unknown: tuple[str, ...]

    @property
    def client(self) -> str:
        return self.settings.get("application_name", "")


def read(body: bytes) -> StartupParameters:
    """Return the parameters. Raises framing.Malformed, and AccessRefused for what can't be
    had here.
    """
    pairs = framing.startup_parameters(body)
    unknown = tuple(name for name in pairs if name.startswith("_pq_."))
    settings = {name: value for name, value in pairs.items() if name not in unknown}
    user = settings.pop("user", "")
    database = settings.pop("database", "") or user
    if not user:
        raise AccessRefused("No user name was given: use the one that your grant's page shows.")
    if settings.pop("replication", "").lower() not in _OFF:
        raise AccessRefused(
            "Replication can't be had through this gateway: a grant gives a role, not a copy "
            "of the database."
        )
    named = {name.lower() for name in settings} | set(_options(settings.get("options", "")))
    if forbidden := sorted(named & _IDENTITY):
        raise AccessRefused(
            f"{' and '.join(forbidden)} can't be set at log-in: your grant says who you are. "
            "Take it out of the connection's options."
        )
    return StartupParameters(user, database, settings, unknown)


def database_for(parameters: StartupParameters, target_connection: TargetConnection) -> str:
    """Return the database to connect to. Raises AccessRefused, naming those that may be had."""
    allowed = target_connection.databases or (target_connection.database,)
    if parameters.database in allowed:
        return parameters.database
    if parameters.database == parameters.user:  # What clients send when nobody named one.
        return target_connection.database
    raise AccessRefused(
        f"This grant does not reach a database {parameters.database[:63]!r}. Connect to "
        f"{' or '.join(allowed)}."
    )


def settings_for(
    parameters: StartupParameters, target_connection: TargetConnection
) -> dict[str, str]:
    """Return the startup parameters for the target; what the role needs comes last and holds."""
    settings = dict(parameters.settings)
    if target_connection.options:
        settings["options"] = f"{settings.get('options', '')} {target_connection.options}".strip()
    return settings


def _options(written: str) -> Iterator[str]:
    """Yield the names of settings in an `options` string (`-c name=value`, `--name=value`).

    Raises AccessRefused for any other switch of the server's.
    """
    words = iter(_words(written))
    for word in words:
        if word == "-c":
            setting = next(words, "")
        elif word.startswith(("-c", "--")):
            setting = word[2:]
        else:
            setting = ""
        found = _SETTING.fullmatch(setting)
        if not found:
            raise AccessRefused(
                f"The connection's options hold {word[:40]!r}; only settings (-c name=value) can "
                "be passed on."
            )
        yield found[1].lower().replace("-", "_")


def _words(written: str) -> list[str]:
    """Split as the server does (pg_split_opts): at blanks, a backslash takes the next as it is."""
    words: list[str] = []
    word, inside, escaped = "", False, False
    for letter in written:
        if escaped:
            word, escaped = word + letter, False
        elif letter == "\\":
            inside = escaped = True
        elif letter.isspace():
            if inside:
                words.append(word)
            word, inside = "", False
        else:
            word, inside = word + letter, True
    if inside:
        words.append(word)
    return words
