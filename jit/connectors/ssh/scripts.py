"""What is run on a host: plain POSIX shell, carried by the certificate as its forced command.

Nothing is installed for it. A session of a grant carries JIT_GRANT=<its name>@<its target's tag>
in its environment, because the certificate's own forced command puts it there; whoever logs in as
the same account finds its processes by that, and the connection above them. The tag keeps apart
two targets that reach the same host.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from jit.connectors.ssh.config import SSHRole

MARK = "JIT_GRANT"
HOLD = "jit-hold"
"""A command that does nothing under a grant's mark for as long as its connection lives."""
STOP = "jit-stop"
"""A command that kills the programs which other channels of its connection started, with their
process groups: sshd passes no signal on to what a forced command runs (session.c of OpenSSH).
"""
_NAME = re.compile(r"jit_[a-z0-9]{4,40}")
_LINE = re.compile(r"(?:clock (\d+)(\.\d+)?|(open|ended) (jit_[a-z0-9]{4,40}) (\d+) (\d+))")
_UNREAD = re.compile(r"unread (\d+) ([\x21-\x7e]{0,15})")
LARGEST = 1_000_000

# Each process with the mark is one line `name pid parent`; the parent is named only where it is
# the sshd of the connection, which ends with it.
_FIND = r"""
found() {
  for file in $(grep -las 'JIT_GRANT=jit_[a-z0-9]*@@TAG@' /proc/[0-9]*/environ); do
    pid=${file#/proc/}; pid=${pid%/environ}
    name=$(tr '\0' '\n' 2>/dev/null <"$file" | sed -n 's/^JIT_GRANT=\(jit_[a-z0-9]*\)@@TAG@$/\1/p')
    [ -n "$name" ] || continue
    parent=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status" 2>/dev/null)
    case $(cat "/proc/$parent/comm" 2>/dev/null) in sshd*) ;; *) parent=- ;; esac
    [ "$parent" = 1 ] && parent=-
    echo "$name $pid $parent"
  done
}
"""
_CLOCK = 'LC_ALL=C; export LC_ALL; echo "clock $(date +%s.%N)"\n'
_LOOK = r"""
found | awk '{ n[$1]++; if ($3 != "-" && !s[$1 $3]++) c[$1]++ }
  END { for (name in n) print "open", name, c[name] + 0, n[name] }'
"""
# A program that no debugger may look into (ssh-agent, whatever is set-uid) hides its environment
# from its own account, and with it the mark. The sshd processes of connections are such, too.
_HIDDEN = r"""
for file in $(grep -ls "^Uid:[[:space:]]*$(id -u)[[:space:]]" /proc/[0-9]*/status); do
  folder=${file%/status}
  head -c 1 "$folder/environ" >/dev/null 2>&1 && continue
  grep -qs '^VmSize:' "$file" || continue
  parent=$(sed -n 's/^PPid:[[:space:]]*//p' "$file" 2>/dev/null)
  name=$(tr -c '!-~' _ 2>/dev/null <"$folder/comm"); name=${name%_}
  case "$name:$(cat "/proc/$parent/comm" 2>/dev/null)" in sshd*:sshd*) continue ;; esac
  echo "unread ${folder#/proc/} $name"
done
"""
_END = r"""
all=$(found)
for wanted in @NAMES@; do
  lines=$(echo "$all" | grep "^$wanted ") || { echo "ended $wanted 0 0"; continue; }
  cut=$(echo "$lines" | awk '$3 != "-" && !s[$3]++ { c++ } END { print c + 0 }')
  ended=$(echo "$lines" | wc -l)
  round=0
  while [ "$round" -lt 20 ]; do
    echo "$lines" | while read -r _ pid parent; do
      kill -KILL "$pid" 2>/dev/null
      [ "$parent" = - ] || kill -KILL "$parent" 2>/dev/null
    done
    lines=$(found | grep "^$wanted ") || break
    round=$((round + 1))
    sleep 0.05 2>/dev/null || sleep 1
  done
  echo "ended $wanted $cut $((ended))"
done
"""
# What sshd started for a channel leads a process group; all of them are children of our parent.
_STOP = (
    "for pid in $(cat /proc/$PPID/task/*/children 2>/dev/null);"
    ' do [ "$pid" = $$ ] || kill -s KILL -- "-$pid"; done 2>/dev/null'
)


def clock_only() -> str:
    """Return the script that says what time it is."""
    return _CLOCK


def look(tag: str) -> str:
    """Return the script that says what time it is and what is open under the target's mark."""
    return _CLOCK + _FIND.replace("@TAG@", tag) + _LOOK


def end(names: Collection[str], tag: str) -> str:
    """Return the script that ends what these grants left running, then looks."""
    if not all(_NAME.fullmatch(name) for name in names):
        raise ValueError("a name that is not ours")
    told = _END.replace("@NAMES@", " ".join(sorted(names)))
    return _CLOCK + _FIND.replace("@TAG@", tag) + told + _LOOK + _HIDDEN


# sshd's configuration names one of these, perhaps with options, or internal-sftp; a command that
# only mentions such a name is a command.
SFTP_SERVERS = (
    "/usr/lib/openssh/sftp-server",
    "/usr/libexec/openssh/sftp-server",
    "/usr/libexec/sftp-server",
    "/usr/lib/ssh/sftp-server",
    "/usr/lib/sftp-server",
    "/usr/local/libexec/sftp-server",
)
_SFTP = (
    'set -f; set -- $SSH_ORIGINAL_COMMAND; case $1 in /*) [ -x "$1" ] && exec "$@" ;; esac;'
    f' for s in {" ".join(SFTP_SERVERS)}; do [ -x "$s" ] && exec "$s"; done;'
    " echo 'jit: this host has no sftp-server program.' >&2; exit 127"
)
# The very form that `scp -O` sends: letters that mean nothing to a shell, options, one path.
_SCP = (
    ' [ "$(printf %s "$SSH_ORIGINAL_COMMAND" | LC_ALL=C tr -d'
    " 'A-Za-z0-9 _.,:/@%+=~*?{}\\200-\\377-' | wc -c)\" -eq 0 ] || @REFUSE@; set -f;"
    " set -- $SSH_ORIGINAL_COMMAND; shift; m=; while :; do case $1 in --) shift; break ;;"
    " -*[!vrpdqtf]*|-) @REFUSE@ ;; -*) m=$m$1; shift ;; *) break ;; esac; done;"
    " case $m in *[tf]*[tf]*) @REFUSE@ ;; *[tf]*) ;; *) @REFUSE@ ;; esac;"
    ' [ $# = 1 ] || @REFUSE@; set +f; exec "${SHELL:-/bin/sh}" -c "$SSH_ORIGINAL_COMMAND"'
)


def session(name: str, role: SSHRole, tag: str) -> str:
    """Return the forced command of a person's certificate: it marks the session with the grant's
    name, refuses what the role does not allow, and hands over.
    """
    if not _NAME.fullmatch(name):
        raise ValueError("a name that is not ours")
    refuse = "{ echo 'jit: this grant allows no %s.' >&2; exit 126; }"
    shell = 'exec "${SHELL:-/bin/sh}" -l' if role.shell else refuse % "shell"
    command = (
        'exec "${SHELL:-/bin/sh}" -c "$SSH_ORIGINAL_COMMAND"' if role.exec else refuse % "commands"
    )
    files = _SFTP if role.sftp else refuse % "file transfer"
    copies = ""
    if role.sftp and not role.exec:
        copies = f" 'scp -'*) {_SCP.replace('@REFUSE@', refuse % 'commands')} ;;"
    return (
        f"export {MARK}={name}@{tag}; case $SSH_ORIGINAL_COMMAND in '') {shell} ;;"
        f" {HOLD}) exec cat >/dev/null ;; {STOP}) {_STOP} ;;"
        f" internal-sftp|'internal-sftp '*|{_starts(SFTP_SERVERS)}) {files} ;;"
        f"{copies} *) {command} ;; esac"
    )


def _starts(programs: Collection[str]) -> str:
    """Return the shell pattern of these programs, alone or with options."""
    return "|".join(f"{program}|'{program} '*" for program in programs)


@dataclass(frozen=True, slots=True)
class Said:
    """What a script answered: the host's clock and how exactly, and for each name the
    connections and processes that are open, and those that were ended. `unread` are the names
    of the account's processes, by their ids, of which nobody can say whose they are.
    """

    clock: float | None = None
    open: dict[str, tuple[int, int]] = field(default_factory=dict)
    ended: dict[str, tuple[int, int]] = field(default_factory=dict)
    unread: dict[int, str] = field(default_factory=dict)

    @property
    def looked(self) -> bool:
        return self.clock is not None


def understood(output: str) -> Said:
    """Return what the lines of an answer say; lines of a chatty profile are passed over."""
    said = Said()
    clock: float | None = None
    for line in output[:LARGEST].splitlines():
        if hidden := _UNREAD.fullmatch(line.strip()):
            said.unread[int(hidden[1])] = hidden[2]
            continue
        found = _LINE.fullmatch(line.strip())
        if not found:
            continue
        seconds, fraction, kind, name, connections, processes = found.groups()
        if seconds:
            clock = float(seconds) + float(fraction or 0)
        else:
            counted = (int(connections), int(processes))
            (said.open if kind == "open" else said.ended)[name] = counted
    return Said(clock, said.open, said.ended, said.unread)
