"""The pages of access sessions."""
