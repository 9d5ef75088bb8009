"""Adapters to targets: provision, observe, revoke."""
