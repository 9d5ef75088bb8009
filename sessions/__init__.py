"""Wing 2: what was done with a grant."""
