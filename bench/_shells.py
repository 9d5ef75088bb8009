"""What is typed in the corpus of shells, and which of it are commands."""

from __future__ import annotations

from dataclasses import dataclass, field

type Step = str | float | tuple[int, int]
"""Keys, typed letter by letter (after a NUL all at once, as pasted); seconds of silence to wait
for; or the columns and rows that the window gets.
"""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is typed in one recording. `hurried`: nothing is waited for in between."""

    name: str
    argv: list[str]
    steps: list[Step]
    commands: list[str]
    env: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    hurried: bool = False
    starts_within: float = 1.0


_PROMPTS = {
    "bash": {"PS1": r"rita@web-1:\w\$ "},
    "dash": {"PS1": "$ "},
    "zsh": {"PS1": "%n@web-1 %~ %# ", "USER": "rita", "LOGNAME": "rita"},
    "fish": {"USER": "rita"},
}
_ARGV = {
    "bash": ["bash", "--norc", "-i"],
    "dash": ["dash", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--private", "-i"],
}
_PSQL = ["psql", "-X", "-P", "pager=off"]
"""Of the server that PGHOST and its like name where this is recorded."""
_FILES = {"notes": "a > b\n$ not a command\nrita@web-1:~$ nor this\n# nor this\n", "empty": ""}
_UP, _RIGHT, _LEFT, _HOME = "\x1b[A", "\x1b[C", "\x1b[D", "\x01"
_BLOCK = "echo one\necho two\necho three\n"


def _steps(shell: str) -> dict[str, tuple[list[Step], list[str], bool]]:
    """Return steps, commands and hurry of each scenario that this shell can play."""
    edits = shell != "dash"
    found: dict[str, tuple[list[Step], list[str], bool]] = {
        "plain": (["echo hello\r", "ls\r", "true\r"], ["echo hello", "ls", "true"], False),
        "rubbed": (["ecjo\x7f\x7f\x7fcho hi\r", "lx\x7fs\r"], ["echo hi", "ls"], False),
        "empty": (["\r", "\r", "pwd\r", "\r"], ["pwd"], False),
        "again": (["true\r", "true\r", "true\r"], ["true", "true", "true"], False),
        "ahead": (
            ["sleep 2\r", "gzip -d nothing.gz\r", "cat notes\r", 3.0, "echo end\r"],
            ["sleep 2", "gzip -d nothing.gz", "cat notes", "echo end"],
            True,
        ),
        "prompts": (["cat notes\r", "echo 'x$ y'\r"], ["cat notes", "echo 'x$ y'"], False),
        "stdin": (
            ["cat > f\r", "echo not run\r", "ls not run\r", "\x04", "cat f\r"],
            ["cat > f", "cat f"],
            False,
        ),
        "asked": (["rm -i empty\r", "y\r", "ls\r"], ["rm -i empty", "ls"], False),
        "interrupted": (["echo no\x03", "sleep 9\r", "\x03", "echo yes\r"],
                        ["sleep 9", "echo yes"], False),
        "wide": (["echo \u6771\u4eac \U0001f600\r", "echo gr\u00fc\u00dfe\r"],
                 ["echo \u6771\u4eac \U0001f600", "echo gr\u00fc\u00dfe"], False),
        "many": (["seq 300\r", "printf 'a\\nb'\r", "echo z\r"],
                 ["seq 300", "printf 'a\\nb'", "echo z"], False),
        "wrong": (["nosuch\r", "cat nosuch\r"], ["nosuch", "cat nosuch"], False),
        "signs": (["echo 5 > x\r", "cat x | wc -l\r", "echo '# 100%'\r"],
                  ["echo 5 > x", "cat x | wc -l", "echo '# 100%'"], False),
    }  # fmt: skip
    if shell != "fish":
        found["pasted"] = (
            ["\0" + _BLOCK.replace("\n", "\r"), 1.0],
            ["echo one", "echo two", "echo three"],
            False,
        )
        found["password"] = (
            ["stty -echo; read x; stty echo\r", "secret\r", "echo ok\r"],
            ["stty -echo; read x; stty echo", "echo ok"],
            False,
        )
    if edits:
        found["history"] = (["echo a\r", "echo b\r", f"{_UP}{_UP}\r"],
                            ["echo a", "echo b", "echo a"], False)  # fmt: skip
        found["moved"] = ([f"cho a{_HOME}e\r", f"echo ac{_LEFT}b\r"], ["echo a", "echo abc"], False)
        found["bracketed"] = (["\0\x1b[200~echo pasted\x1b[201~", "\r"], ["echo pasted"], False)
    if shell in {"bash", "zsh"}:
        found["searched"] = (["echo find-me\r", "true\r", "\x12find", "\r"],
                             ["echo find-me", "true", "echo find-me"], False)  # fmt: skip
        found["completed"] = (["cat not\t\r", "echo x\r"], ["cat notes", "echo x"], False)
        found["less"] = (["less notes\r", "q", "echo x\r"], ["less notes", "echo x"], False)
        found["vim"] = (
            ["vim -u NONE f\r", "i# one\rtwo> three\x1b", ":wq\r", "cat f\r"],
            ["vim -u NONE f", "cat f"],
            False,
        )
    return found


def _all() -> list[Scenario]:
    made = [
        Scenario(f"{shell}-{name}", _ARGV[shell], steps, commands, _PROMPTS[shell], _FILES, hurry)
        for shell in _ARGV
        for name, (steps, commands, hurry) in _steps(shell).items()
    ]
    python = ["python3", "-q"]
    made += [
        Scenario("python-plain", python, ["1+1\r", "print('a > b')\r", "exit()\r"],
                 ["1+1", "print('a > b')", "exit()"]),
        Scenario("python-input", python, ["x = input('name> ')\r", "rita\r", "x\r"],
                 ["x = input('name> ')", "x"]),
        Scenario("bash-python", _ARGV["bash"], ["python3 -q\r", 1.0, "2*3\r", "exit()\r", "ls\r"],
                 ["python3 -q", "2*3", "exit()", "ls"], _PROMPTS["bash"], _FILES),
        Scenario("bash-root", _ARGV["bash"], ["id -u\r", "ls\r"], ["id -u", "ls"],
                 {"PS1": "[root@db-1 etc]# "}, _FILES),
        Scenario("bash-venv", _ARGV["bash"], ["make\r", "ls\r"], ["make", "ls"],
                 {"PS1": "(venv) rita@db-1:~/src$ "}, _FILES),
        Scenario("bash-coloured", _ARGV["bash"], ["ls\r", "echo x\r"], ["ls", "echo x"],
                 {"PS1": "\\[\\e[1;32m\\]rita\\[\\e[0m\\] ~ \u276f "}, _FILES),
        Scenario("bash-tmux", _ARGV["bash"], ["tmux -f /dev/null -L corpus\r", 2.0,
                 "ls\r", 0.5, "exit\r", 1.0, "echo out\r"],
                 ["tmux -f /dev/null -L corpus", "ls", "exit", "echo out"],
                 {"PS1": r"rita@web-1:\w\$ ", "SHELL": "/bin/bash"}, _FILES),
        Scenario("psql-plain", _PSQL, ["select 1;\r", "select 'a > b'\r", ", 2;\r", "\\q\r"],
                 ["select 1;", "select 'a > b'", ", 2;", "\\q"]),
        Scenario("psql-wrong", _PSQL, ["selec 1;\r", f"{_UP}{_HOME}{5 * _RIGHT}t\r"],
                 ["selec 1;", "select 1;"]),
        Scenario("psql-ahead", _PSQL, ["select pg_sleep(2);\r", "select 7;\r", 3.0,
                 "select 8;\r"],
                 ["select pg_sleep(2);", "select 7;", "select 8;"], hurried=True),
    ]  # fmt: skip
    return made


SCENARIOS = _all()
