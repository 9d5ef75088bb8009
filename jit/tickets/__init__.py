"""Ticket systems and verified snapshots of tickets."""
