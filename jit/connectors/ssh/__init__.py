"""SSH hosts: certificates that end with their grant, and a list of those revoked before."""
