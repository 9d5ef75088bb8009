"""Journeys that touch more than one app, one verb a module."""
