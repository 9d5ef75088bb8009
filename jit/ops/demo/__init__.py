"""The demo installation of `make run`: people, a target with real rows, roles, policy, tickets."""
