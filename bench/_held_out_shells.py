"""What is typed in the held-out corpus: other programs, prompts and habits than in the first.

It was written and recorded before anybody looked at what is guessed of it. Each line that was
entered at the prompt of a shell or an interpreter is a command, one at a continuation prompt too;
an answer to a question, a line for an editor or a pager, and what `cat` reads are none.
"""

from __future__ import annotations

from bench._shells import Scenario, Step

_UP, _DOWN, _RIGHT, _LEFT, _HOME = "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\x01"
_WORD_BACK = "\x1bb"
_BASH, _ZSH = ["bash", "--norc", "-i"], ["zsh", "-i"]
_PLUGGED = "PROMPT='%F{green}rita%f %1~ \u276f '\n" + "".join(
    f"source /usr/share/zsh-{name}/zsh-{name}.zsh\n"
    for name in ("autosuggestions", "syntax-highlighting")
)
_FILES = {
    "notes": "first line\nsecond: 100%\nbackup done $ ok\n",
    "session.log": "rita@web-1:~$ ls\nnotes\nrita@web-1:~$ rm notes\n>>> 1+1\n2\n",
    "sum.py": "x = 1\nfor n in range(3):\n    x += n\nprint('sum', x)\n",
    ".screenrc": "startup_message off\nvbell off\n",
}
_LONG = "echo " + "-".join(f"word{n}" for n in range(18))
_FOR = "for n in 1 2; do\necho n=$n\ndone"


def _bash(
    name: str, steps: list[Step], commands: list[str], ps1: str = r"\u@web-1:\w\$ ", **more: str
) -> Scenario:
    return Scenario(f"bash-{name}", _BASH, steps, commands, {"PS1": ps1, **more}, _FILES)


def _zsh(name: str, rc: str, steps: list[Step], commands: list[str]) -> Scenario:
    env = {"USER": "rita", "LOGNAME": "rita"}
    return Scenario(
        f"zsh-{name}", _ZSH, steps, commands, env, {**_FILES, ".zshrc": rc}, starts_within=8.0
    )


_PROMPTS = [
    _bash("two-lines", ["ls\r", "cd /tmp\r", "pwd\r", "cat /nosuch\r"],
          ["ls", "cd /tmp", "pwd", "cat /nosuch"], r"\n\[\e[1;34m\]\w\[\e[0m\] on main\n\$ "),
    _bash("status", ["false\r", "true\r", "echo done\r"], ["false", "true", "echo done"],
          r"\[\e[31m\]$?\[\e[0m\] \u:\W\$ "),
    _bash("clock", ["wc -l notes\r", "tail -1 notes\r", "echo 50%\r"],
          ["wc -l notes", "tail -1 notes", "echo 50%"], r"[\t] \u \W # "),
    _bash("titled", ["ls | wc -l\r", "cd /\r", "cd -\r"], ["ls | wc -l", "cd /", "cd -"],
          r"\[\e]0;rita: \w\a\]rita:\w\$ "),
    _bash("arrow", ["uname\r", "echo '=> x'\r"], ["uname", "echo '=> x'"],
          r"\[\e[32m\]➜ \[\e[36m\]\W\[\e[0m\] "),
    _bash("cluster", ["echo pods\r", "sort notes\r"], ["echo pods", "sort notes"],
          r"(prod-eu|payments) rita\$ "),
    _zsh("right-prompt", "PROMPT='%n %1~ %# '\nRPROMPT='%F{yellow}main%f'\n",
         ["ls\r", "echo right\r", "true && echo yes\r"],
         ["ls", "echo right", "true && echo yes"]),
    _zsh("plugins", _PLUGGED,
         ["echo hello there\r", "ls -l notes\r", f"echo h{_RIGHT}", "\r", "nosuchprogram\r"],
         ["echo hello there", "ls -l notes", "echo h", "nosuchprogram"]),
    _zsh("framed", "PROMPT=$'\\n╭─%n@web-1 %~\\n╰─$ '\n", ["ls\r", "cd /tmp\r", "pwd\r"],
         ["ls", "cd /tmp", "pwd"]),
    _zsh("menu", "PROMPT='%m:%~%# '\nautoload -U compinit; compinit -u\n"
         "zstyle ':completion:*' menu select\n",
         ["cat no\t", "\r", "cat s\t\t", "\r", "\r", "echo end\r"],
         ["cat notes", "cat session.log", "echo end"]),
    Scenario("fish-right-prompt", ["fish", "--private", "-i", "-C",
             "function fish_right_prompt; echo main; end; set fish_greeting"],
             ["echo one\r", "count a b\r", "pwd\r"], ["echo one", "count a b", "pwd"],
             {"USER": "rita"}, _FILES),
    Scenario("fish-suggested", ["fish", "-i", "-C", "set fish_greeting"],
             ["echo quite long\r", "ls\r", f"echo q{_RIGHT}", "\r", "for n in 1 2\r",
              "echo $n\r", "end\r"],
             ["echo quite long", "ls", "echo quite long", "for n in 1 2", "echo $n", "end"],
             {"USER": "rita"}, _FILES),
]  # fmt: skip
_SHELLS = [
    Scenario("mksh-plain", ["mksh", "-i"], ["ls\r", "print -r -- hi\r", "cat notes\r"],
             ["ls", "print -r -- hi", "cat notes"], {"PS1": "rita@web-1 $ "}, _FILES),
    Scenario("busybox-plain", ["busybox", "ash", "-i"],
             ["ls\r", "df nosuch\r", f"{_UP}{_UP}\r", "cat session.log\r"],
             ["ls", "df nosuch", "ls", "cat session.log"], {"PS1": r"\w # "}, _FILES),
    Scenario("dash-loop", ["dash", "-i"],
             ['while read l; do echo "got $l"; done\r', "one\r", "two\r", "\x04", "echo end\r"],
             ['while read l; do echo "got $l"; done', "echo end"], {"PS1": "# "}, _FILES),
    _bash("loop", [*(f"{line}\r" for line in _FOR.split("\n")), "echo after\r"],
          [*_FOR.split("\n"), "echo after"]),
    _bash("here", ["cat <<END\r", "some text\r", "END\r", "ls\r"],
          ["cat <<END", "some text", "END", "ls"]),
    _bash("su", ["su -s /bin/bash nobody\r", 1.5, "id -un\r", "exit\r", "echo back\r"],
          ["su -s /bin/bash nobody", "id -un", "exit", "echo back"]),
    _bash("sudo", ["sudo -u nobody dash -i\r", 1.5, "id -un\r", "exit\r", "id -un\r"],
          ["sudo -u nobody dash -i", "id -un", "exit", "id -un"]),
    _bash("screen", ["screen bash --norc\r", 2.0, "ls\r", "exit\r", 1.5, "echo out\r"],
          ["screen bash --norc", "ls", "exit", "echo out"]),
]  # fmt: skip
_PROGRAMS = [
    Scenario("sqlite-plain", ["sqlite3"],
             ["create table t (a, b);\r", "insert into t values (1, 'x > y');\r",
              "select *\r", "from t;\r", ".tables\r", ".quit\r"],
             ["create table t (a, b);", "insert into t values (1, 'x > y');", "select *",
              "from t;", ".tables", ".quit"]),
    Scenario("mariadb-plain", ["mariadb", "--no-defaults"],
             ["select 1;\r", "show databases\r", ";\r", "selec 2;\r", "exit\r"],
             ["select 1;", "show databases", ";", "selec 2;", "exit"]),
    Scenario("gdb-plain", ["gdb", "-q", "/bin/true"],
             ["p 1+1\r", "info sharedlibrary\r", "p 1 > 0\r", "quit\r"],
             ["p 1+1", "info sharedlibrary", "p 1 > 0", "quit"], starts_within=4.0),
    Scenario("pdb-plain", ["python3", "-m", "pdb", "sum.py"],
             ["n\r", "n\r", "p x\r", "c\r", "q\r"], ["n", "n", "p x", "c", "q"],
             files=_FILES, starts_within=2.0),
    Scenario("ipython-plain", ["ipython3", "--no-banner", "--no-confirm-exit"],
             ["1+1\r", "print('a $ b')\r", "ls\r", "exit\r"],
             ["1+1", "print('a $ b')", "ls", "exit"], files=_FILES, starts_within=6.0),
    Scenario("irb-plain", ["irb", "-f"], ["1+1\r", "puts 'x > y'\r", "exit\r"],
             ["1+1", "puts 'x > y'", "exit"], starts_within=3.0),
    Scenario("lua-plain", ["lua5.4"], ["x = 4\r", "print(x > 3)\r", "=x\r"],
             ["x = 4", "print(x > 3)", "=x"]),
    Scenario("node-plain", ["node"], ["const a = 1\r", "a > 0\r", "[1,2].map(n =>\r", "n * 2)\r",
             ".exit\r"], ["const a = 1", "a > 0", "[1,2].map(n =>", "n * 2)", ".exit"],
             starts_within=3.0),
    Scenario("perl-debugger", ["perl", "-de", "0"], ["p 1+1\r", "$x = 5\r", "p $x\r", "q\r"],
             ["p 1+1", "$x = 5", "p $x", "q"], starts_within=2.0),
    Scenario("python-block", ["python3", "-q"],
             ["def f(n):\r", "    return n > 1\r", "\r", "f(2)\r", "1/0\r", "exit()\r"],
             ["def f(n):", "    return n > 1", "f(2)", "1/0", "exit()"]),
    _bash("pager", ["less -S session.log\r", "/rm\r", "q", "man nosuchpage\r", "echo read\r"],
          ["less -S session.log", "man nosuchpage", "echo read"]),
    _bash("nano", ["nano -I letter\r", 1.0, "dear $ all\r", "rm -rf /\r", "\x0f", "\r", "\x18",
                   1.0, "cat letter\r"],
          ["nano -I letter", "cat letter"]),
    _bash("top", ["top\r", 1.0, "q", 1.0, "top -bn1 | head -1\r", "echo idle\r"],
          ["top", "top -bn1 | head -1", "echo idle"]),
]  # fmt: skip
_HABITS = [
    _bash("block", ["\0\x1b[200~echo one\necho two\necho three\x1b[201~", "\r", "echo four\r"],
          ["echo one", "echo two", "echo three", "echo four"]),
    _zsh("block", "PROMPT='%~ %# '\n", ["\0echo one\recho two\rcat notes\r", 1.0, "echo four\r"],
         ["echo one", "echo two", "cat notes", "echo four"]),
    _bash("wrapped", [f"{_LONG}{_LEFT * 20}XX\r", "echo short\r"],
          [f"{_LONG[:-20]}XX{_LONG[-20:]}", "echo short"]),
    _bash("wide-edited", [f"echo 東京 と 大阪{_LEFT * 3}、\r", "echo naïve café\r", "ls\r"],
          ["echo 東京 と、 大阪", "echo naïve café", "ls"]),
    _bash("resized", ["echo before\r", (60, 20), f"{_LONG}\r", (132, 43), "echo after\r"],
          ["echo before", _LONG, "echo after"]),
    _bash("killed-words", ["echo wrong words\x17\x17right\r", "ls nothing\x15pwd\r",
          f"cut this{_WORD_BACK}\x0b\x15echo \x19\r"],
          ["echo right", "pwd", "echo cut this"]),
    _bash("searched-twice", ["echo alpha\r", "echo beta\r", "ls\r", "\x12echo\x12", "\x05 more\r",
          "\x12nothing-like-it\x07", "\x15true\r"],
          ["echo alpha", "echo beta", "ls", "echo alpha more", "true"]),
    _bash("listed", ["ls /etc/ho\t\t", "s\r", "cat ses\t\r"],
          ["ls /etc/hosts", "cat session.log"]),
    _bash("expanded", ["echo first\r", "!!\r", "!echo and\r", "ls\r"],
          ["echo first", "!!", "!echo and", "ls"]),
    _bash("progress", ['for n in 1 2 3 4; do printf "$n0%%\\r"; sleep 0.4; done; echo\r',
          "echo typed meanwhile\r", 2.5, "echo end\r"],
          ['for n in 1 2 3 4; do printf "$n0%%\\r"; sleep 0.4; done; echo',
           "echo typed meanwhile", "echo end"]),
    _bash("cleared", ["ls\r", "echo ha\x0clf\r", "clear\r", "echo new screen\r"],
          ["ls", "echo half", "clear", "echo new screen"]),
    _bash("jobs", ["sleep 1 &\r", 1.5, "true\r", "sleep 8\r", "\x1a", "jobs\r", "kill %2\r",
                   "echo ok\r"],
          ["sleep 1 &", "true", "sleep 8", "jobs", "kill %2", "echo ok"]),
    _bash("vi-mode", ["set -o vi\r", "echo frst\r", "\x1bk", "0fra\x08ir\r", "ls\r"],
          ["set -o vi", "echo frst", "echo first", "ls"]),
    _bash("shown", ["cat session.log\r", "grep -n '' session.log\r", 'echo "$PS1"\r'],
          ["cat session.log", "grep -n '' session.log", 'echo "$PS1"']),
    _bash("asked", ["read -p 'Really? [y/N] ' a; echo $a\r", "y\r", "cp -i notes sum.py\r", "n\r",
                    "echo over\r"],
          ["read -p 'Really? [y/N] ' a; echo $a", "cp -i notes sum.py", "echo over"]),
    _bash("git", ["git init -q r && cd r\r", "git status\r", "git log\r", "cd ..\r"],
          ["git init -q r && cd r", "git status", "git log", "cd .."]),
]  # fmt: skip

SCENARIOS = [*_PROMPTS, *_SHELLS, *_PROGRAMS, *_HABITS]
