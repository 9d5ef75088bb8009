"""One suite for every adapter of a kind, and proof that it notices bad ones."""
