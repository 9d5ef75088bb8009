"""The outbox: who is to hear of what, through which channels, and whether it arrived."""
