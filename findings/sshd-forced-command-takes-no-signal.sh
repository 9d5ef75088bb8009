#!/usr/bin/env bash
# OpenSSH's sshd passes a client's signal (RFC 4254 6.9) on to a program that the client named, but
# never to a forced command (`command="…"` in authorized_keys, ForceCommand, or a certificate's
# force-command): the message is dropped without an answer, and the program runs on. Nobody is told
# but sshd's own log ("refusing to send signal … forced-command"). Whoever relies on the signal to
# end what runs must end it by other means on the host. For root's own log-ins sshd separates no
# privileges, and then passes on no signal at all ("session signalling requires privilege separation").
#
# Seen with OpenSSH 9.2p1 (Debian 12) and asyncssh 2.24.1, as an ordinary account: ended by KILL
# without a forced command, still running after three seconds with one. As root: running in both.
# Needs: sshd and ssh-keygen on the machine, Python 3.11 or newer. Logs in to itself as whoever
# runs it. Exits 1 if the behaviour changed.
set -euo pipefail

folder=$(mktemp -d)
sshd=$(command -v sshd || echo /usr/sbin/sshd)
daemon=""
end() {
  [ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true
  rm -rf "$folder"
}
trap end EXIT

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check asyncssh==2.24.1
"$sshd" -V 2>&1 | head -n 1 || true

for key in host plain forced; do
  ssh-keygen -q -t ed25519 -N '' -C "$key" -f "$folder/$key"
done
{
  cat "$folder/plain.pub"
  printf 'command="exec sleep 30" %s\n' "$(cat "$folder/forced.pub")"
} > "$folder/authorized_keys"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat > "$folder/sshd_config" <<CONFIG
ListenAddress 127.0.0.1
Port $port
HostKey $folder/host
AuthorizedKeysFile $folder/authorized_keys
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
CONFIG
if [ "$(id -u)" = 0 ]; then mkdir -p /run/sshd; fi
"$sshd" -D -e -f "$folder/sshd_config" 2> "$folder/log" &
daemon=$!

cat > "$folder/ask.py" <<'PYTHON'
import asyncio
import getpass
import sys

import asyncssh

folder, port = sys.argv[1], int(sys.argv[2])


async def end_of(key: str) -> str:
    """Say how `sleep 30` went on after a KILL."""
    for attempt in range(50):
        try:
            line = await asyncssh.connect(
                "127.0.0.1", port, username=getpass.getuser(), known_hosts=None,
                client_keys=[f"{folder}/{key}"], agent_path=None, config=None,
            )
            break
        except OSError:
            await asyncio.sleep(0.1)
    async with line:
        program = await line.create_process("exec sleep 30")
        await asyncio.sleep(0.5)
        program.kill()
        try:
            done = await program.wait(timeout=3)
        except asyncio.TimeoutError:
            return "still running"
        return f"ended by {done.exit_signal[0]}" if done.exit_signal else "ended"


async def main() -> None:
    print("plain:", await end_of("plain"))
    print("forced:", await end_of("forced"))


asyncio.run(main())
PYTHON
found=$("$folder/venv/bin/python" "$folder/ask.py" "$folder" "$port")
echo "$found"
grep -i "session_signal_req" "$folder/log" || true
plain="ended by KILL"
if [ "$(id -u)" = 0 ]; then plain="still running"; fi
[ "$found" = "plain: $plain"$'\nforced: still running' ] || { echo "the behaviour changed"; exit 1; }
