"""From a connection's first byte to somebody who is known, or a refusal."""
