"""Where sessions are kept that are not in memory: SQLite, Redis."""
