#!/usr/bin/env bash
# A program may close its output and end later. Where OpenSSH's ssh multiplexes (ControlMaster), and the
# session's input has ended too, it closes that channel then and waits for the answer; sshd tells the
# exit status first and answers after it. An asyncssh server answers the close at once, and the status
# that its handler gives later is dropped without an error at the server: ssh ends with 255. ssh on a
# connection of its own does not close so early and is told the status. A server or gateway built on
# it loses the status of a multiplexed command now and then: when the end of the output travels ahead
# of the status. Ansible, which multiplexes, takes that for a host that can't be reached.
#
# Seen with asyncssh 2.24.1 and OpenSSH 9.2p1 (Debian 12): 7 on a connection of its own, 255 where it is
# multiplexed; through sshd 7 in both. Needs: ssh and ssh-keygen on the machine, Python 3.11 or newer.
# Exits 1 if the behaviour changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check asyncssh==2.24.1
ssh -V
ssh-keygen -q -t ed25519 -N '' -C host -f "$folder/host"

cat > "$folder/ask.py" <<'PYTHON'
import asyncio
import sys

import asyncssh

folder = sys.argv[1]


class Anybody(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return False


async def handle(process: asyncssh.SSHServerProcess) -> None:
    process.stdout.write_eof()
    await asyncio.sleep(0.5)
    process.exit(7)


async def status_of(port: int, *options: str) -> int:
    ssh = await asyncio.create_subprocess_exec(
        "ssh", "-F", "none", "-p", str(port), "-oUserKnownHostsFile=/dev/null",
        "-oStrictHostKeyChecking=no", "-oLogLevel=ERROR", *options, "visitor@127.0.0.1", "command",
        stdin=asyncio.subprocess.DEVNULL,
    )
    return await ssh.wait()


async def main() -> None:
    listener = await asyncssh.create_server(
        Anybody, "127.0.0.1", 0, server_host_keys=[f"{folder}/host"], process_factory=handle
    )
    port = listener.get_port()
    alone = await status_of(port)
    shared = [f"-oControlPath={folder}/shared", "-oControlMaster=auto", "-oControlPersist=10"]
    multiplexed = [await status_of(port, *shared) for _ in range(2)][1]
    print("alone", alone, "multiplexed", multiplexed)
    listener.close()


asyncio.run(main())
PYTHON
seen=$("$folder/venv/bin/python" "$folder/ask.py" "$folder")
echo "$seen"
if [ "$seen" != "alone 7 multiplexed 255" ]; then
  echo "changed: expected 'alone 7 multiplexed 255'"
  exit 1
fi
