"""The ways to reach people and programs, one module each, none knowing the others."""
