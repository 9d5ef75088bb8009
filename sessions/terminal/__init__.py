"""The web terminal: a client of our own SSH gateway that a browser sits in front of."""
