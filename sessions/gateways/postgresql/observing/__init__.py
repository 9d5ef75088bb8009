"""What passes through a session, statement by statement, for its recording."""
