"""What a host must be told before it is a target: every line, ready to be put there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jit.connectors.ssh.config import SSHConfig, SSHRole

FOLDER = "/etc/ssh/jit"

_HEAD = """\
# What to put on each host of {slug}: {hosts}.
# Run `sshd -t` before `systemctl reload ssh`, and keep another session open meanwhile.
"""
_CONFIG = """\
TrustedUserCAKeys {folder}/user-ca.pub
AuthorizedPrincipalsFile {folder}/principals/%u
RevokedKeys {folder}/{slug}.krl
{certificate}PasswordAuthentication no
KbdInteractiveAuthentication no
{forwarding}X11Forwarding no
PermitTunnel no
AllowTcpForwarding local
Match User {logins}
    AuthorizedKeysFile none
"""
_REFRESH = """\
#!/bin/sh
# Fetch the list of revoked certificates; keep the old one unless the new one is whole and not
# older. sshd refuses everybody while the file is missing, so it is only ever replaced.
set -eu
list={folder}/{slug}.krl
fresh=$(mktemp "$list.XXXXXX")
trap 'rm -f "$fresh"' EXIT
curl --fail --silent --show-error --max-time 10 --output "$fresh" '{url}'
[ "$(od -An -tx1 -N8 "$fresh" | tr -d ' ')" = 5353484b524c0a00 ]   # A list, not an error page.
ssh-keygen -Q -l -f "$fresh" >/dev/null                             # And one that can be read.
version() {{ od -An -tx1 -j12 -N8 "$1" | tr -d ' \\n'; }}
if [ -s "$list" ] && expr "$(version "$fresh")" \\< "$(version "$list")" >/dev/null; then
  echo "the list served is older than the one here" >&2; exit 1
fi
chmod 644 "$fresh"
sync "$fresh"
mv "$fresh" "$list"
trap - EXIT
"""
_SERVICE = """\
[Unit]
Description=Fetch the revoked SSH certificates of {slug}
After=network-online.target
[Service]
Type=oneshot
ExecStart=/usr/local/sbin/jit-krl-{slug}
"""
_TIMER = """\
[Unit]
Description=Fetch the revoked SSH certificates of {slug} every {every} s
[Timer]
OnBootSec=1
OnUnitActiveSec={every}
AccuracySec=1
[Install]
WantedBy=timers.target
"""
_CERTIFIED = """\
# Each host's own certificate (the host CA's key stays where it is):
#   manage.py ssh_ca sign-host --key HOST_CA_FILE --name NAME < /etc/ssh/ssh_host_ed25519_key.pub
# and put what it prints into /etc/ssh/ssh_host_ed25519_key-cert.pub.
"""
_PINNED = """\
# The hosts' keys are pinned in the catalogue (host_keys), so their configuration names no
# HostCertificate.
"""
_START = """\
# Once, before sshd is reloaded:
/usr/local/sbin/jit-krl-{slug} && systemctl enable --now jit-krl-{slug}.timer
"""
_LOGIND = """\
# What a session left behind (`setsid nohup …`) ends with the last session of these accounts.
# It needs pam_systemd in /etc/pam.d/sshd and UsePAM yes, and accounts used for nothing else.
[Login]
KillUserProcesses=yes
KillOnlyUsers={logins}
"""


def told(
    *,
    slug: str,
    config: SSHConfig,
    ca: str,
    roles: Mapping[str, SSHRole],
    url: str,
) -> str:
    """Return all of it for one target, as shell comments and files in order. `ca` is the public
    line of its authority, `roles` are its roles by slug, `url` is where its list is served.
    """
    accounts = _accounts(config, roles)
    logins = ",".join(sorted(accounts))
    agents = any(role.agent_forwarding for role in roles.values())
    every = config.krl_refresh or 15
    names = {"folder": FOLDER, "slug": slug, "url": url, "every": every}
    parts = [_HEAD.format(slug=slug, hosts=", ".join(host.name for host in config.hosts))]
    parts.append(
        _file(f"{FOLDER}/user-ca.pub", "".join(f"{k}\n" for k in (ca, *config.retired_cas)))
    )
    for login, principals in sorted(accounts.items()):
        content = "".join(f"{name}\n" for name in principals)
        parts.append(_file(f"{FOLDER}/principals/{login}", content))
    parts.append(
        _file(
            f"/etc/ssh/sshd_config.d/10-jit-{slug}.conf",
            _CONFIG.format(
                **names,
                logins=logins,
                certificate=(
                    "HostCertificate /etc/ssh/ssh_host_ed25519_key-cert.pub\n"
                    if config.host_cas
                    else ""
                ),
                forwarding="" if agents else "AllowAgentForwarding no\n",
            ),
        )
    )
    parts.append(_list_part(config, names))
    parts.append(
        _file(
            "/etc/systemd/logind.conf.d/10-jit.conf",
            _LOGIND.format(logins=" ".join(sorted(accounts))),
        )
    )
    parts.append(_CERTIFIED if config.host_cas else _PINNED)
    return "\n".join(parts)


def _accounts(config: SSHConfig, roles: Mapping[str, SSHRole]) -> dict[str, Sequence[str]]:
    """Return for each login the principals that open it, the observer's among them."""
    found: dict[str, list[str]] = {config.observer.login: [config.observer.principal]}
    for role in roles.values():
        listed = found.setdefault(role.login_on(config), [])
        listed += [name for name in role.principals if name not in listed]
    return dict(found)


def _list_part(config: SSHConfig, names: Mapping[str, object]) -> str:
    if not config.krl_refresh:
        return (
            f"# The list: {FOLDER}/{names['slug']}.krl must be {config.krl} itself, on a volume "
            "that the\n# host reads (a copy would be out of date: set krl_refresh and fetch it).\n"
        )
    unit = f"/etc/systemd/system/jit-krl-{names['slug']}"
    return "\n".join(
        [
            _file(f"/usr/local/sbin/jit-krl-{names['slug']}", _REFRESH.format(**names), mode="755"),
            _file(f"{unit}.service", _SERVICE.format(**names)),
            _file(f"{unit}.timer", _TIMER.format(**names)),
            _START.format(**names),
        ]
    )


def _file(path: str, content: str, *, mode: str = "644") -> str:
    return f"install -D -m {mode} /dev/stdin {path} <<'JIT'\n{content}JIT\n"
