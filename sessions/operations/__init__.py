"""All writes to access sessions and what opens them."""
