"""Processes that train together, and their devices."""
