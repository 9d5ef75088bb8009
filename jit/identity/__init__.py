"""People, groups, sign-in, second factors, tokens, permissions."""
