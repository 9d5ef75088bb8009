"""SSH hosts: certificates that end with their grant, and a list of those revoked before."""

from jit.connectors.ssh.connector import SSH

__all__ = ["SSH"]
