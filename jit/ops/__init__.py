"""Running it: checks, health, metrics, logs, the embedded mode."""
