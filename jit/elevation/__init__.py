"""The elevation request and the grant."""
