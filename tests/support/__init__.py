"""What several tests need: servers, people, stand-ins."""
