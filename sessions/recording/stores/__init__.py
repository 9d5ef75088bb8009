"""Where recordings lie for good."""
