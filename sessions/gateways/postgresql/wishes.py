"""What a client's startup message asks for, and what of it may be had."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sessions.gateways.postgresql import framing
from sessions.gateways.postgresql.parts import NotLetIn, Reach

_IDENTITY = {"role", "session_authorization"}
_OFF = {"off", "false", "no", "0", ""}
_SETTING = re.compile(r"([A-Za-z_][\w.-]*)=(.*)", re.DOTALL)
"""As the server reads it (ParseLongOption): a dash in the name is an underscore."""


@dataclass(frozen=True, slots=True)
class Wishes:
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


def read(body: bytes) -> Wishes:
    """Return the wishes. Raises framing.Malformed, and NotLetIn for what can't be had here."""
    pairs = framing.startup_parameters(body)
    unknown = tuple(name for name in pairs if name.startswith("_pq_."))
    settings = {name: value for name, value in pairs.items() if name not in unknown}
    user = settings.pop("user", "")
    database = settings.pop("database", "") or user
    if not user:
        raise NotLetIn("No user name was given: use the one that your grant's page shows.")
    if settings.pop("replication", "").lower() not in _OFF:
        raise NotLetIn(
            "Replication can't be had through this gateway: a grant gives a role, not a copy "
            "of the database."
        )
    named = {name.lower() for name in settings} | set(_options(settings.get("options", "")))
    if forbidden := sorted(named & _IDENTITY):
        raise NotLetIn(
            f"{' and '.join(forbidden)} can't be set at log-in: your grant says who you are. "
            "Take it out of the connection's options."
        )
    return Wishes(user, database, settings, unknown)


def database_for(wishes: Wishes, reach: Reach) -> str:
    """Return the database to connect to. Raises NotLetIn, naming those that may be had."""
    allowed = reach.databases or (reach.database,)
    if wishes.database in allowed:
        return wishes.database
    if wishes.database == wishes.user:  # What clients send when nobody named one.
        return reach.database
    raise NotLetIn(
        f"This grant does not reach a database {wishes.database[:63]!r}. Connect to "
        f"{' or '.join(allowed)}."
    )


def settings_for(wishes: Wishes, reach: Reach) -> dict[str, str]:
    """Return the startup parameters for the target; what the role needs comes last and holds."""
    settings = dict(wishes.settings)
    if reach.options:
        settings["options"] = f"{settings.get('options', '')} {reach.options}".strip()
    return settings


def _options(written: str) -> Iterator[str]:
    """Yield the names of settings in an `options` string (`-c name=value`, `--name=value`).

    Raises NotLetIn for any other switch of the server's.
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
            raise NotLetIn(
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
