"""Recordings: sequences of numbers, as sensors give them, with a label for each or for each of its steps."""
