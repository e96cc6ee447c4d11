"""Searches for settings: `ostinato sweep`."""
