"""The websockets of access sessions: the web terminal, and watching live."""
