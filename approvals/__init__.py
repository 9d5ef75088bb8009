"""Wing 1: who must agree, and what they said."""
