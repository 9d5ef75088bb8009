"""The tests; a package, so that `tests/sessions` does not shadow `sessions`."""
