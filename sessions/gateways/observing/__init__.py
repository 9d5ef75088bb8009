"""What gateways of every kind of database record: statements as facts, and lines to be replayed."""
