"""The core of just-in-time privileged access, and the Django project module."""
