"""Recurrent networks for PyTorch, done right: a recurrence is written once."""
