"""PostgreSQL's protocol: messages, values, statements, SCRAM. No I/O, no Django here."""
