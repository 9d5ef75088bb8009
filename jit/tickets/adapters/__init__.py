"""One file a ticket system, each behind the Protocol of `base`."""
