"""Explaining the answers of a run's model, for any task."""
