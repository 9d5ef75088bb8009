"""Commands, as the protocol or the shell tells them, or guessed by what a prompt looks like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sessions.recording.models import Tier
from sessions.recording.transcript.line import clean

LONGEST = 20_000
_KINDS = {"command": "command", "exec": "command", "statement": "statement", "file": "file"}
_KINDS |= {"forward": "forward", "copy": "file", "stdin": "input"}
_TEXTS = ("text", "command", "statement", "sql", "path", "to", "name")
# U+276F is the sign of some shells' prompts.
_PROMPT = re.compile(
    r"^(?:\([\w.-]+\) )?"  # (venv)
    r"(?:\[?[\w.-]+@[\w.-]+[^$#%\u276f>]{0,80}\]?[$#%\u276f>]"  # user@host:~$, [user@host dir]#
    r"|(?:ba|z|da)?sh-[\d.]+[$#]"  # sh-5.2$
    r"|[~/][\w./~-]*\s?[$#%\u276f]"  # ~/src $
    r"|\w+(?:=|-|\(|'|\")[>#]"  # orders=>
    r"|[$\u276f]"
    r") +(?P<command>\S.*)$"
)
_ESCAPED = re.compile(r"\\(?:x([0-9a-fA-F]{2})|(.))")


@dataclass(slots=True)
class Found:
    """One command, with its certainty."""

    at_ms: int
    tier: Tier
    kind: str
    text: str
    detail: dict[str, Any] = field(default_factory=dict)


def of_fact(at_ms: int, fact: Mapping[str, Any]) -> Found | None:
    """Return what a marker tells of the protocol, exactly; None for a mere notice."""
    kind = _KINDS.get(str(fact.get("kind")))
    if kind is None:
        return None
    text = next((str(fact[name]) for name in _TEXTS if fact.get(name)), "")
    if kind == "input" and not text:
        text = f"{fact.get('bytes', 0)} bytes, SHA-256 {fact.get('sha256', '')}"
    if not text:
        return None
    detail = {key: value for key, value in fact.items() if key not in {"kind", "text"}}
    kind = "refused" if fact.get("refused") else kind
    return Found(at_ms, Tier.EXACT, kind, storable(text), _bounded(detail))


def guessed(at_ms: int, line: str) -> Found | None:
    """Return the command on a line that looks like a prompt's."""
    looks = _PROMPT.match(line)
    return guess(at_ms, looks["command"]) if looks else None


def guess(at_ms: int, command: str) -> Found:
    """Return a command that was guessed."""
    return Found(at_ms, Tier.GUESSED, "command", storable(command))


class Marks:
    """Follows a shell's own marks: OSC 133 (prompt, command, output) and 633 (VS Code's).

    learn.microsoft.com/windows/terminal/tutorials/shell-integration and
    code.visualstudio.com/docs/terminal/shell-integration
    """

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        given = state or {}
        self.seen: bool = given.get("seen", False)
        self._typed: str | None = given.get("typed")
        self._told: str = given.get("told", "")

    def state(self) -> dict[str, Any]:
        return {"seen": self.seen, "typed": self._typed, "told": self._told}

    def text(self, text: str) -> None:
        """Hear what was shown since the last mark."""
        if self._typed is not None and len(self._typed) < LONGEST:
            self._typed += text

    def mark(self, at_ms: int, osc: str) -> Found | None:
        """Hear a mark; return the command when it is about to run."""
        number, _, rest = osc.partition(";")
        if number not in {"133", "633"}:
            return None
        self.seen = True
        letter, _, argument = rest.partition(";")
        match letter:
            case "B":
                self._typed = ""
            case "E" if number == "633":
                self._told = _unescaped(argument.rpartition(";")[0] or argument)
            case "C":
                typed = "\n".join(map(clean, (self._typed or "").split("\n"))).strip()
                text = self._told or typed
                self._typed, self._told = None, ""
                if text:
                    return Found(at_ms, Tier.TYPED, "command", storable(text))
        return None


def storable(text: str) -> str:
    """Return `text` as the database takes it, cut to its longest."""
    return text[:LONGEST].replace("\0", "�")


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda e: chr(int(e[1], 16)) if e[1] else e[2], text)


def _bounded(detail: dict[str, Any]) -> dict[str, Any]:
    """Return a fact as it is kept: short, and lists (a statement's parameters) as lists."""
    return {
        str(key)[:40].replace("\0", "�"): _short(value) for key, value in list(detail.items())[:20]
    }


def _short(value: Any) -> Any:
    if isinstance(value, bool | int | float) or value is None:
        return value
    if isinstance(value, list):
        return [_short(one) if not isinstance(one, list) else str(one) for one in value[:50]]
    return storable(str(value))[:500]
