"""Answers without a session: what `ostinato predict` says, and texts that are written token by token."""
