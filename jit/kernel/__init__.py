"""Vocabulary without tables: what every room of the house may use."""
