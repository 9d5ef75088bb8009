"""Access sessions in version 1 of the REST interface."""
