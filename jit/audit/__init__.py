"""The sealed log: every change of state, in the transaction that makes it."""
